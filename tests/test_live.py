"""What is shown while a run goes on."""

from __future__ import annotations

import io

from rich.console import Console

from sol.live import ProgressView, describe_line

LINES = [
    {"t": 0.0, "agent": "start", "turn": "load", "model": "pocket", "executor": "ray"},
    {"t": 1.0, "agent": "cache", "turn": "observe", "techniques": ["a", "b"], "bound": 9.5,
     "bound_if": "no denoiser call at all", "not_applicable": {}},
    {"t": 2.0, "agent": "cache", "turn": "hypothesise", "trial": 1, "setting": "a x=[1]",
     "reason": "first", "expected": 1.0},
    {"t": 3.0, "agent": "cache", "turn": "reflect", "trial": 1, "setting": "a x=[1]",
     "status": "measured", "reason": "", "psnr": 40.0, "speedup": 1.5},
    {"t": 4.0, "agent": "cache", "turn": "reflect", "trial": 2, "setting": "b", "status": "failed",
     "reason": "out of memory", "psnr": None, "speedup": None},
    {"t": 5.0, "agent": "cache", "turn": "retire", "reason": "time is up"},
    {"t": 5.5, "agent": "edge", "turn": "check", "stack": "s", "fallen": True, "psnr": 21.3,
     "finding": "on the edge: a x 1 -> 2 falls to 21.3 dB"},
    {"t": 6.0, "agent": "gate", "turn": "look", "phase": "screening", "prompts": 18,
     "outcome": "rejected", "reason": "too dark"},
    {"t": 6.0, "agent": "gate", "turn": "verdict", "stack": "s", "verdict": "rejected",
     "stage": "screening", "reasons": ["too dark", "frozen"]},
    {"t": 7.0, "agent": "integrator", "turn": "leave_out", "technique": "a", "adds": 1.2,
     "low": 1.1, "high": 1.3, "remark": ""},
]  # fmt: skip


def test_plain_lines_where_there_is_no_terminal():
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=False), 60.0) as view:
        for line in LINES:
            view.hear(line)
    text = out.getvalue()
    assert "loading pocket (ray executor)" in text
    assert "cache: can use a, b; at most 9.50x (no denoiser call at all)" in text
    assert "cache: trying a x=[1] (first)" in text
    assert "cache: a x=[1]: 1.50x at 40.0 dB" in text
    assert "cache: b: out, out of memory" in text
    assert "edge: s: on the edge: a x 1 -> 2 falls to 21.3 dB" in text
    assert "gate: screening, 18 prompts: rejected too dark" in text
    assert "gate: rejected in the screening too dark, frozen" in text
    assert "integrator: a adds 1.20x [1.10, 1.30]" in text


def test_the_live_table_shows_each_agent_its_best_and_the_time_left():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    view = ProgressView(console, 60.0)
    for line in LINES[:4]:
        view._update(line)
    with console.capture() as captured:
        console.print(view._draw())
    assert "cache" in captured.get()
    assert "1.50x" in captured.get()
    assert "s left for the search" in captured.get()


def test_the_fine_print_is_left_out():
    assert describe_line({"agent": "cache", "turn": "measure"}) == ""
