"""Offloading: what is asked of diffusers, and that Sol's hooks live with diffusers' own.

On a machine without a GPU the hooks that move weights can be tried for groups alone, from the host
to the host; for the others it is seen that they are asked for.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from tiny_models import build_tiny, tiny_workload

import sol
from sol.errors import ModelLoadError, UnknownNameError
from sol.models.loading import load_model
from sol.models.memory.offload import check_offload, place, place_groups
from sol.runtime.render import render


class Recorder:
    """Stands for a pipeline: remembers how it was placed."""

    def __init__(self):
        self.calls = []

    def to(self, device):
        self.calls.append(("to", device))
        return self

    def enable_model_cpu_offload(self, device):
        self.calls.append(("model", device))

    def enable_sequential_cpu_offload(self, device):
        self.calls.append(("sequential", device))

    def enable_group_offload(self, **kwargs):
        self.calls.append(("group", kwargs))


@pytest.mark.parametrize(
    ("offload", "call"),
    [
        (None, ("to", "cuda")),
        ("model", ("model", "cuda")),
        ("sequential", ("sequential", "cuda")),
        (
            "group",
            (
                "group",
                {
                    "onload_device": torch.device("cuda"),
                    "offload_device": torch.device("cpu"),
                    "offload_type": "leaf_level",
                    "use_stream": True,
                },
            ),
        ),
    ],
)
def test_each_way_is_diffusers_own(offload, call):
    pipeline = Recorder()
    assert place(pipeline, "cuda", offload) is pipeline
    assert pipeline.calls == [call]


@pytest.mark.parametrize("offload", ["model", "sequential", "group"])
def test_on_a_cpu_there_is_nothing_to_offload_from(offload):
    with pytest.raises(ModelLoadError, match=r"and the device is cpu. Leave it out"):
        load_model("pocket", device="cpu", offload=offload)


def test_an_unknown_way_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'disk'. Known: group, model, sequential"):
        check_offload("disk", "cuda")


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_what_needs_accelerate_says_so(offload, monkeypatch):
    monkeypatch.setattr("sol.models.memory.offload.find_spec", lambda _: None)
    with pytest.raises(ModelLoadError, match=r"needs accelerate.*or use --offload group"):
        check_offload(offload, "cuda")
    assert check_offload("group", "cuda") == "group"


def test_how_it_was_placed_is_recorded(tmp_path, monkeypatch):
    def place_on_host(pipeline, _device, offload):
        placed.append(offload)
        return pipeline

    placed = []
    build_tiny("ltx").save_pretrained(tmp_path)
    monkeypatch.setattr("sol.models.loading.place", place_on_host)
    monkeypatch.setattr("sol.models.loading.check_offload", lambda offload, _device: offload)
    assert load_model(str(tmp_path), device="cpu", offload="group").offload == "group"
    assert load_model(str(tmp_path), device="cpu").offload is None
    assert placed == ["group", None]


@pytest.mark.parametrize("family", ["ltx", "wan", "sana_video"])
def test_techniques_come_and_go_on_a_pipeline_that_is_offloaded(family):
    pipeline, workload = build_tiny(family), tiny_workload(family)
    plain = render(pipeline, workload, PROMPT, 0)
    place_groups(pipeline, torch.device("cpu"), use_stream=False)
    stack = [{"technique": "easycache", "config": {"threshold": 10.0}}, {"technique": "text_kv"}]
    applied = sol.apply(pipeline, stack)
    skipped = render(pipeline, workload, PROMPT, 0)
    assert not np.array_equal(skipped.latents, plain.latents)
    assert all(evidence.engaged for evidence in applied.evidence().values())
    applied.undo()
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, plain.latents)
