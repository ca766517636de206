"""cache-dit behind Sol's contract: its known traps, and what it really leaves out."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import build_tiny, tiny_workload
from watched_videos import computed_steps, interrupt

from sol.diagnosis import Diagnosis
from sol.errors import ConfigError, ConflictError, NoEffectError, NotApplicableError
from sol.models import cache_backends
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.technique import SpaceContext, StackItem, parse_config

ALWAYS = {"Fn_compute_blocks": 1, "max_warmup_steps": 2, "residual_diff_threshold": 10.0}


def stack(schedule=None, **changes):
    return (StackItem("cache_dit", {**ALWAYS, **changes}, schedule or Schedule()),)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 1]),
        ({"max_warmup_steps": 5}, [0, 1, 2, 3, 4]),
        ({"max_continuous_cached_steps": 2}, [0, 1, 4, 7]),
        ({"taylorseer_order": 1}, [0, 1]),
        ({"residual_diff_threshold": 0.0}, list(range(8))),
    ],
)
def test_the_middle_blocks_are_computed_where_the_config_says(
    pipeline, workload, changes, expected
):
    install_stack(pipeline, stack(**changes))
    middle = pipeline.transformer.transformer_blocks[4]
    assert computed_steps(pipeline, middle, workload) == expected


@pytest.mark.parametrize(("fn", "bn"), [(1, 0), (2, 3), (6, 1)])
def test_the_first_and_last_blocks_are_always_computed(pipeline, workload, fn, bn):
    install_stack(pipeline, stack(Fn_compute_blocks=fn, Bn_compute_blocks=bn))
    calls = [0] * 8
    for index, block in enumerate(pipeline.transformer.transformer_blocks):
        block.ff.register_forward_hook(lambda *_, i=index: calls.__setitem__(i, calls[i] + 1))
    render(pipeline, workload, PROMPT, 0)
    assert calls == [8] * fn + [2] * (8 - fn - bn) + [8] * bn


def test_the_schedule_is_obeyed(pipeline, workload):
    install_stack(pipeline, stack(Schedule(steps="3-4,6")))
    middle = pipeline.transformer.transformer_blocks[4]
    assert computed_steps(pipeline, middle, workload) == [0, 1, 2, 5, 7]


@pytest.mark.parametrize("order", [1, 2])
def test_extrapolation_differs_from_reuse(pocket, workload, order):
    def latents(**changes):
        pipeline = clone_pipeline(pocket.pipeline)
        install_stack(pipeline, stack(max_warmup_steps=4, **changes))
        return render(pipeline, workload, PROMPT, 0).latents

    assert not np.array_equal(latents(taylorseer_order=order), latents())


@pytest.mark.parametrize("key", ["enable_sperate_cfg", "Fn_compute_block", "cache_type"])
def test_keys_that_the_library_would_drop_are_refused(pipeline, key):
    """The library's own update ignores them; the first is misspelled in its documentation."""
    import cache_dit

    library = cache_dit.DBCacheConfig().update(enable_sperate_cfg=True)
    assert not library.enable_separate_cfg
    with pytest.raises(ConfigError, match=f"{key}: no such key"):
        install_stack(pipeline, stack(**{key: 1}))


@pytest.mark.parametrize(("fn", "bn"), [(8, 0), (4, 4), (9, 0)])
def test_a_config_that_leaves_no_block_to_skip_is_refused(pipeline, fn, bn):
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(ConfigError, match="nothing is left to skip"):
        install_stack(pipeline, stack(Fn_compute_blocks=fn, Bn_compute_blocks=bn))
    assert fingerprint_pipeline(pipeline) == before


def test_what_never_skips_is_reported(pipeline, workload):
    with (
        pytest.raises(NoEffectError, match="cache_dit never engaged"),
        install_stack(pipeline, stack(residual_diff_threshold=1e-9)),
    ):
        render(pipeline, workload, PROMPT, 0)


def test_evidence_counts_what_was_computed(pipeline, workload):
    applied = install_stack(pipeline, stack(Fn_compute_blocks=2))
    render(pipeline, workload, PROMPT, 0)
    counts = applied.evidence()["cache_dit"].counts
    assert counts == {"blocks_computed": 2 * 8 + 6 * 2, "blocks_skipped": 6 * 6}


def enable_the_library_alone(pipeline):
    import cache_dit

    adapter = cache_dit.BlockAdapter(
        transformer=pipeline.transformer,
        blocks=pipeline.transformer.transformer_blocks,
        forward_pattern=cache_dit.ForwardPattern.Pattern_3,
    )
    config = cache_dit.DBCacheConfig(**ALWAYS, enable_separate_cfg=False)
    cache_dit.enable_cache(adapter, cache_config=config)


def enable_ours(pipeline):
    install_stack(pipeline, stack())


@pytest.mark.parametrize(
    ("enable", "is_kept_apart"), [(enable_the_library_alone, False), (enable_ours, True)]
)
def test_the_library_carries_state_into_the_next_video_and_ours_does_not(
    enable, is_kept_apart, pocket, workload
):
    """Alone, it takes the next video for more steps of the last one."""
    pipeline, fresh = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    enable(pipeline)
    enable(fresh)
    render(pipeline, workload, OTHER_PROMPT, 1)
    after = render(pipeline, workload, PROMPT, 0).latents
    assert np.array_equal(after, render(fresh, workload, PROMPT, 0).latents) == is_kept_apart


def test_an_interrupted_video_does_not_reach_the_next(pocket, workload):
    config = {"taylorseer_order": 2, "max_continuous_cached_steps": 2}
    pipeline, fresh = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    for each in (pipeline, fresh):
        install_stack(each, stack(**config))
    with pytest.raises(KeyboardInterrupt):
        render(pipeline, workload, OTHER_PROMPT, 1, on_step=interrupt)
    after = render(pipeline, workload, PROMPT, 0).latents
    assert np.array_equal(after, render(fresh, workload, PROMPT, 0).latents)


def test_two_pipelines_side_by_side_do_not_meet(pocket, workload):
    """One is made between the steps of the other, and is let go while the other is at work."""
    alone, outer, inner = (clone_pipeline(pocket.pipeline) for _ in range(3))
    install_stack(alone, stack(max_continuous_cached_steps=2))
    expected = render(alone, workload, PROMPT, 0).latents
    install_stack(outer, stack(max_continuous_cached_steps=2))
    applied = install_stack(inner, stack(max_continuous_cached_steps=1))

    def make_another(step, _):
        if step == 3:
            render(inner, workload, OTHER_PROMPT, 1)
            applied.undo()

    actual = render(outer, workload, PROMPT, 0, on_step=make_another).latents
    assert np.array_equal(actual, expected)


def test_undo_leaves_the_denoiser_as_it_was(pipeline, workload):
    """Its attributes, and the order of its children, which the library changes in every call."""

    def traces():
        modules = list(pipeline.transformer.named_modules())
        return [(name, set(vars(module))) for name, module in modules]

    render(pipeline, workload, PROMPT, 0)
    before = traces()
    applied = install_stack(pipeline, (*stack(), StackItem("text_kv"), StackItem("easycache")))
    render(pipeline, workload, PROMPT, 0)
    applied.undo()
    assert traces() == before


def test_a_denoiser_in_the_librarys_hands_is_refused(pipeline):
    """As the user's own call of the library leaves it."""
    pipeline.transformer._is_cached = True
    with pytest.raises(ConflictError, match="already at work"):
        install_stack(pipeline, stack())


def test_a_machine_without_the_library_says_what_to_install(pipeline, monkeypatch):
    monkeypatch.setattr(cache_backends, "find_spec", lambda name: None)
    with pytest.raises(NotApplicableError, match=r"pip install 'sol-tuner\[cache\]'"):
        install_stack(pipeline, stack())


def test_importing_the_library_changes_no_baseline_and_no_logger(pipeline, workload, baseline):
    methods = logging.Logger.warning_once, logging.Logger.info_once
    applied = install_stack(pipeline, stack())
    assert (logging.Logger.warning_once, logging.Logger.info_once) == methods
    assert logging.root.manager.disable == logging.NOTSET
    applied.undo()
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_nothing_is_printed_and_nothing_imported_before_it_is_installed():
    script = (
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from sol.models.loading import load_model\n"
        "from sol.runtime.applied import install_stack\n"
        "from sol.runtime.render import render\n"
        "from sol.technique import StackItem\n"
        "loaded = load_model('pocket', 'cpu')\n"
        "assert 'cache_dit' not in sys.modules\n"
        "config = {'Fn_compute_blocks': 1, 'max_warmup_steps': 2}\n"
        "applied = install_stack(loaded.pipeline, (StackItem('cache_dit', config),))\n"
        "assert 'cache_dit' in sys.modules\n"
        "render(loaded.pipeline, loaded.workload.with_overrides({'steps': 4}), 'a circle', 0)\n"
        "applied.undo()\n"
        "assert 'ray' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=300
    )
    assert done.stdout == b""


def test_first_settings_are_configs_within_the_knobs(pipeline, workload):
    diagnosis = Diagnosis(10.0, 9.0, 6.0, 0.5, 0.1)
    technique = get_technique("cache_dit")
    space = technique.space(SpaceContext(describe_roles(pipeline), workload, diagnosis))
    assert space.first
    for setting in space.first:
        assert set(setting) == set(space.knobs)
        install_stack(clone_pipeline(pipeline), (StackItem("cache_dit", dict(setting)),))
        assert parse_config(technique, setting).Fn_compute_blocks < 8


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("separate", [True, False])
def test_guidance_branches_keep_their_own_state(order, separate):
    """With and without guidance, in any order, each video is as if it were the first."""
    pipeline, workload = build_tiny("wan"), tiny_workload("wan")
    unguided = workload.with_overrides({"guidance_scale": 1.0})
    plain = render(pipeline, workload, PROMPT, 0).latents
    config = {**ALWAYS, "taylorseer_order": order, "cfg_diff_compute_separate": separate}
    with install_stack(pipeline, (StackItem("cache_dit", config),)):
        guided = render(pipeline, workload, PROMPT, 0).latents
        render(pipeline, unguided, PROMPT, 1)
        assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, guided)
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, plain)
    assert not np.array_equal(guided, plain)


def test_without_guidance_no_branch_is_mistaken_for_the_other():
    """Counting calls, the library would take every second step for the other branch's."""
    pipeline = build_tiny("wan")
    workload = tiny_workload("wan").with_overrides({"guidance_scale": 1.0, "steps": 8})
    config = {**ALWAYS, "max_warmup_steps": 1}
    with install_stack(pipeline, (StackItem("cache_dit", config),)) as applied:
        render(pipeline, workload, PROMPT, 0)
    # 4 blocks, 8 steps: all at step 0, then the first alone. The other branch's first is computed.
    counts = applied.evidence()["cache_dit"].counts
    assert counts == {"blocks_computed": 4 + 7, "blocks_skipped": 7 * 3}
