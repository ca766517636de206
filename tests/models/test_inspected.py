"""A pipeline without an adapter: what is seen of it, what is refused, and what it must show."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from contracts.settings import SETTINGS
from example_prompts import OTHER_PROMPT, PROMPT
from tiny import skyreels

from sol.errors import NotApplicableError
from sol.models.adapters.inspected import default_workload
from sol.models.adapters.seen_call import see_call
from sol.models.families import describe_roles, get_family, get_family_of_class
from sol.models.loading import load_model
from sol.roles import Capability
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.proof import Proof
from sol.runtime.render import render
from sol.search.offering import TriedOut
from sol.search.worker import MeasuringWorker, WorkerPlan
from sol.skills.registry import TECHNIQUES, get_technique
from sol.target import Workload
from sol.technique import Installed, StackItem, find_obstacle

WORKLOAD = Workload(32, 32, 5, 8, 3.0, 16, 16)


@cache
def original():
    torch.manual_seed(0)
    pipeline = skyreels.build()
    pipeline.set_progress_bar_config(disable=True)
    pipeline.transformer.eval()
    return pipeline


@pytest.fixture
def pipeline():
    return clone_pipeline(original())


@pytest.mark.parametrize(
    ("name", "frames", "n_calls", "names_branches"),
    [
        ("SkyReelsV2Pipeline", "num_frames", 2, True),
        ("MochiPipeline", "num_frames", 1, True),
        ("Kandinsky5T2VPipeline", "num_frames", 2, False),
        ("LattePipeline", "video_length", 1, False),
    ],
)
def test_the_source_of_a_call_shows_how_it_guides(name, frames, n_calls, names_branches):
    seen = see_call(getattr(diffusers, name))
    assert (seen.frames, seen.n_denoiser_calls) == (frames, n_calls)
    assert seen.names_branches is names_branches


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("StableDiffusion3Pipeline", "no number of frames"),
        ("AnimateDiffPipeline", "calls self.transformer in 0 places"),
        ("CogVideoXImageToVideoPipeline", "needs an argument 'image'"),
        ("DiffusionPipeline", "is no pipeline"),
        ("NoSuchPipeline", "diffusers has no NoSuchPipeline"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_reason(name, reason):
    with pytest.raises(NotApplicableError, match=reason):
        get_family_of_class(name)


def test_only_what_can_be_seen_is_claimed(pipeline):
    roles = describe_roles(pipeline)
    assert roles.is_inspected
    assert roles.family == "SkyReelsV2Pipeline"
    assert roles.guidance == "two_call"
    assert len(roles.denoisers[0].blocks) == 4
    assert set(Capability) - roles.capabilities == set(roles.lacks)
    for name in ("step_mask", "planned", "easycache", "regional_compile"):
        assert find_obstacle(get_technique(name), roles) is None
    for name in ("pab", "text_kv", "topk_blocks", "cfg_reuse"):
        assert "cannot be seen" in find_obstacle(get_technique(name), roles)


def test_its_own_defaults_are_its_workload():
    workload = default_workload(diffusers.SkyReelsV2Pipeline)
    assert (workload.height, workload.width, workload.num_frames) == (544, 960, 97)
    assert (workload.steps, workload.guidance_scale) == (50, 6.0)


def test_a_size_without_a_default_is_asked_for():
    with pytest.raises(NotApplicableError, match="no default for height, width"):
        default_workload(diffusers.CogVideoXPipeline)


def test_its_call_gets_what_it_has_arguments_for(pipeline):
    arguments = get_family(pipeline).call_arguments(WORKLOAD)
    assert arguments["num_frames"] == 5
    assert "frame_rate" not in arguments


EVERY = sorted(
    name
    for name, technique in TECHNIQUES.items()
    if find_obstacle(technique, describe_roles(original())) is None
    and name not in ("regional_compile", "full_compile")
)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_claimed_leaves_it_as_it_was(pipeline, name):
    config = SETTINGS[name].bold
    assert Proof(pipeline, WORKLOAD, PROMPT, 0).find_flaw(get_technique(name), config) is None


def test_branches_do_not_mix_and_no_state_crosses(pipeline):
    stack = (StackItem("step_mask", {"skip": "2,4"}),)
    first = render(clone_with(stack), WORKLOAD, PROMPT, 0).latents
    applied = install_stack(pipeline, stack)
    render(pipeline, WORKLOAD, OTHER_PROMPT, 1)
    again = render(pipeline, WORKLOAD, PROMPT, 0).latents
    assert applied.evidence()["step_mask"].counts["calls_skipped"] == 2 * 2 * 2
    assert np.array_equal(first, again)


def test_what_a_worker_offers_on_it_was_shown_on_it(tmp_path, monkeypatch):
    original().save_pretrained(tmp_path / "model")
    overrides = {"height": 32, "width": 32, "num_frames": 5, "steps": 6, "max_sequence_length": 16}
    plan = WorkerPlan(str(tmp_path / "model"), "cpu", "float32", overrides, tmp_path)
    worker = MeasuringWorker(plan)
    diagnosis = worker.diagnose([(PROMPT, 0)])
    flaws = {"easycache": "another video"}
    monkeypatch.setattr(Proof, "find_flaw", lambda _, technique, __: flaws.get(technique.name))
    offers, obstacles = worker.offers("cache", diagnosis, TriedOut())
    assert {"planned", "step_mask"} <= {offer.technique for offer in offers}
    assert obstacles["easycache"] == "another video"
    assert "cannot be seen" in obstacles["pab"]


def clone_with(stack):
    clone = clone_pipeline(original())
    install_stack(clone, stack)
    return clone


def stays_behind(roles, config, schedule, clock):
    weights = roles.denoisers[0].blocks[0].attn1.to_q
    weights.bias = torch.nn.Parameter(weights.bias + 1.0)
    return Installed(lambda: None, lambda: None)


def fails(roles, config, schedule, clock):
    raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("install", "flaw"),
    [(stays_behind, "its undo leaves this pipeline changed"), (fails, "shapes do not fit")],
)
def test_a_technique_that_does_not_fit_is_found_out(pipeline, monkeypatch, install, flaw):
    broken = SimpleNamespace(**{**vars_of(get_technique("text_kv")), "install": install})
    broken.requires, broken.identity = frozenset(), None
    monkeypatch.setattr("sol.runtime.applied.get_technique", lambda name: broken)
    assert flaw in Proof(pipeline, WORKLOAD, PROMPT, 0).find_flaw(broken, {})


def vars_of(technique):
    return {name: getattr(technique, name) for name in technique.__dataclass_fields__}


def test_it_loads_like_any_other(tmp_path):
    original().save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), device="cpu")
    assert loaded.model.family == "SkyReelsV2Pipeline"
    assert loaded.workload.num_frames == 97
