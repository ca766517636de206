"""The suite that every technique passes (`sol.technique`) on every model that can run it.

`contracts/settings.py` says how a technique is exercised; one that is not in that table fails
`test_every_technique_has_settings`. `contracts/models.py` holds the models: one small pipeline of
each family, and the pocket model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from typing import Literal

import numpy as np
import pytest
import torch
from contracts.models import (
    BATCH,
    MODELS,
    OTHER,
    PLAIN,
    UNGUIDED,
    WIDE,
    denoise,
    get_model,
)
from contracts.settings import SETTINGS
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import VARIANTS

from sol.errors import ConfigError, ConflictError, NoEffectError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.registry import TECHNIQUES, get_technique
from sol.technique import StackItem, find_obstacle

# Techniques that compile for seconds on each model, and where the fast run tries them.
COMPILED = {"regional_compile": ("pocket", "wan"), "full_compile": ("wan",)}

# On these the suite is run as a whole. On the other families it is what changes with the model:
# that a technique engages and can be undone (compiled code, and variants: marked slow), that its
# identity setting is the baseline, and that no state crosses. `make matrix` runs the rest as well.
CORE = ("pocket", "ltx", "wan", "sana_video")
Depth = Literal["every", "family", "core"]

CALLS = {
    "another_prompt": (OTHER, PLAIN),
    "batch": (PLAIN, BATCH, PLAIN),
    "resolution": (PLAIN, WIDE, PLAIN),
    "guidance_off": (PLAIN, UNGUIDED, PLAIN),
}
OF_ONE_SHAPE = ("another_prompt",)
OF_EVERY_FAMILY = ("another_prompt", "guidance_off")


def bold(name):
    return (StackItem(name, SETTINGS[name].bold),)


def applies(model, name):
    return find_obstacle(get_technique(name), describe_roles(get_model(model).pipeline)) is None


def is_tried(model, name, depth):
    """Compiling takes so long that elsewhere only what changes with the model is tried."""
    return depth == "every" or model in COMPILED.get(name, MODELS)


def marks(model, name, depth):
    if depth == "every" and (model in VARIANTS or model not in COMPILED.get(name, MODELS)):
        return [pytest.mark.slow]
    is_full = model in VARIANTS or (depth == "core" and model not in CORE)
    return [pytest.mark.full] if is_full else []


def pairs(names, models=MODELS, depth: Depth = "core"):
    """Every (model, technique) that goes together."""
    return [
        pytest.param(model, name, id=f"{model}-{name}", marks=marks(model, name, depth))
        for name in sorted(names)
        for model in models
        if applies(model, name) and is_tried(model, name, depth)
    ]


def pairs_with_calls():
    """Every pair with every sequence of calls; a new shape compiles everything once more."""
    return [
        pytest.param(
            *pair.values,
            calls,
            id=f"{pair.id}-{case}",
            marks=[pytest.mark.slow]
            if pair.values[1] in COMPILED and case not in OF_ONE_SHAPE
            else pair.marks,
        )
        for case, calls in CALLS.items()
        for pair in pairs(SETTINGS, depth="family" if case in OF_EVERY_FAMILY else "core")
    ]


def each(pairs):
    return pytest.mark.parametrize(("model", "name"), pairs)


each_pair = each(pairs(SETTINGS))
each_pair_of_every_family = each(pairs(SETTINGS, depth="every"))
each_pair_with_identity = each(
    pairs((n for n in SETTINGS if get_technique(n).identity is not None), depth="family")
)
each_pair_with_inert = each(pairs(n for n in SETTINGS if SETTINGS[n].inert is not None))
# The libraries' caches keep what they keep; a recipe's peak memory includes it.
UNCOUNTED = ("cache_dit", "diffusers_first_block", "diffusers_mag", "diffusers_taylorseer")
each_pair_of_our_caches = each(
    pairs(n for n in SETTINGS if get_technique(n).skill == "cache" and n not in UNCOUNTED)
)
each_on_pocket = each(pairs(SETTINGS, models=("pocket",)))


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    yield
    torch._dynamo.reset()


@pytest.fixture
def pipeline(model):
    """A clone of its own for every test."""
    return clone_pipeline(get_model(model).pipeline)


@pytest.fixture
def workload(model):
    return get_model(model).workload


@cache
def baseline(model):
    return render(get_model(model).pipeline, get_model(model).workload, PROMPT, 0)


@cache
def fresh(model, name, call):
    """The latents of a call that is the first of its pipeline."""
    pipeline = clone_pipeline(get_model(model).pipeline)
    install_stack(pipeline, bold(name))
    return denoise(pipeline, get_model(model).workload, call)


def assert_same(name, actual, expected):
    """Bit by bit; a `numerical` technique may round differently from shape to shape."""
    if get_technique(name).exactness == "numerical":
        np.testing.assert_allclose(actual, expected, rtol=0.0, atol=SETTINGS[name].tolerance)
    else:
        assert np.array_equal(actual, expected)


def test_every_technique_has_settings():
    assert set(SETTINGS) == set(TECHNIQUES)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["easycache", "step_mask", "pab"])
def test_what_every_model_offers_is_tried_on_every_model(model, name):
    assert applies(model, name)


@each_pair_of_every_family
def test_undo_restores_the_output_bit_by_bit(model, name, pipeline, workload):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, bold(name))
    render(pipeline, workload, OTHER_PROMPT, 1)
    applied.undo()
    after = render(pipeline, workload, PROMPT, 0)
    assert np.array_equal(after.latents, baseline(model).latents)
    assert np.array_equal(after.frames, baseline(model).frames)
    assert fingerprint_pipeline(pipeline) == before


@each_pair_of_every_family
def test_installed_changes_the_pipeline_and_says_what_it_did(model, name, pipeline, workload):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, bold(name))
    assert fingerprint_pipeline(pipeline) != before
    rendering = render(pipeline, workload, PROMPT, 0)
    evidence = applied.evidence()[name]
    assert evidence.engaged
    assert all(count >= 0 for count in evidence.counts.values())
    assert sum(evidence.counts.values()) > 0
    difference = float(np.abs(rendering.latents - baseline(model).latents).max())
    exactness = get_technique(name).exactness
    if exactness == "exact":
        assert difference == 0.0
    elif exactness == "numerical":
        assert difference <= SETTINGS[name].tolerance
    else:
        assert difference > 0.0


@each_pair_of_our_caches
def test_a_cache_says_how_much_memory_it_holds(model, name, pipeline, workload):
    """And holds no more after three videos than after one."""
    applied = install_stack(pipeline, bold(name))
    held = []
    for seed in range(3):
        render(pipeline, workload, PROMPT, seed)
        held.append(applied.evidence()[name].counts["bytes_held"])
    assert held[0] > 0
    assert held == held[:1] * 3


@each_pair_with_identity
def test_identity_setting_is_the_baseline(model, name, pipeline, workload):
    identity = get_technique(name).identity
    install_stack(pipeline, (StackItem(name, {**SETTINGS[name].bold, **identity}),))
    rendering = render(pipeline, workload, PROMPT, 0)
    assert np.array_equal(rendering.latents, baseline(model).latents)


@each_pair_with_inert
def test_never_engaging_is_an_error(model, name, pipeline, workload):
    with (
        pytest.raises(NoEffectError, match=f"{name} never engaged"),
        install_stack(pipeline, (SETTINGS[name].inert,)),
    ):
        render(pipeline, workload, PROMPT, 0)


@each_pair
def test_engaging_is_no_error(model, name, pipeline, workload):
    with install_stack(pipeline, bold(name)) as applied:
        render(pipeline, workload, PROMPT, 0)
        applied.require_engaged()
        assert applied.clock.video == 1


@pytest.mark.parametrize(("model", "name", "calls"), pairs_with_calls())
def test_no_state_crosses_videos(model, name, calls, pipeline, workload):
    install_stack(pipeline, bold(name))
    for call in calls:
        assert_same(name, denoise(pipeline, workload, call), fresh(model, name, call))


@each_pair
def test_an_interrupted_video_leaves_no_trace(model, name, pipeline, workload):
    """The next video of a pipeline whose last one stopped half-way is as if nothing had been."""
    install_stack(pipeline, bold(name))
    with pytest.raises(KeyboardInterrupt):
        denoise(pipeline, workload, OTHER, on_step=_interrupt_at_step_4)
    assert_same(name, denoise(pipeline, workload, PLAIN), fresh(model, name, PLAIN))


def _interrupt_at_step_4(step, latents):
    if step == 4:
        raise KeyboardInterrupt


@each_pair
def test_two_pipelines_do_not_disturb_each_other(model, name, pipeline, workload):
    """One makes a whole video in the middle of the other's, and the other way round."""
    pair = (pipeline, clone_pipeline(get_model(model).pipeline))
    for member in pair:
        install_stack(member, bold(name))
    for outer, inner in (pair, pair[::-1]):
        between = []

        def at_step_4(step, latents):
            if step == 4:
                between.append(denoise(inner, workload, OTHER))

        assert_same(
            name, denoise(outer, workload, PLAIN, on_step=at_step_4), fresh(model, name, PLAIN)
        )
        assert_same(name, between[0], fresh(model, name, OTHER))


@each_pair
def test_unknown_config_keys_are_refused(model, name, pipeline):
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(ConfigError, match="no_such_key: no such key"):
        install_stack(pipeline, (StackItem(name, {"no_such_key": 1}),))
    assert fingerprint_pipeline(pipeline) == before


@each_pair
def test_a_schedule_that_would_be_ignored_is_refused(model, name, pipeline):
    for axis in {"steps", "layers"} - get_technique(name).schedulable:
        item = StackItem(name, SETTINGS[name].bold, Schedule(**{axis: "first:1"}))
        with pytest.raises(ConfigError, match=f"cannot be limited to some {axis}"):
            install_stack(pipeline, (item,))


@each_pair
def test_installing_twice_is_refused(model, name, pipeline):
    install_stack(pipeline, bold(name))
    with pytest.raises(ConflictError, match="already applied"):
        install_stack(pipeline, bold(name))


@each_pair
def test_the_output_keeps_the_type_that_the_caller_asked_for(model, name, pipeline, workload):
    install_stack(pipeline, bold(name))
    seen = []
    hook = pipeline.transformer.register_forward_hook(lambda _m, _a, out: seen.append(type(out)))
    render(pipeline, workload, PROMPT, 0)
    hook.remove()
    assert set(seen) == {tuple}


TOGETHER = (
    StackItem("int8_dynamic", {"layers": "all"}),
    StackItem("regional_compile"),
    StackItem("step_mask", {"skip": "3,5-6"}),
)


@pytest.mark.parametrize("model", ["pocket", "wan"])
def test_quantised_compiled_and_cached_together(model, pipeline, workload):
    """All three engage, nothing crosses videos, and undo is exact."""
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, TOGETHER)
    first = denoise(pipeline, workload, PLAIN)
    applied.require_engaged()
    counts = {name: evidence.counts for name, evidence in applied.evidence().items()}
    assert counts["regional_compile"]["eager_calls"] == 0
    assert counts["step_mask"]["calls_skipped"] > 0
    denoise(pipeline, workload, OTHER)
    assert np.array_equal(denoise(pipeline, workload, PLAIN), first)
    assert not np.array_equal(first, denoise(get_model(model).pipeline, workload, PLAIN))
    applied.undo()
    assert fingerprint_pipeline(pipeline) == before
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline(model).latents)


@pytest.mark.slow
@each_on_pocket
def test_second_video_equals_the_same_video_made_first_in_a_fresh_process(
    model, name, pipeline, workload, tmp_path
):
    install_stack(pipeline, bold(name))
    denoise(pipeline, workload, OTHER)
    here = render(pipeline, workload, PROMPT, 0)
    script = (
        "import sys, json, numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from sol.models.loading import load_model\n"
        "from sol.runtime.applied import install_stack\n"
        "from sol.runtime.render import render\n"
        "from sol.target import Workload\n"
        "from sol.technique import StackItem\n"
        "name, config, workload, prompt, out = sys.argv[1:]\n"
        "pipeline = load_model('pocket', 'cpu').pipeline\n"
        "install_stack(pipeline, (StackItem(name, json.loads(config)),))\n"
        "workload = Workload(**json.loads(workload))\n"
        "np.save(out, render(pipeline, workload, prompt, 0).latents)\n"
    )
    out = tmp_path / "latents.npy"
    data = (json.dumps(SETTINGS[name].bold), json.dumps(asdict(workload)))
    arguments = [name, *data, PROMPT, str(out)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=300)
    assert np.array_equal(np.load(out), here.latents)
