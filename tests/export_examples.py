"""Recipes to export: a shipped one with another stack, for eight steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sol.recipe import Member, Recipe, load_recipe
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.technique import StackItem

SHIPPED = Path(__file__).parents[1] / "recipes" / "pocket" / "cpu-intel-xeon.yaml"
N_STEPS = 8


def item(technique: str, steps: str = "all", **config) -> StackItem:
    return StackItem(technique, config, Schedule(steps=steps))


def recipe_of(*items: StackItem, **workload) -> Recipe:
    shipped = load_recipe(SHIPPED)
    members = tuple(
        Member(i.technique, get_technique(i.technique).skill, i.config, i.schedule) for i in items
    )
    target = replace(
        shipped.target,
        workload=shipped.target.workload.with_overrides({"steps": N_STEPS, **workload}),
    )
    return replace(shipped, stack=members, target=target)
