"""The YAML is one that cache-dit itself loads, and does with it what Sol does."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import yaml
from example_prompts import PROMPT
from export_examples import item, recipe_of
from tiny_models import build_tiny

from sol.errors import SolError
from sol.export.cache_dit import export_cache_dit
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.target import Workload

BLOCKS = {"max_warmup_steps": 2, "residual_diff_threshold": 0.4}
FRONT = {"warmup": 2, "threshold": 0.4}
CASES = {
    "cache_dit": item("cache_dit", Fn_compute_blocks=1, Bn_compute_blocks=1, **BLOCKS),
    "taylorseer": item("cache_dit", Fn_compute_blocks=1, taylorseer_order=1, **BLOCKS),
    "some steps": item(
        "cache_dit", "3-5", Fn_compute_blocks=2, max_continuous_cached_steps=1, **BLOCKS
    ),
    "together": item("cache_dit", Fn_compute_blocks=1, cfg_diff_compute_separate=False, **BLOCKS),
    "first_block": item("first_block", front=1, back=1, tail=0, max_skips=2, **FRONT),
    "tail": item("first_block", tail=2, max_skips=3, per_branch=True, **FRONT),
    "diffusers": item("diffusers_first_block", **FRONT),
    "diffusers, some steps": item("diffusers_first_block", "1-3,6", **FRONT),
}


@pytest.fixture
def cache_dit():
    """The library, without its log lines and its patch of all loggers."""
    logging.disable(logging.ERROR)
    names = ("warning_once", "info_once")
    patched = {name: vars(logging.Logger).get(name) for name in names}
    import cache_dit as library

    yield library
    logging.disable(logging.NOTSET)
    for name, method in patched.items():
        if method is not None:
            setattr(logging.Logger, name, method)


def compare(library, pipeline, recipe, stack_item, tmp_path):
    """Sol's latents, and cache-dit's by the exported file."""
    file = tmp_path / "cache.yaml"
    file.write_text(export_cache_dit(recipe).text)
    workload = recipe.target.workload
    with install_stack(pipeline, (stack_item,)):
        ours = render(pipeline, workload, PROMPT, 0).latents
    library.enable_cache(pipeline, **library.load_configs(str(file)))
    theirs = render(pipeline, workload, PROMPT, 0).latents
    return ours, theirs


@pytest.mark.parametrize("name", CASES)
def test_the_library_does_the_same_with_the_file(cache_dit, pipeline, baseline, tmp_path, name):
    recipe = recipe_of(CASES[name])
    ours, theirs = compare(cache_dit, pipeline, recipe, CASES[name], tmp_path)
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, baseline.latents)


@pytest.mark.parametrize("scale", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("name", ["cache_dit", "together", "first_block", "tail", "diffusers"])
def test_so_it_does_where_each_branch_is_a_call(cache_dit, tmp_path, name, scale):
    workload = Workload(32, 32, 5, 8, scale, 16, 8)
    recipe = recipe_of(CASES[name], **vars(workload))
    pipeline = build_tiny("wan")
    baseline = render(pipeline, workload, PROMPT, 0)
    ours, theirs = compare(cache_dit, pipeline, recipe, CASES[name], tmp_path)
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, baseline.latents)


def test_what_it_cannot_say_is_listed():
    exported = export_cache_dit(
        recipe_of(CASES["tail"], item("regional_compile"), item("int8_dynamic"))
    )
    assert exported.expressed == ("first_block",)
    reasons = {left.technique: left.reason for left in exported.omissions}
    assert "torch.compile" in reasons["regional_compile"]
    assert "nothing that does the same" in reasons["int8_dynamic"]
    assert "max_mb" in reasons["first_block"]
    assert all(f"{name}: {reason}" in exported.text for name, reason in reasons.items())
    assert yaml.safe_load(exported.text)["cache_config"]["steps_computation_mask"] == [
        *(1, 1, 0, 0, 0, 0, 1, 1)
    ]


@pytest.mark.parametrize(
    ("stack_item", "reason"),
    [
        (item("first_block", reuse="taylor1"), "does not predict by 'taylor1'"),
        (item("first_block", threshold=1.5), "takes a threshold of 1.5 for 'always reuse'"),
        (item("step_mask", skip="3"), "at least the first block in every step"),
        (item("regional_compile"), "cannot ask for torch.compile"),
    ],
)
def test_a_recipe_of_which_nothing_can_be_said_is_an_error(stack_item, reason):
    with pytest.raises(SolError, match=f"Nothing of this recipe.*{reason}.*sol.apply"):
        export_cache_dit(recipe_of(stack_item))
