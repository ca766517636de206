"""Teaches the text encoder what every word of a caption is about.

Real pipelines take a text encoder that has read much; this one starts empty, and would learn from
the denoiser's loss alone, slowly, which of two colours belongs to which of two shapes. So it first
learns, from captions alone, to tell at every word all attributes of the thing it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from diffusers import LTXPipeline
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import T5EncoderModel

from sol.models.pocket.architecture import TEXT_WIDTH
from sol.models.pocket.data.captions import word_scene
from sol.models.pocket.data.scenes import (
    COLOURS,
    HUES,
    MOTIONS,
    PANS,
    SHADES,
    SHAPES,
    SIZES,
    STYLES,
    Background,
    Scene,
    SceneObject,
    sample_training_scene,
)
from sol.models.pocket.training.checkpoint import find_checkpoint, save_checkpoint
from sol.models.pocket.training.latent_pool import tokenize
from sol.models.pocket.training.optimizers import set_rate
from sol.models.pocket.training.pacing import learning_rate_factor
from sol.models.pocket.training.setting import Setting

_RATE = 2e-3
_CAPTIONS_PER_CLIP = 4.0
"""Captions a step, as a multiple of the batch of the setting."""
_STREAM = 5
_NOT_ASKED = -100
"""`cross_entropy` passes over it."""

_ANSWERS: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "motion": MOTIONS,
    "style": STYLES,
    "hue": tuple(HUES),
    "shade": ("", *SHADES),
    "pan": PANS,
}
"""What is asked at a word: by attribute, all values it can have."""


@dataclass(frozen=True)
class Lesson:
    """Captions and the attributes that their words are about.

    Attributes:
        token_ids: (captions, MAX_SEQUENCE_LENGTH), long.
        answers: By attribute, (captions, MAX_SEQUENCE_LENGTH) indices of values; -100 at words
            about something that has no such attribute.
    """

    token_ids: Tensor
    answers: dict[str, Tensor]


def train_text_encoder(setting: Setting, pipeline: LTXPipeline, n_steps: int) -> T5EncoderModel:
    """Trains the pipeline's text encoder, or loads it from `text_encoder.pt`.

    Returns:
        the encoder, trained in place and frozen.
    """
    encoder: T5EncoderModel = pipeline.text_encoder
    path = setting.folder / "text_encoder.pt"
    state = find_checkpoint(path)
    if state is None:
        losses = _train(setting, pipeline, n_steps)
        state = {"text_encoder": encoder.state_dict(), "losses": losses}
        if setting.replica.is_first:
            save_checkpoint(state, path)
        setting.replica.wait()
    encoder.load_state_dict(state["text_encoder"])
    return encoder.eval().requires_grad_(False)


def draw_lesson(pipeline: LTXPipeline, rng: np.random.Generator, n_captions: int) -> Lesson:
    """Draws captions of scenes that training may see."""
    scenes = [sample_training_scene(rng) for _ in range(n_captions)]
    worded = [word_scene(scene, rng) for scene in scenes]
    captions = [" ".join(phrase.words for phrase in phrases) for phrases in worded]
    ids, _ = tokenize(pipeline.tokenizer, captions)
    answers = {name: torch.full_like(ids, _NOT_ASKED) for name in _ANSWERS}
    for row, (scene, phrases) in enumerate(zip(scenes, worded, strict=True)):
        first = 0
        for phrase in phrases:
            end = first + len(phrase.words.split())
            for name, value in _attributes(scene, phrase.about).items():
                answers[name][row, first:end] = _ANSWERS[name].index(value)
            first = end
    return Lesson(ids, answers)


class _Pupil(nn.Module):
    """The encoder with a linear classifier per attribute."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifiers = nn.ModuleDict(
            {name: nn.Linear(TEXT_WIDTH, len(values)) for name, values in _ANSWERS.items()}
        )

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        encoded = self.encoder(token_ids)[0]
        return {name: classify(encoded) for name, classify in self.classifiers.items()}


def _train(setting: Setting, pipeline: LTXPipeline, n_steps: int) -> list[float]:
    """Returns the loss of every step; the classifiers are thrown away."""
    torch.manual_seed(setting.seed)
    pupil = _Pupil(pipeline.text_encoder).to(setting.device).train()
    optimizer = torch.optim.AdamW(pupil.parameters(), weight_decay=0.0)
    rng = np.random.default_rng([setting.seed, _STREAM, setting.replica.rank])
    losses: list[float] = []
    for n in range(n_steps):
        lesson = draw_lesson(pipeline, rng, setting.part_of_batch(_CAPTIONS_PER_CLIP))
        set_rate(optimizer, _RATE * learning_rate_factor(n / n_steps))
        logits = pupil(lesson.token_ids.to(setting.device))
        answers = {name: value.to(setting.device) for name, value in lesson.answers.items()}
        loss = _loss(logits, answers)
        torch.autograd.backward(loss)
        setting.replica.average_gradients(pupil)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    if setting.replica.is_first:
        setting.report(
            f"text encoder: {share_right(logits, answers):.1%} of the answers are right"
        )
    return losses


def _loss(logits: dict[str, Tensor], answers: dict[str, Tensor]) -> Tensor:
    each = [cross_entropy(logits[name].transpose(1, 2), answers[name]) for name in _ANSWERS]
    return torch.stack(each).sum()


def share_right(logits: dict[str, Tensor], answers: dict[str, Tensor]) -> float:
    asked = torch.cat([(value != _NOT_ASKED).flatten() for value in answers.values()])
    right = torch.cat([(logits[name].argmax(-1) == answers[name]).flatten() for name in _ANSWERS])
    return float((right & asked).sum() / asked.sum())


def _attributes(scene: Scene, about: int | None) -> dict[str, Any]:
    thing: SceneObject | Background = scene.background if about is None else scene.objects[about]
    return {field.name: getattr(thing, field.name) for field in fields(thing)}
