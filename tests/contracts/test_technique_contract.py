"""The suite that every technique passes (`sol.technique`): one table of settings drives it.

A technique that is not in the table fails `test_every_technique_has_settings`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from examples import OTHER_PROMPT, PROMPT

from sol.errors import ConfigError, ConflictError, NoEffectError
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.registry import TECHNIQUES, get_technique
from sol.technique import StackItem


@dataclass(frozen=True)
class Settings:
    """How a technique is exercised.

    Attributes:
        bold: A config that must engage on an 8-step video.
        inert: A config or schedule with which it installs, but cannot engage, if there is one.
        tolerance: Largest latent difference that `numerical` allows.
    """

    bold: dict[str, Any] = field(default_factory=dict)
    inert: StackItem | None = None
    tolerance: float = 1e-4


SETTINGS = {
    "easycache": Settings(
        bold={"threshold": 5.0, "warmup": 2, "max_skips": 2},
        inert=StackItem("easycache", {"threshold": 5.0}, Schedule(steps="none")),
    ),
    "step_mask": Settings(
        bold={"skip": "3,5-6"}, inert=StackItem("step_mask", {"skip": "3"}, Schedule(steps="5"))
    ),
    "text_kv": Settings(),
    "diffusers_first_block": Settings(
        bold={"threshold": 0.5, "warmup": 2},
        inert=StackItem("diffusers_first_block", {"threshold": 1e-9}),
    ),
    "diffusers_mag": Settings(
        bold={
            "mag_ratios": [1.0, 1.02, 1.01, 1.01],
            "threshold": 0.2,
            "max_skip_steps": 2,
            "retention_ratio": 0.25,
        },
        inert=StackItem(
            "diffusers_mag", {"mag_ratios": [1.0, 1.02, 1.01, 1.01], "threshold": 1e-9}
        ),
    ),
    "diffusers_taylorseer": Settings(
        bold={"cache_interval": 3, "disable_cache_before_step": 2},
        inert=StackItem("diffusers_taylorseer", {"disable_cache_before_step": 8}),
    ),
    "cache_dit": Settings(
        bold={
            "Fn_compute_blocks": 1,
            "max_warmup_steps": 2,
            "residual_diff_threshold": 0.9,
            "max_continuous_cached_steps": 2,
        },
        inert=StackItem(
            "cache_dit",
            {"Fn_compute_blocks": 1, "max_warmup_steps": 2, "residual_diff_threshold": 1e-9},
        ),
    ),
    "int8_dynamic": Settings(bold={"layers": "all"}),
    "regional_compile": Settings(),
}
NAMES = sorted(SETTINGS)
WITH_IDENTITY = [n for n in NAMES if get_technique(n).identity is not None]
WITH_INERT = [n for n in NAMES if SETTINGS[n].inert is not None]


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    yield
    torch._dynamo.reset()


def bold(name: str) -> tuple[StackItem, ...]:
    return (StackItem(name, SETTINGS[name].bold),)


def test_every_technique_has_settings():
    assert set(SETTINGS) == set(TECHNIQUES)


@pytest.mark.parametrize("name", NAMES)
def test_undo_restores_the_output_bit_by_bit(name, pipeline, workload, baseline):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, bold(name))
    render(pipeline, workload, OTHER_PROMPT, 1)
    applied.undo()
    after = render(pipeline, workload, PROMPT, 0)
    assert np.array_equal(after.latents, baseline.latents)
    assert np.array_equal(after.frames, baseline.frames)
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize("name", NAMES)
def test_installed_changes_the_pipeline_and_says_what_it_did(name, pipeline, workload, baseline):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, bold(name))
    assert fingerprint_pipeline(pipeline) != before
    rendering = render(pipeline, workload, PROMPT, 0)
    evidence = applied.evidence()[name]
    assert evidence.engaged
    assert all(count >= 0 for count in evidence.counts.values())
    assert sum(evidence.counts.values()) > 0
    difference = float(np.abs(rendering.latents - baseline.latents).max())
    exactness = get_technique(name).exactness
    if exactness == "exact":
        assert difference == 0.0
    elif exactness == "numerical":
        assert difference <= SETTINGS[name].tolerance
    else:
        assert difference > 0.0


@pytest.mark.parametrize("name", WITH_IDENTITY)
def test_identity_setting_is_the_baseline(name, pipeline, workload, baseline):
    identity = get_technique(name).identity
    install_stack(pipeline, (StackItem(name, {**SETTINGS[name].bold, **identity}),))
    rendering = render(pipeline, workload, PROMPT, 0)
    assert np.array_equal(rendering.latents, baseline.latents)


@pytest.mark.parametrize("name", WITH_INERT)
def test_never_engaging_is_an_error(name, pipeline, workload):
    with (
        pytest.raises(NoEffectError, match=f"{name} never engaged"),
        install_stack(pipeline, (SETTINGS[name].inert,)),
    ):
        render(pipeline, workload, PROMPT, 0)


@pytest.mark.parametrize("name", NAMES)
def test_engaging_is_no_error(name, pipeline, workload):
    with install_stack(pipeline, bold(name)) as applied:
        render(pipeline, workload, PROMPT, 0)
        applied.require_engaged()
        assert applied.clock.video == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_state_crosses_videos(name, pocket, workload):
    second, first = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    install_stack(second, bold(name))
    render(second, workload, OTHER_PROMPT, 1)
    after_another = render(second, workload, PROMPT, 0)
    install_stack(first, bold(name))
    alone = render(first, workload, PROMPT, 0)
    assert np.array_equal(after_another.latents, alone.latents)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_video_leaves_no_trace(name, pocket, workload):
    """The next video of a pipeline whose last one stopped half-way is as if nothing had been."""
    pipeline = clone_pipeline(pocket.pipeline)
    install_stack(pipeline, bold(name))
    with pytest.raises(KeyboardInterrupt):
        render(pipeline, workload, OTHER_PROMPT, 1, on_step=_interrupt_at_step_4)
    after = render(pipeline, workload, PROMPT, 0)
    fresh = clone_pipeline(pocket.pipeline)
    install_stack(fresh, bold(name))
    assert np.array_equal(after.latents, render(fresh, workload, PROMPT, 0).latents)


def _interrupt_at_step_4(step, latents):
    if step == 4:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", NAMES)
def test_unknown_config_keys_are_refused(name, pipeline):
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(ConfigError, match="no_such_key: no such key"):
        install_stack(pipeline, (StackItem(name, {"no_such_key": 1}),))
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_that_would_be_ignored_is_refused(name, pipeline):
    for axis in {"steps", "layers"} - get_technique(name).schedulable:
        item = StackItem(name, SETTINGS[name].bold, Schedule(**{axis: "first:1"}))
        with pytest.raises(ConfigError, match=f"cannot be limited to some {axis}"):
            install_stack(pipeline, (item,))


@pytest.mark.parametrize("name", NAMES)
def test_installing_twice_is_refused(name, pipeline):
    install_stack(pipeline, bold(name))
    with pytest.raises(ConflictError, match="already applied"):
        install_stack(pipeline, bold(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_output_keeps_the_type_that_the_caller_asked_for(name, pipeline, workload):
    install_stack(pipeline, bold(name))
    seen = []
    hook = pipeline.transformer.register_forward_hook(lambda _m, _a, out: seen.append(type(out)))
    render(pipeline, workload, PROMPT, 0)
    hook.remove()
    assert set(seen) == {tuple}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_second_video_equals_the_same_video_made_first_in_a_fresh_process(
    name, pocket, workload, tmp_path
):
    pipeline = clone_pipeline(pocket.pipeline)
    install_stack(pipeline, bold(name))
    render(pipeline, workload, OTHER_PROMPT, 1)
    here = render(pipeline, workload, PROMPT, 0)
    script = (
        "import sys, json, numpy as np, torch\n"
        "torch.set_num_threads(1)\n"
        "from sol.models.loading import load_model\n"
        "from sol.runtime.applied import install_stack\n"
        "from sol.runtime.render import render\n"
        "from sol.technique import StackItem\n"
        "name, config, prompt, out = sys.argv[1:]\n"
        "loaded = load_model('pocket', 'cpu')\n"
        "install_stack(loaded.pipeline, (StackItem(name, json.loads(config)),))\n"
        "workload = loaded.workload.with_overrides({'steps': 8})\n"
        "np.save(out, render(loaded.pipeline, workload, prompt, 0).latents)\n"
    )
    import json

    out = tmp_path / "latents.npy"
    arguments = [name, json.dumps(SETTINGS[name].bold), PROMPT, str(out)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=300)
    assert np.array_equal(np.load(out), here.latents)
