"""The diagnosis on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sol.diagnosis_table import draw_bar, draw_table
from sol.live import ProgressView

TIMES = {
    "t": 1.0,
    "agent": "start",
    "turn": "times",
    "seconds": {"self-attention": 1.0, "decoding": 3.0},
}
BOUNDS = {
    "t": 2.0, "agent": "start", "turn": "bounds",
    "bounds": {"quantization": 1.25, "cache": 4.0},
    "because": {"quantization": "linear layers for nothing", "cache": "no call [at all]"},
    "techniques": {},
    "not_tried": {"fp8": "no CUDA", "text_kv": "in the noise", "nvfp4": "no CUDA"},
}  # fmt: skip


def shown(line, is_terminal):
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=120)
    with console.capture() as captured:
        console.print(draw_table(line, is_terminal))
    return [text.rstrip() for text in captured.get().splitlines()]


@pytest.mark.parametrize(
    ("share", "is_terminal", "bar"),
    [
        pytest.param(0.5, False, "#" * 15, id="half"),
        pytest.param(1.0, True, "█" * 30, id="all"),
        pytest.param(0.05, True, "█▌", id="a column and a half"),
        pytest.param(0.0, True, "", id="nothing"),
        pytest.param(1.5, False, "#" * 30, id="no longer than all"),
        pytest.param(-0.5, False, "", id="no shorter than nothing"),
    ],
)
def test_a_bar_is_as_long_as_the_share(share, is_terminal, bar):
    assert draw_bar(share, is_terminal) == bar


def test_the_longest_time_comes_first():
    _, decoding, attention = shown(TIMES, is_terminal=False)
    assert decoding.split() == ["decoding", "3.000", "75.0%", "#" * 22]
    assert attention.split() == ["self-attention", "1.000", "25.0%", "#" * 8]


def test_what_is_not_tried_is_listed_by_reason():
    lines = shown(BOUNDS, is_terminal=False)
    assert lines[1].split()[:3] == ["cache", "4.00x", "#" * 22]
    assert lines[1].endswith("no call [at all]")
    assert lines[3:] == ["not tried: text_kv: in the noise", "not tried: fp8, nvfp4: no CUDA"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_numbers_stay_where_there_is_little_room(is_terminal):
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=is_terminal, width=80), 60.0) as view:
        view.hear(TIMES)
        view.hear({**BOUNDS, "because": dict.fromkeys(BOUNDS["bounds"], "because " * 9)})
    assert "quantization" in out.getvalue()
    assert "1.25x" in out.getvalue()
    assert "75.0%" in out.getvalue()


def test_lines_without_a_table():
    assert draw_table({"agent": "start", "turn": "noise"}, is_terminal=True) is None


@pytest.mark.parametrize("is_terminal", [False, True])
def test_the_view_prints_both(is_terminal):
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=is_terminal, width=120), 60.0) as view:
        view.hear(TIMES)
        view.hear(BOUNDS)
    assert "self-attention" in out.getvalue()
    assert "not tried: fp8, nvfp4: no CUDA" in out.getvalue()
    assert ("█" in out.getvalue()) == is_terminal
