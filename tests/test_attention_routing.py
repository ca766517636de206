"""Attention goes elsewhere, in eager and in compiled code, and comes back."""

from __future__ import annotations

import pytest
import torch
from contracts.models import PLAIN, denoise
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from tiny_models import build_tiny, build_tiny_experts, tiny_workload

from sol import attention_routing
from sol.attention_routing import route_attention
from sol.errors import ConflictError
from sol.models.families import describe_roles
from sol.runtime.fingerprint import fingerprint_pipeline


@pytest.fixture
def pipeline():
    return build_tiny("ltx")


def sites(pipeline):
    return [s for d in describe_roles(pipeline).denoisers for s in d.grid_attention]


def as_before(query, key, value, before):
    return before(query, key, value)


def test_what_a_route_returns_is_what_the_site_returns(pipeline):
    """Zeros from all sites, and the video is another one."""
    workload = tiny_workload("ltx")
    baseline = denoise(pipeline, workload, PLAIN)
    undos = [
        route_attention(s.module.processor, lambda q, k, v, before: torch.zeros_like(q))
        for s in sites(pipeline)
    ]
    assert abs(denoise(pipeline, workload, PLAIN) - baseline).max() > 0
    for undo in undos:
        undo()
    assert (denoise(pipeline, workload, PLAIN) == baseline).all()


@pytest.mark.parametrize("build", [lambda: build_tiny("ltx"), lambda: build_tiny("wan"),
                                   build_tiny_experts], ids=["ltx", "wan", "experts"])  # fmt: skip
def test_each_call_reaches_its_own_route(build):
    """Every self-attention of every expert in its turn, with heads apart; text is never routed."""
    pipeline = build()
    workload = tiny_workload("wan" if pipeline.config.get("transformer_2") else "ltx")
    workload = workload.with_overrides({"num_frames": 9})
    calls = []

    def noting(number):
        def compute(query, key, value, before):
            calls.append((number, tuple(query.shape[2:]), query.shape == key.shape))
            return before(query, key, value)

        return compute

    baseline = denoise(pipeline, workload, PLAIN)
    undos = [
        route_attention(site.module.processor, noting(number))
        for number, site in enumerate(sites(pipeline))
    ]
    routed = denoise(pipeline, workload, PLAIN)
    for undo in undos:
        undo()
    assert (routed == baseline).all()
    assert {number for number, _, _ in calls} == set(range(len(sites(pipeline))))
    assert {(shape, is_self) for _, shape, is_self in calls} == {((2, 16), True)}


def test_the_registry_is_as_before_when_the_last_route_is_undone(pipeline, monkeypatch):
    tables = ("_backends", "_constraints", "_supported_arg_names")
    # As if no other test had left a route in place.
    monkeypatch.setattr(attention_routing, "_ROUTES", {})
    for table in tables:
        entries = getattr(_AttentionBackendRegistry, table)
        monkeypatch.delitem(entries, attention_routing._ROUTED, raising=False)
    before = [dict(getattr(_AttentionBackendRegistry, table)) for table in tables]
    fingerprint = fingerprint_pipeline(pipeline)
    undos = [route_attention(s.module.processor, as_before) for s in sites(pipeline)]
    assert fingerprint_pipeline(pipeline) != fingerprint
    assert len(AttentionBackendName) == len(set(AttentionBackendName))
    for undo in undos:
        assert len(_AttentionBackendRegistry._backends) > len(before[0])
        undo()
    assert [getattr(_AttentionBackendRegistry, table) for table in tables] == before
    assert fingerprint_pipeline(pipeline) == fingerprint


def test_a_site_has_one_route(pipeline):
    processor = sites(pipeline)[0].module.processor
    undo = route_attention(processor, as_before)
    with pytest.raises(ConflictError, match="already routed"):
        route_attention(processor, as_before)
    undo()
    processor._parallel_config = object()
    with pytest.raises(ConflictError, match="split over devices"):
        route_attention(processor, as_before)


def test_the_back_end_that_was_chosen_is_what_a_route_calls_before(pipeline):
    processor = sites(pipeline)[0].module.processor
    processor._attention_backend = AttentionBackendName._NATIVE_MATH
    undo = route_attention(processor, as_before)
    called = []
    backends = _AttentionBackendRegistry._backends
    math = backends[AttentionBackendName._NATIVE_MATH]
    backends[AttentionBackendName._NATIVE_MATH] = lambda **kw: called.append(1) or math(**kw)
    denoise(pipeline, tiny_workload("ltx").with_overrides({"steps": 2}), PLAIN)
    backends[AttentionBackendName._NATIVE_MATH] = math
    assert called
    undo()
    assert processor._attention_backend is AttentionBackendName._NATIVE_MATH


@pytest.mark.slow
def test_equal_blocks_share_one_compiled_graph(pipeline):
    """The number of a route is data: no block compiles anew, no graph breaks."""
    blocks = describe_roles(pipeline).denoisers[0].blocks
    reached = []
    undos = [
        route_attention(
            site.module.processor,
            lambda q, k, v, before, number=number: reached.append(number) or before(q, k, v),
        )
        for number, site in enumerate(sites(pipeline))
    ]
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for block in blocks:
        block.compile()
    denoise(pipeline, tiny_workload("ltx").with_overrides({"steps": 2}), PLAIN)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert reached == [0, 1, 2, 3] * 2
    for undo in undos:
        undo()
    torch._dynamo.reset()
