"""attention_backend: a setting of each processor, tried before it is made, put back exactly."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from contracts.models import get_model
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from example_prompts import DIAGNOSIS, PROMPT
from torch.nn import functional as F

from sol.clock import Clock
from sol.errors import NoEffectError, NotApplicableError
from sol.models.attention_backends import find_backend_obstacle
from sol.models.families import describe_roles
from sol.models.machine import machine_capabilities
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.kernel_fusion.attention.attention_backend import (
    ATTENTION_BACKEND,
    AttentionBackendConfig,
)
from sol.space import Choice
from sol.technique import SpaceContext, StackItem

FLASH = AttentionBackendName._NATIVE_FLASH
XFORMERS = StackItem("attention_backend", {"backend": "xformers", "sites": "all"})


def install(pipeline, backend="_native_flash", sites="self"):
    config = AttentionBackendConfig(backend, sites)
    return ATTENTION_BACKEND.install(describe_roles(pipeline), config, Schedule(), Clock())


def processors(pipeline):
    return [
        site.module.processor
        for denoiser in describe_roles(pipeline).denoisers
        for site in denoiser.attention_sites
    ]


@pytest.fixture
def xformers(monkeypatch):
    """A package of this name, whose one function the test chooses; and how often it was called."""
    calls = []

    def provide(compute):
        def counted(*args):
            calls.append(1)
            return compute(*args)

        xops = SimpleNamespace(memory_efficient_attention=counted)
        monkeypatch.setattr(attention_dispatch, "_CAN_USE_XFORMERS_ATTN", True)
        monkeypatch.setattr(attention_dispatch, "xops", xops)
        return calls

    return provide


def no_operator(query, key, value, mask, dropout_p, scale):
    """As xformers 0.0.35 says it on a CPU."""
    raise NotImplementedError(
        "No operator found for `memory_efficient_attention_forward` with inputs:\n"
        "     query       : shape=(1, 8, 2, 64) (torch.float32)\n"
        "`ckF` is not supported because:\n    device=cpu (supported: {'cuda'})"
    )


def attend(query, key, value, mask, dropout_p, scale):
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value, mask, scale=scale).transpose(1, 2)


def attend_without_masks(query, key, value, mask, dropout_p, scale):
    if mask is not None:
        raise ValueError("no masks, please")
    return attend(query, key, value, None, dropout_p, scale)


def attend_past_the_mask(query, key, value, mask, dropout_p, scale):
    return attend(query, key, value, None, dropout_p, scale)


@pytest.mark.parametrize(
    ("name", "is_masked", "reason"),
    [
        ("_native_flash", False, None),
        ("_native_flash", True, "refuses float32 on cpu with a mask: `attn_mask` is not"),
        ("_native_cudnn", False, "refuses float32 on cpu: No viable backend"),
        ("_native_efficient", False, "refuses float32 on cpu: No viable backend"),
        ("flash", False, "flash is not installed, or too old"),
    ],
)
def test_a_call_on_a_few_numbers_decides(name, is_masked, reason):
    obstacle = find_backend_obstacle(name, "cpu", torch.float32, 32, is_masked=is_masked)
    assert obstacle is None if reason is None else reason in obstacle


@pytest.mark.parametrize(
    ("compute", "is_masked", "reason"),
    [
        (attend, True, None),
        (no_operator, False, "is installed, but has no operator for float32 on cpu"),
        (attend_without_masks, False, None),
        (attend_without_masks, True, "refuses float32 on cpu with a mask: no masks, please"),
        (attend_past_the_mask, False, None),
        (attend_past_the_mask, True, "is off by"),
    ],
)
def test_xformers_is_what_it_can_compute(xformers, compute, is_masked, reason):
    xformers(compute)
    obstacle = find_backend_obstacle("xformers", "cpu", torch.float32, 32, is_masked=is_masked)
    assert obstacle is None if reason is None else reason in obstacle


def test_where_only_pytorchs_own_attention_works_it_does_not_apply(pipeline, xformers):
    with pytest.raises(NotApplicableError, match="xformers is not installed"):
        install_stack(pipeline, (XFORMERS,))
    xformers(no_operator)
    with pytest.raises(NotApplicableError, match=r"installed, but has no operator for float32"):
        install_stack(pipeline, (XFORMERS,))
    xformers(attend)
    assert Capability.ATTENTION_BACKENDS in machine_capabilities("cpu", torch.float32)[0]


@pytest.mark.parametrize("model", ["pocket", "wan", "sana_video"])
def test_every_attention_of_the_dispatch_is_computed_by_it(model, xformers):
    calls = xformers(attend)
    contract = get_model(model)
    pipeline = clone_pipeline(contract.pipeline)
    expected = render(pipeline, contract.workload, PROMPT, 0).latents
    before = fingerprint_pipeline(pipeline)
    with install_stack(pipeline, (XFORMERS,)) as applied:
        calls.clear()
        latents = render(pipeline, contract.workload, PROMPT, 0).latents
        counts = applied.evidence()["attention_backend"].counts
    n_calls = counts["denoiser_calls"] * counts["attentions_set"]
    assert len(calls) == n_calls > 0
    assert abs(latents - expected).max() < 1e-4
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize(
    ("sites", "expected"),
    [("self", [FLASH, None] * 8), ("cross", [None, FLASH] * 8), ("all", [FLASH] * 16)],
)
def test_the_chosen_sites_are_set_and_come_back(pipeline, xformers, monkeypatch, sites, expected):
    xformers(attend)
    before = [dict(vars(processor)) for processor in processors(pipeline)]
    monkeypatch.setattr(
        "sol.skills.kernel_fusion.attention.attention_backend.find_backend_obstacle",
        lambda *_, **__: None,
    )
    installed = install(pipeline, sites=sites)
    assert [p._attention_backend for p in processors(pipeline)] == expected
    installed.undo()
    assert [dict(vars(processor)) for processor in processors(pipeline)] == before


def test_a_setting_of_the_users_own_comes_back(pipeline):
    processor = processors(pipeline)[0]
    processor._attention_backend = AttentionBackendName.NATIVE
    install(pipeline).undo()
    assert processor._attention_backend is AttentionBackendName.NATIVE


def test_diffusers_reset_leaves_the_whole_process_changed_and_ours_does_not(pipeline, baseline):
    """The trap: every other pipeline follows the registry's active back-end."""
    active = _AttentionBackendRegistry.get_active_backend()[0]
    assert active is AttentionBackendName.NATIVE
    try:
        pipeline.transformer.set_attention_backend("_native_math")
        pipeline.transformer.reset_attention_backend()
        left = _AttentionBackendRegistry.get_active_backend()[0]
        assert left is AttentionBackendName._NATIVE_MATH
    finally:
        _AttentionBackendRegistry.set_active_backend(active)
    installed = install(pipeline)
    assert _AttentionBackendRegistry.get_active_backend()[0] is active
    installed.undo()
    assert _AttentionBackendRegistry.get_active_backend()[0] is active


def test_what_cannot_be_computed_is_refused_before_anything_is_touched(pipeline):
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(NotApplicableError, match="_native_flash refuses float32 on cpu with a m"):
        install(pipeline, sites="all")
    assert fingerprint_pipeline(pipeline) == before
    assert {p._attention_backend for p in processors(pipeline)} == {None}


def test_linear_attention_is_not_touched():
    pipeline = clone_pipeline(get_model("sana_video").pipeline)
    with pytest.raises(NoEffectError, match="nothing was changed"):
        install(pipeline, sites="self")


@pytest.mark.parametrize(
    ("model", "compute", "sites"),
    [
        ("pocket", attend, "all"),
        ("pocket", attend_without_masks, "self"),
        ("wan", attend_without_masks, "all"),
        ("sana_video", attend, "cross"),
        ("sana_video", attend_without_masks, None),
    ],
)
def test_the_space_offers_what_works_where_it_works(xformers, model, compute, sites):
    xformers(compute)
    contract = get_model(model)
    roles = describe_roles(contract.pipeline)
    space = ATTENTION_BACKEND.space(SpaceContext(roles, contract.workload, DIAGNOSIS))
    offered = {
        name: space.complete({"backend": name})["sites"]
        for name in space.knobs.get("backend", Choice(())).options
    }
    assert offered.get("xformers") == sites
    assert all(set(first) <= set(space.knobs) for first in space.first)


def test_evidence_is_what_the_processors_say(pipeline, workload):
    installed = install(pipeline)
    assert not installed.evidence().engaged
    render(pipeline, workload, PROMPT, 0)
    assert installed.evidence().counts == {"attentions_set": 8, "denoiser_calls": workload.steps}
    assert installed.evidence().engaged
    processors(pipeline)[0]._attention_backend = None
    assert not installed.evidence().engaged


def test_it_is_part_of_the_compiled_blocks(pipeline, workload, baseline):
    install(pipeline)
    contexts = []

    def count(graph, _):
        contexts.append(any("sdpa_kernel" in str(node.target) for node in graph.graph.nodes))
        return graph.forward

    for block in describe_roles(pipeline).denoisers[0].blocks:
        block.compile(backend=count, fullgraph=True)
    latents = render(pipeline, workload, PROMPT, 0).latents
    torch._dynamo.reset()
    assert contexts == [True]
    assert abs(latents - baseline.latents).max() < 1e-4


def test_two_pipelines_have_a_backend_each(pipeline, workload, xformers):
    calls = xformers(attend)
    other = clone_pipeline(pipeline)
    install_stack(pipeline, (XFORMERS,))
    calls.clear()
    render(other, workload, PROMPT, 0)
    assert not calls
    render(pipeline, workload, PROMPT, 0)
    assert calls
