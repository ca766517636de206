"""Several tensors, read as one and put back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sol.call_form import block_form, denoiser_form, streams_form, type_of


class Joint(nn.Module):
    def forward(self, hidden_states, temb, encoder_hidden_states=None):
        return hidden_states + temb, encoder_hidden_states * 2


class Record(dict):
    def __init__(self, sample):
        super().__init__(sample=sample)

    def __getitem__(self, key):
        return self.get("sample") if key == 0 else super().__getitem__(key)


@pytest.mark.parametrize(
    ("video", "text", "axis", "joined"),
    [
        ((2, 6, 8), (2, 3, 8), 1, (2, 9, 8)),
        ((2, 6, 8), (2, 3, 4), 1, (2, 15, 4)),
        ((1, 5, 12), (1, 2, 8), 1, (1, 19, 4)),
        ((6, 8), (3, 8), 0, (9, 8)),
        ((6, 8), (3, 4), 0, (15, 4)),
    ],
)
def test_streams_of_any_widths_are_joined_and_split_exactly(video, text, axis, joined):
    form = streams_form(Joint(), ("hidden_states", "encoder_hidden_states"), axis)
    hidden, states = torch.randn(video), torch.randn(text)
    args, kwargs = (hidden, 0.0), {"encoder_hidden_states": states}
    x = form.read(args, kwargs)
    assert x.shape == joined
    again = form.pass_through(args, kwargs)
    assert torch.equal(again[0], hidden)
    assert torch.equal(again[1], states)
    answer = Joint()(*args, **kwargs)
    back = form.answer(form.read_answer(answer), args, kwargs, None)
    assert all(torch.equal(a, b) for a, b in zip(back, answer, strict=True))


def test_a_block_that_maps_one_tensor_is_read_as_it_is():
    block = nn.Identity()
    hidden = torch.randn(1, 2, 3)
    form = block_form(block, "input")
    assert form.read((hidden,), {}) is hidden
    assert form.pass_through((hidden,), {}) is hidden


@pytest.mark.parametrize("kind", [None, Record])
def test_a_denoiser_is_answered_for_in_its_own_form(kind):
    y = torch.randn(2, 3)
    answer = (y,) if kind is None else kind(sample=y)
    form = denoiser_form(nn.Identity(), "input")
    assert type_of(answer) is kind
    assert form.read_answer(answer) is y
    again = form.answer(y, (y,), {}, kind)
    assert type(again) is type(answer)
    assert again[0] is y
