"""rotary_tables: made once a video, and made anew for whatever could change them."""

from __future__ import annotations

import copy

import pytest
import torch
from example_prompts import PROMPT

from sol.clock import Clock
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.exact.rotary_tables import ROTARY_TABLES, RotaryTablesConfig
from sol.technique import StackItem

HIDDEN = torch.zeros(2, 24, 16)
SIZES = {"num_frames": 2, "height": 3, "width": 4, "rope_interpolation_scale": (0.5, 32, 32)}


@pytest.fixture
def ropes(pipeline):
    """One module with the technique in its first video, and its like without."""
    plain = copy.deepcopy(pipeline.transformer.rope)
    clock = Clock()
    ROTARY_TABLES.install(describe_roles(pipeline), RotaryTablesConfig(), Schedule(), clock)
    clock.begin_video(8)
    return pipeline.transformer.rope, plain, clock


def test_tables_are_made_once_a_video(pipeline, workload):
    tables = []
    pipeline.transformer.rope.register_forward_hook(lambda _m, _a, out: tables.append(out[0]))
    install_stack(pipeline, (StackItem("rotary_tables"),))
    for seed in (0, 1):
        render(pipeline, workload, PROMPT, seed)
    assert len(tables) == 16
    assert len({id(table) for table in tables}) == 2


@pytest.mark.parametrize(
    ("hidden", "change"),
    [
        (HIDDEN[:1], {}),
        (HIDDEN.double(), {}),
        (HIDDEN, {"num_frames": 4, "height": 2, "width": 3}),
        (HIDDEN, {"height": 4, "width": 3}),
        (HIDDEN, {"rope_interpolation_scale": (0.25, 32, 32)}),
        (HIDDEN, {"rope_interpolation_scale": None}),
        (HIDDEN, {"rope_interpolation_scale": (torch.tensor(0.75), 32, 32)}),
        (HIDDEN, {"video_coords": torch.rand(2, 3, 24)}),
    ],
)
def test_other_arguments_give_their_own_tables(ropes, hidden, change):
    rope, plain, _ = ropes
    first = rope(HIDDEN, **SIZES)
    arguments = {**SIZES, **change}
    for _ in range(2):
        for table, expected in zip(
            rope(hidden, **arguments), plain(hidden, **arguments), strict=True
        ):
            assert torch.equal(table, expected)
    assert rope(torch.rand_like(HIDDEN), *SIZES.values())[0] is first[0]


def test_coordinates_written_to_in_place_give_new_tables(ropes):
    rope, plain, _ = ropes
    coords = torch.rand(2, 3, 24)
    first = rope(HIDDEN, video_coords=coords)
    assert rope(HIDDEN, video_coords=coords)[0] is first[0]
    coords += 0.5
    assert torch.equal(rope(HIDDEN, video_coords=coords)[0], plain(HIDDEN, video_coords=coords)[0])


def test_tables_that_somebody_wrote_into_are_made_again(ropes):
    rope, plain, _ = ropes
    rope(HIDDEN, **SIZES)[0].mul_(2)
    assert torch.equal(rope(HIDDEN, **SIZES)[0], plain(HIDDEN, **SIZES)[0])


def test_a_new_video_makes_new_tables(ropes):
    rope, _, clock = ropes
    first = rope(HIDDEN, **SIZES)[0]
    clock.begin_video(8)
    assert rope(HIDDEN, **SIZES)[0] is not first
