"""CogVideoX and HunyuanVideo 1.5: what their adapters say that no other family's has to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contracts.models import PLAIN, denoise
from tiny_models import TINY, build_tiny, tiny_workload

from sol.models.adapters.published import find_teacache
from sol.models.families import describe_roles, get_family
from sol.runtime.applied import install_stack
from sol.technique import StackItem

LATENTS = torch.zeros(2, 4, 4, 8, 12)
"""Four frames of four channels, 8 rows, 12 columns."""


@pytest.mark.parametrize(
    ("family", "sizes"), [("cogvideox", (4, 4, 6)), ("cogvideox_1_5", (2, 4, 6))]
)
def test_a_token_of_cogvideox_is_a_patch_of_one_or_two_frames(family, sizes):
    (denoiser,) = describe_roles(build_tiny(family)).denoisers
    assert denoiser.token_grid((), {"hidden_states": LATENTS}).sizes == sizes


def test_latents_of_cogvideox_have_their_frames_before_their_channels():
    (denoiser,) = describe_roles(build_tiny("cogvideox")).denoisers
    latents = torch.arange(24.0).reshape(1, 3, 2, 2, 2)
    grid = denoiser.grid.to_grid(latents, (), {})
    assert grid.shape == (1, 2, 3, 2, 2)
    assert torch.equal(grid[0, 1, 2], latents[0, 2, 1])
    assert torch.equal(denoiser.grid.from_grid(grid), latents)


@pytest.mark.parametrize(
    ("name", "sizes", "first"),
    [
        ("cogvideox", (30, 30, 64), -3.10658903e1),
        ("cogvideox", (42, 48, 64), -1.53880483e3),
        ("cogvideox_1.5", (42, 48, 64), 2.50210439e2),
    ],
    ids=["2B", "5B", "1.5"],
)
def test_the_5b_and_1_5_have_a_teacache_each(name, sizes, first):
    names = ("num_layers", "num_attention_heads", "attention_head_dim")
    published = find_teacache(name, SimpleNamespace(**dict(zip(names, sizes, strict=True))))
    assert published.coefficients[0] == first
    assert published.signal == "timestep"


@pytest.mark.parametrize(("scale", "n_conditions"), [(4.5, 2), (1.0, 1), (0.0, 1)])
def test_hunyuan_is_guided_by_its_workload_for_one_call(scale, n_conditions):
    pipeline = build_tiny("hunyuan_video15")
    guider, length = pipeline.guider, pipeline.tokenizer_max_length
    before = dict(vars(guider))
    workload = tiny_workload("hunyuan_video15").with_overrides({"guidance_scale": scale})
    undo = get_family(pipeline).prepare(pipeline, workload)
    assert pipeline.guider.guidance_scale == scale
    assert pipeline.guider.num_conditions == n_conditions
    assert pipeline.tokenizer_max_length == workload.max_sequence_length
    undo()
    assert pipeline.guider is guider
    assert vars(guider) == before
    assert pipeline.tokenizer_max_length == length


def test_only_the_first_channels_of_hunyuan_are_its_latents():
    (denoiser,) = describe_roles(build_tiny("hunyuan_video15")).denoisers
    given = torch.randn(1, 9, 3, 4, 4)
    assert torch.equal(denoiser.form.read((given,), {}), given[:, :4])
    _, resized = denoiser.resize_call(((), {"hidden_states": given}), (2, 3, 3))
    assert resized["hidden_states"].shape == (1, 9, 2, 3, 3)


@pytest.mark.parametrize("family", ["cogvideox", "hunyuan_video15"])
def test_a_blocks_text_is_not_lost_when_blocks_are_skipped(family):
    """What a skipped run of blocks returns has both streams, each in its own shape."""
    pipeline = build_tiny(family)
    (denoiser,) = describe_roles(pipeline).denoisers
    form = denoiser.block_form
    video, text = torch.randn(1, 6, 32), torch.randn(1, 5, 32)
    kwargs = {"hidden_states": video, "encoder_hidden_states": text}
    assert form.read((), kwargs).shape == (1, 11, 32)
    passed = form.pass_through((), kwargs)
    assert torch.equal(passed[0], video)
    assert torch.equal(passed[1], text)


def test_cache_dit_extrapolates_the_blocks_of_two_streams():
    """A series makes another video than the last residual as it is."""
    pytest.importorskip("cache_dit")
    config = {"Fn_compute_blocks": 1, "max_warmup_steps": 3, "residual_diff_threshold": 0.9}
    latents = []
    for order in (0, 1):
        pipeline = build_tiny("cogvideox")
        install_stack(pipeline, (StackItem("cache_dit", {**config, "taylorseer_order": order}),))
        latents.append(denoise(pipeline, tiny_workload("cogvideox"), PLAIN))
    assert np.isfinite(latents).all()
    assert not np.array_equal(*latents)


@pytest.mark.parametrize("family", ["cogvideox", "hunyuan_video15"])
def test_pab_keeps_both_streams_of_an_attention(family):
    """And counts both: the text takes memory too."""
    pipeline = build_tiny(family)
    sizes = []
    attention = describe_roles(pipeline).denoisers[0].self_attention[0]
    attention.register_forward_hook(
        lambda _m, _a, out: sizes.append(sum(stream.nbytes for stream in out))
    )
    config = {"self_every": 2, "warmup": 2, "tail": 1}
    applied = install_stack(pipeline, (StackItem("pab", config),))
    denoise(pipeline, tiny_workload(family), PLAIN)
    counts = applied.evidence()["pab"].counts
    n_branches = len(TINY[family].branches)
    assert counts["sites_reused"] == 4 * n_branches * 3
    assert counts["bytes_held"] == 4 * n_branches * sizes[0]
