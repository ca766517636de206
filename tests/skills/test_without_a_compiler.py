"""A machine that cannot compile: what needs a compiler says so, and the rest is offered."""

from __future__ import annotations

import shutil

import pytest
import torch
from contracts.models import get_model
from example_prompts import DIAGNOSIS

from sol.errors import NotApplicableError
from sol.models import machine
from sol.models.families import describe_roles
from sol.models.machine import machine_capabilities
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.search.offering import TriedOut, find_offers
from sol.skills.registry import TECHNIQUES
from sol.technique import SpaceContext, StackItem

COMPILING = {name for name, t in TECHNIQUES.items() if Capability.INDUCTOR in t.requires}


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def no_triton(monkeypatch):
    find = machine.find_spec
    monkeypatch.setattr(
        machine, "find_spec", lambda name: None if name == "triton" else find(name)
    )


def offers_of(skill):
    model = get_model("pocket")
    roles = describe_roles(model.pipeline)
    return find_offers(skill, SpaceContext(roles, model.workload, DIAGNOSIS), TriedOut())


def test_what_compiles_is_known():
    assert {"regional_compile", "full_compile", "cuda_graphs"} <= COMPILING


def test_without_a_compiler_the_rest_is_offered_and_the_reason_is_told(no_compiler):
    offers, obstacles = offers_of("kernel_fusion")
    offered = {offer.technique for offer in offers}
    assert offered
    assert not offered & COMPILING
    assert "needs a C++ compiler (install g++)" in obstacles["regional_compile"]
    assert "needs a C++ compiler (install g++)" in obstacles["full_compile"]
    quantizing = {offer.technique for offer in offers_of("quantization")[0]}
    assert "int8_dynamic" in quantizing


def test_with_one_they_are_offered():
    offers, obstacles = offers_of("kernel_fusion")
    assert {offer.technique for offer in offers} >= {"regional_compile", "full_compile"}
    assert obstacles["cuda_graphs"] == "it needs a CUDA device, the pipeline is on cpu"


@pytest.mark.parametrize("name", ["regional_compile", "full_compile"])
def test_to_insist_is_refused_with_the_remedy(no_compiler, name):
    pipeline = clone_pipeline(get_model("pocket").pipeline)
    with pytest.raises(NotApplicableError, match=rf"{name} does not apply.*install g\+\+"):
        install_stack(pipeline, (StackItem(name),))


def test_a_gpu_without_triton_cannot_compile(no_triton, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    present, lacks = machine_capabilities("cuda", torch.bfloat16)
    assert Capability.CUDA in present
    assert lacks[Capability.INDUCTOR] == "torch.compile on a GPU needs the triton package"


def test_a_cpu_without_triton_can(no_triton):
    assert Capability.INDUCTOR in machine_capabilities("cpu", torch.float32)[0]
