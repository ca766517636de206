"""Turns an accepted stack and its measurements into a recipe."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sol.integrator.measured import EdgeCheck
from sol.recipe import (
    SCHEMA,
    Member,
    Memory,
    Provenance,
    QualityCheck,
    Recipe,
    RecipeEvidence,
    dump_recipe,
)
from sol.skills.registry import get_technique
from sol.stages.judge import Judged
from sol.stages.recipe_numbers import measured_cold_start, measured_ratio, measured_seconds
from sol.stages.request import Session
from sol.technique import StackItem, parse_config


def write_recipe(session: Session, winner: Judged) -> Path:
    """Writes recipe.yaml into the run's folder; its path."""
    path = session.request.folder / "recipe.yaml"
    path.write_text(dump_recipe(make_recipe(session, winner)), encoding="utf-8")
    return path


def make_recipe(session: Session, winner: Judged) -> Recipe:
    """The recipe of an accepted stack; its digest is filled in when it is written."""
    assert winner.numbers is not None, "only an accepted stack has final numbers"
    speed, memory = winner.numbers.speed, winner.numbers.memory
    verdict, stack = winner.gate.verdict, winner.measured.candidate.stack
    device = session.target.hardware.name
    return Recipe(
        schema=SCHEMA,
        target=session.target,
        stack=tuple(_member(item) for item in stack),
        evidence=RecipeEvidence(
            speedup=measured_ratio(speed, device),
            baseline_s=measured_seconds(speed.baseline_s, device),
            accelerated_s=measured_seconds(speed.accelerated_s, device),
            quality=(
                *(
                    QualityCheck(c.name, _round(c.value), _round(c.bound), _round(c.margin), c.n)
                    for c in verdict.checks
                    if c.stage != "screening"
                ),
                *_edge_check(winner.measured.edge),
            ),
            memory=Memory(
                memory.baseline_weights,
                memory.accelerated_weights,
                memory.baseline_peak,
                memory.accelerated_peak,
                1,
                device,
                memory.kept_for_undo,
                memory.weights_after_undo,
            ),
            engagement=winner.gate.engagement,
            cold_start=measured_cold_start(winner.numbers.cold_start, speed, device),
        ),
        provenance=Provenance(
            run_id=session.request.folder.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=session.versions,
            gate=verdict.profile,
            gate_digest=verdict.profile_digest,
            backend=verdict.label,
        ),
    )


def _member(item: StackItem) -> Member:
    """With every setting written out: a later change of a default must not change the recipe."""
    technique = get_technique(item.technique)
    config = asdict(parse_config(technique, item.config))
    return Member(item.technique, technique.skill, config, item.schedule)


def _edge_check(edge: EdgeCheck | None) -> tuple[QualityCheck, ...]:
    """The bolder neighbour's PSNR against the search's floor; no numbers where none could move."""
    if edge is None:
        return ()
    psnr = _round(edge.psnr)
    return (QualityCheck("edge_psnr", psnr, psnr, _round(edge.floor_psnr), edge.n),)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
