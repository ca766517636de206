import functools

import numpy as np
import pytest
import torch
from diffusers import LTXPipeline
from transformers import T5EncoderModel

from sol.models.pocket.architecture import build_pipeline
from sol.models.pocket.data.captions import describe, word_scene
from sol.models.pocket.data.scenes import (
    COLOURS,
    MOTIONS,
    SHAPES,
    Background,
    Scene,
    SceneObject,
)
from sol.models.pocket.training.replicas import Replica
from sol.models.pocket.training.setting import Setting
from sol.models.pocket.training.text_encoder import draw_lesson, train_text_encoder


@pytest.fixture
def pipeline() -> LTXPipeline:
    torch.manual_seed(0)
    return build_pipeline()


def setting(folder, lines=None) -> Setting:
    report = (lambda _: None) if lines is None else lines.append
    return Setting(folder, 0, torch.device("cpu"), 4, Replica(), report)


def test_phrases_say_what_they_are_about_and_make_up_the_caption():
    star = SceneObject("star", "red", "small", "up")
    ring = SceneObject("ring", "cyan", "small", "growing")
    scene = Scene((star, ring), Background("plain", "gray", "dark", "none"))
    phrases = word_scene(scene, np.random.default_rng(0))
    words = {about: [p.words for p in phrases if p.about == about] for about in (0, 1)}
    assert "red star" in words[0][0]
    assert "cyan ring" in words[1][0]
    assert " ".join(p.words for p in phrases) == describe(scene, np.random.default_rng(0))


def test_every_word_of_a_lesson_is_asked_about_its_own_object(pipeline):
    lesson = draw_lesson(pipeline, np.random.default_rng(0), 60)
    names = pipeline.tokenizer.convert_ids_to_tokens(range(len(pipeline.tokenizer)))
    n_named = 0
    for row, ids in enumerate(lesson.token_ids):
        for column, token in enumerate(ids):
            word = names[token].removeprefix("\u2581")
            for attribute, values in (("shape", SHAPES), ("colour", tuple(COLOURS))):
                answer = int(lesson.answers[attribute][row, column])
                is_motion = word == "circle"  # as in "moves in a circle"
                if word in values and answer >= 0 and not is_motion:
                    n_named += 1
                    assert values[answer] == word
    assert n_named > 100


def test_words_outside_of_captions_are_not_asked(pipeline):
    lesson = draw_lesson(pipeline, np.random.default_rng(0), 8)
    padding = lesson.token_ids == pipeline.tokenizer.pad_token_id
    assert padding.any()
    assert all((answers[padding] == -100).all() for answers in lesson.answers.values())
    assert lesson.answers["motion"].max() < len(MOTIONS)


def test_the_encoder_learns_to_answer_is_frozen_and_loads_from_its_checkpoint(tmp_path, pipeline):
    train = functools.partial(train_text_encoder, setting(tmp_path))
    encoder = train(pipeline, 60)
    losses = torch.load(tmp_path / "text_encoder.pt")["losses"]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    again: T5EncoderModel = train(build_pipeline(), 60)
    ids = draw_lesson(pipeline, np.random.default_rng(1), 2).token_ids
    assert torch.equal(encoder(ids)[0], again(ids)[0])
