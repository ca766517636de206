"""What the two Cosmos adapters must get right beyond the contract."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from contracts.models import PLAIN, denoise
from diffusers.models.transformers.transformer_cosmos3 import Cosmos3OmniTransformerOutput
from tiny_models import build_tiny, tiny_workload

from sol.call_form import type_of
from sol.errors import ModelLoadError
from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.roles import Capability

FAMILIES = ("cosmos", "cosmos3")


@pytest.fixture
def cosmos():
    return describe_roles(build_tiny("cosmos")).denoisers[0]


@pytest.fixture
def cosmos3():
    return describe_roles(build_tiny("cosmos3")).denoisers[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_without_the_guardrail_a_model_is_not_loaded(family, tmp_path, monkeypatch):
    build_tiny(family).save_pretrained(tmp_path)
    monkeypatch.setattr(
        "sol.models.loading.find_spec",
        lambda name: None if name == "cosmos_guardrail" else find_spec(name),
    )
    with pytest.raises(ModelLoadError, match="pip install cosmos_guardrail"):
        load_model(str(tmp_path), device="cpu")


def test_a_safety_checker_is_made_anew_and_asked_of_every_prompt(tmp_path, monkeypatch):
    build_tiny("cosmos").save_pretrained(tmp_path)
    pipeline = load_model(str(tmp_path), device="cpu").pipeline
    asked = []
    monkeypatch.setattr(
        type(pipeline.safety_checker), "check_text_safety", lambda _, prompt: asked.append(prompt)
    )
    with pytest.raises(ValueError, match="unsafe text"):
        denoise(pipeline, tiny_workload("cosmos"), PLAIN)
    assert asked == list(PLAIN.prompts)


def test_a_safety_checker_does_not_say_what_precision_the_denoiser_has():
    pipeline = build_tiny("cosmos")
    assert Capability.AUTOCAST in describe_roles(pipeline).capabilities
    pipeline.transformer.to(torch.bfloat16)
    assert Capability.AUTOCAST not in describe_roles(pipeline).capabilities


@pytest.mark.parametrize(("scale", "weight"), [(3.0, 4.0), (1.0, 1.0), (0.0, 1.0)])
def test_the_scale_is_counted_from_the_conditional_prediction(scale, weight):
    assert describe_roles(build_tiny("cosmos")).guidance_weight(scale) == weight


def test_a_coarser_call_keeps_which_frames_are_given(cosmos):
    """Of three frames the first is given, at a timestep of its own."""
    is_given = torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 3, 1, 1)
    kwargs = {
        "condition_mask": is_given.expand(1, 1, 3, 8, 8),
        "timestep": is_given * 0.1 + (1 - is_given) * 0.7,
        "padding_mask": torch.zeros(1, 1, 32, 32),
    }
    _, coarse = cosmos.resize_call(((), kwargs), (2, 4, 6))
    assert coarse["condition_mask"].shape == (1, 1, 2, 4, 6)
    assert coarse["condition_mask"].amax((3, 4)).flatten().tolist() == [1.0, 0.0]
    assert coarse["timestep"].flatten().tolist() == pytest.approx([0.1, 0.7])
    assert coarse["padding_mask"] is kwargs["padding_mask"]


def test_a_coarser_call_keeps_one_timestep_for_all_frames(cosmos):
    kwargs = {"condition_mask": torch.zeros(1, 1, 3, 8, 8), "timestep": torch.tensor([0.7])}
    _, coarse = cosmos.resize_call(((), kwargs), (2, 4, 4))
    assert coarse["timestep"] is kwargs["timestep"]


@pytest.mark.parametrize("as_record", [False, True])
def test_sound_and_actions_are_part_of_what_cosmos3_maps(cosmos3, as_record):
    inputs = {
        "vision_tokens": [torch.randn(1, 4, 3, 8, 8)],
        "sound_tokens": [torch.randn(5, 7)],
        "action_tokens": None,
    }
    x = cosmos3.form.read((), inputs)
    assert x.shape == (1, 4 * 3 * 8 * 8 + 5 * 7)
    kind = Cosmos3OmniTransformerOutput if as_record else None
    answer = cosmos3.form.answer(2 * x, (), inputs, kind)
    assert type_of(answer) is kind
    video, sound, actions = (
        (answer.sample, answer.sound, answer.action) if as_record else tuple(answer)
    )
    assert torch.equal(video[0], 2 * inputs["vision_tokens"][0])
    assert torch.equal(sound[0], 2 * inputs["sound_tokens"][0])
    assert actions is None
    assert torch.equal(cosmos3.form.read_answer(answer), 2 * x)
