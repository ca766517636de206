"""Compiled regions: what is compiled how often, what stays outside, what their evidence says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.models import PLAIN, denoise, get_model
from example_prompts import DIAGNOSIS
from torch import nn
from two_call_toy import ToyBlock, ToyDenoiser, are_equal, run_video, toy_roles

from sol.attach import wrap_forward
from sol.clock import Clock
from sol.errors import NotApplicableError
from sol.models.families import describe_roles
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.schedule import Schedule
from sol.skills.kernel_fusion.compiling.compile_settings import CompileSettings
from sol.skills.kernel_fusion.compiling.cuda_graphs import CUDA_GRAPHS, CUDAGraphsConfig
from sol.skills.kernel_fusion.compiling.full_compile import FULL_COMPILE
from sol.skills.kernel_fusion.compiling.regional_compile import REGIONAL_COMPILE
from sol.target import Workload
from sol.technique import SpaceContext, StackItem, parse_config

N_BLOCKS = 8
WIDTH = 4


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    yield
    torch._dynamo.reset()


class Repeat(nn.Module):
    """A layer called so many times, or once more: every number is code of its own."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.times = times
        self.once_more = False

    def forward(self, x):
        for _ in range(self.times + self.once_more):
            x = self.linear(x)
        return x


class RepeatingBlock(ToyBlock):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(WIDTH)
        self.layers = nn.Sequential(*layers)

    def forward(self, x, states, temb):
        return self.layers(x)


def blocks_in_many_states():
    return [RepeatingBlock(Repeat(times)) for times in range(1, N_BLOCKS + 1)]


def blocks_of_many_structures():
    return [RepeatingBlock(*[Repeat(1)] * n) for n in range(1, N_BLOCKS + 1)]


@pytest.mark.parametrize("make_blocks", [blocks_in_many_states, blocks_of_many_structures])
@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
def test_blocks_that_all_differ_and_switch_stay_compiled(technique, make_blocks):
    """Dynamo's own limit is eight variants of one code object."""
    assert torch._dynamo.config.recompile_limit == N_BLOCKS
    denoiser = ToyDenoiser()
    denoiser.blocks = nn.ModuleList(make_blocks())
    switches = [m for m in denoiser.modules() if isinstance(m, Repeat)]
    expected, actual = [], []
    for outputs, is_compiled in ((expected, False), (actual, True)):
        installed = None
        if is_compiled:
            installed = technique.install(
                toy_roles(denoiser), CompileSettings(), Schedule(), Clock()
            )
        for state in (False, True, False, True):
            for switch in switches:
                switch.once_more = state
            outputs += run_video(denoiser, Clock(), ("cond",))["cond"]
    counts = installed.evidence().counts
    assert installed.evidence().engaged
    assert counts["eager_calls"] == 0
    assert counts["graphs_compiled"] == (2 * N_BLOCKS if technique is REGIONAL_COMPILE else 2)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(actual, expected, strict=True))
    assert torch._dynamo.config.recompile_limit == N_BLOCKS


@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
def test_what_is_installed_before_or_after_stays_outside_and_undo_is_exact(technique):
    denoiser, clock = ToyDenoiser(), Clock()
    before = run_video(denoiser, clock)["cond"]
    seen = []

    def around(forward, args, kwargs):
        seen.append(clock.step)
        return forward(*args, **kwargs)

    undo_first = wrap_forward(denoiser, "first", around)
    installed = technique.install(toy_roles(denoiser), CompileSettings(), Schedule(), clock)
    undo_last = wrap_forward(denoiser, "last", around)
    run_video(denoiser, clock, ("cond",))
    assert seen == [step for step in range(8) for _ in range(2)]
    assert installed.evidence().engaged
    assert installed.evidence().counts["graphs_compiled"] == 1
    undo_last()
    installed.undo()
    undo_first()
    assert "forward" not in vars(denoiser)
    assert are_equal(run_video(denoiser, clock)["cond"], before)


def test_undo_leaves_hooks_that_were_there_before():
    denoiser, clock, calls = ToyDenoiser(), Clock(), []

    def around(forward, args, kwargs):
        calls.append(clock.step)
        return forward(*args, **kwargs)

    wrap_forward(denoiser, "of_the_user", around)
    before = run_video(denoiser, clock)["cond"]
    FULL_COMPILE.install(toy_roles(denoiser), CompileSettings(), Schedule(), clock).undo()
    calls.clear()
    assert are_equal(run_video(denoiser, clock)["cond"], before)
    assert len(calls) == 2 * 8


def install_on(model, *stack):
    pipeline = clone_pipeline(get_model(model).pipeline)
    return pipeline, install_stack(pipeline, stack), get_model(model).workload


def test_a_step_cache_has_whole_calls_compiled_once():
    pipeline, applied, workload = install_on(
        "ltx", StackItem("full_compile"), StackItem("step_mask", {"skip": "3,5-6"})
    )
    denoise(pipeline, workload, PLAIN)
    applied.require_engaged()
    counts = applied.evidence()["full_compile"].counts
    assert counts["graphs_compiled"] == 1
    assert counts["denoiser_calls"] == counts["graph_runs"] == 8 - 3


def test_what_remembers_inside_a_call_has_it_compiled_twice():
    """Computed in the first step, remembered in the others."""
    pipeline, applied, workload = install_on(
        "ltx", StackItem("full_compile"), StackItem("text_kv")
    )
    first = denoise(pipeline, workload, PLAIN)
    again = denoise(pipeline, workload, PLAIN)
    assert applied.evidence()["full_compile"].counts["graphs_compiled"] == 2
    assert np.array_equal(first, again)
    pipeline, _, _ = install_on("ltx", StackItem("text_kv"))
    assert np.abs(first - denoise(pipeline, workload, PLAIN)).max() < 1e-4


def call_with_width(denoiser, width):
    generator = torch.Generator().manual_seed(width)
    latents = torch.randn(1, 4, 2, 6, width, generator=generator)
    text = torch.randn(1, 3, 4, generator=generator)
    with torch.no_grad():
        return denoiser(latents, text, torch.tensor([0.5]))[0]


@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_another_width_stays_compiled(technique, dynamic):
    denoiser = ToyDenoiser()
    expected = [call_with_width(denoiser, width) for width in (5, 7, 9, 5)]
    installed = technique.install(
        toy_roles(denoiser), CompileSettings(dynamic=dynamic), Schedule(), Clock()
    )
    actual, compiled = [], []
    for width in (5, 7, 9, 5):
        actual.append(call_with_width(denoiser, width))
        compiled.append(installed.evidence().counts["graphs_compiled"])
    pairs = zip(actual, expected, strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    assert installed.evidence().engaged
    assert (compiled[2] == compiled[1]) is dynamic
    assert compiled[3] == compiled[2]


@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
def test_a_call_that_falls_back_to_eager_is_told(technique, monkeypatch):
    """Dynamo gives up without an error after too many recompilations."""
    monkeypatch.setattr("sol.skills.kernel_fusion.compiling.compiled_region._MOST_ENTRIES", 1)
    denoiser = ToyDenoiser()
    installed = technique.install(toy_roles(denoiser), CompileSettings(), Schedule(), Clock())
    call_with_width(denoiser, 5)
    assert installed.evidence().engaged
    call_with_width(denoiser, 7)
    assert not installed.evidence().engaged
    assert installed.evidence().counts["eager_calls"] > 0


def pretend_cuda(roles):
    """Operators run their references on a CPU; the roles must say that there is a GPU."""
    return replace(roles, capabilities=roles.capabilities | {Capability.CUDA})


@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
def test_kernels_are_counted_where_they_took_the_place_of_operations(technique):
    pipeline, workload = clone_pipeline(get_model("wan").pipeline), get_model("wan").workload
    expected = denoise(pipeline, workload, PLAIN)
    config, roles = CompileSettings(kernels="triton"), pretend_cuda(describe_roles(pipeline))
    installed = technique.install(roles, config, Schedule(), Clock())
    assert np.abs(denoise(pipeline, workload, PLAIN) - expected).max() < 1e-4
    evidence = installed.evidence()
    assert evidence.engaged
    assert sum(n for name, n in evidence.counts.items() if name.endswith("_kernels")) > 0


def test_kernels_that_found_nothing_to_replace_are_no_effect():
    denoiser, clock = ToyDenoiser(), Clock()
    denoiser.blocks = nn.ModuleList([RepeatingBlock(Repeat(1))])
    installed = REGIONAL_COMPILE.install(
        pretend_cuda(toy_roles(denoiser)), CompileSettings(kernels="triton"), Schedule(), clock
    )
    run_video(denoiser, clock, ("cond",))
    assert installed.evidence().counts["eager_calls"] == 0
    assert not installed.evidence().engaged


@pytest.mark.parametrize("name", ["regional_compile", "full_compile"])
def test_triton_kernels_are_refused_without_a_gpu(name):
    with pytest.raises(NotApplicableError, match=r"kernels='triton'.*needs a CUDA device"):
        install_on("ltx", StackItem(name, {"kernels": "triton"}))


@pytest.mark.parametrize("technique", [REGIONAL_COMPILE, FULL_COMPILE], ids=lambda t: t.name)
def test_kernels_and_autotuning_are_offered_on_a_gpu_alone(technique):
    roles = toy_roles(ToyDenoiser())
    on_cpu = technique.space(SpaceContext(roles, Workload(8, 8, 5, 4, 1.0, 8, 8), DIAGNOSIS))
    assert on_cpu.knobs == {}
    on_gpu = technique.space(
        SpaceContext(pretend_cuda(roles), Workload(8, 8, 5, 4, 1.0, 8, 8), DIAGNOSIS)
    )
    assert set(on_gpu.knobs) == {"mode", "kernels"}
    for space in (on_cpu, on_gpu):
        for first in space.first:
            parse_config(technique, space.complete(first))


def test_cuda_graphs_are_refused_without_a_gpu():
    with pytest.raises(NotApplicableError, match="it needs a CUDA device"):
        install_on("ltx", StackItem("cuda_graphs"))


def test_without_graphs_their_code_gives_clones_and_says_that_there_were_none():
    denoiser, clock = ToyDenoiser(), Clock()
    before = run_video(denoiser, clock)
    installed = CUDA_GRAPHS.install(toy_roles(denoiser), CUDAGraphsConfig(), Schedule(), clock)
    after = run_video(denoiser, clock)
    pairs = zip(after["cond"], before["cond"], strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    evidence = installed.evidence()
    assert evidence.counts["cuda_graph_skips"] > 0
    assert evidence.counts["eager_calls"] == 0
    assert not evidence.engaged
