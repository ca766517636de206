"""Applying and undoing a stack again and again keeps no tensors."""

from __future__ import annotations

import gc
import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from contracts.models import PLAIN, denoise, get_model

from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.technique import Stack, StackItem

N_CYCLES = 20
N_WARM_UP = 3

# A row for each technique that replaces, packs or compiles something.
STACKS: dict[str, Stack] = {
    "regional_compile": (StackItem("regional_compile"),),
    "full_compile": (StackItem("full_compile"),),
    "int8_dynamic": (StackItem("int8_dynamic", {"layers": "feed_forward=all; qkv=all"}),),
    "int8_rows compiled": (
        StackItem("int8_rows", {"layers": "feed_forward=all", "full_last": 1}),
        StackItem("regional_compile"),
    ),
    "int8_dynamic compiled": (
        StackItem("int8_dynamic", {"layers": "feed_forward=all"}),
        StackItem("regional_compile"),
    ),
}
# Dynamo traces up to the break and begins anew; what it had traced by then it never lets go of.
WITH_BROKEN_GRAPHS = ("int8_dynamic compiled",)


@dataclass(frozen=True)
class LiveTensors:
    """Every tensor that Python knows of.

    Attributes:
        n_traced: Those without data, which a compiler made to trace with.
    """

    n: int
    n_bytes: int
    n_traced: int


def count_live_tensors() -> LiveTensors:
    gc.collect()
    with warnings.catch_warnings():
        # Looking at all objects wakes deprecated ones.
        warnings.simplefilter("ignore")
        tensors = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    with_data = [t for t in tensors if type(t) in (torch.Tensor, torch.nn.Parameter)]
    storages = [t.untyped_storage() for t in with_data if t.device.type == "cpu"]
    n_bytes = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    return LiveTensors(len(with_data), n_bytes, len(tensors) - len(with_data))


def small_pipeline():
    """One block: each cycle compiles anew."""
    pipeline = clone_pipeline(get_model("ltx").pipeline)
    del pipeline.transformer.transformer_blocks[1:]
    return pipeline


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if "compile" in name else []) for name in STACKS],
)
def test_twenty_cycles_of_apply_and_undo_keep_no_tensor(name):
    pipeline = small_pipeline()
    workload = get_model("ltx").workload.with_overrides({"steps": 2})
    counted = []
    for _ in range(N_CYCLES):
        with install_stack(pipeline, STACKS[name]):
            denoise(pipeline, workload, PLAIN)
        live = count_live_tensors()
        counted.append(replace(live, n_traced=0) if name in WITH_BROKEN_GRAPHS else live)
    assert counted[N_WARM_UP:] == [counted[N_WARM_UP]] * (N_CYCLES - N_WARM_UP)
