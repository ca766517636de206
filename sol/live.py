"""What a person sees while a run goes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sol.diagnosis_table import draw_table

_QUIET_TURNS = frozenset({"measure", "post"})

_PIPED_WIDTH = 240
"""Columns where there is no terminal to ask: wide enough for one line a row."""


@dataclass
class _Row:
    """One agent's line."""

    bound: float = 1.0
    trials: int = 0
    trying: str = ""
    best: float | None = None
    status: str = ""


@dataclass
class ProgressView:
    """Listens to the journal and shows where the run is.

    Attributes:
        search_s: The budget's seconds, for the time left.
    """

    console: Console
    search_s: float
    rows: dict[str, _Row] = field(default_factory=dict)
    phase: str = "loading the target"
    best: str = ""
    search_started: float | None = None
    _live: Live | None = None

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._draw,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        else:
            self.console.width = _PIPED_WIDTH
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def hear(self, line: Mapping[str, Any]) -> None:
        """Takes in one line of the journal."""
        self._update(line)
        text = describe_line(line)
        if text and (self._live is None or line["turn"] not in _QUIET_TURNS):
            self.console.print(
                f"{line['t']:7.1f}s  {text}", markup=False, highlight=False, soft_wrap=True
            )
        self._print_table(line)

    def _print_table(self, line: Mapping[str, Any]) -> None:
        table = draw_table(line, self.console.is_terminal)
        if table is not None:
            self.console.print(table)

    def _update(self, line: Mapping[str, Any]) -> None:
        agent, turn = line["agent"], line["turn"]
        if turn == "observe":
            self.rows[agent] = _Row(bound=line["bound"])
            self.search_started = self.search_started or time.monotonic()
            self.phase = "agents are searching"
        elif agent in self.rows:
            _update_row(self.rows[agent], line)
        else:
            self.phase = _phase(line) or self.phase
        if turn == "post":
            self.best = f"{agent}: {line['finding']}"

    def _draw(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("agent", "bound", "trials", "best", "now"):
            table.add_column(title, overflow="ellipsis", no_wrap=True)
        for skill, row in self.rows.items():
            best = "-" if row.best is None else f"{row.best:.2f}x"
            table.add_row(
                skill, f"{row.bound:.2f}x", str(row.trials), best, row.status or row.trying
            )
        head = Text(self.phase + self._time_left(), style="bold")
        return Group(head, table, Text(f"latest find: {self.best}" if self.best else ""))

    def _time_left(self) -> str:
        if self.search_started is None or self.phase != "agents are searching":
            return ""
        left = self.search_s - (time.monotonic() - self.search_started)
        return f", {max(left, 0):.0f} s left for the search"


def _phase(line: Mapping[str, Any]) -> str:
    """What goes on after the search; nothing for lines that say nothing of it."""
    if line["turn"] == "look":
        return f"at the gate: {line['phase']}, {line['prompts']} prompts seen"
    words = {
        "integrator": "measuring stacks: {setting}",
        "edge": "looked over the edge of {stack}",
        "gate": "at the gate: {stack}",
    }
    return words.get(line["agent"], "").format(**{"stack": "", "setting": "", **line})


def _update_row(row: _Row, line: Mapping[str, Any]) -> None:
    if line["turn"] == "hypothesise":
        row.trying = line["setting"]
    elif line["turn"] == "reflect":
        row.trials += 1
        if line["status"] == "measured":
            row.best = max(row.best or 0.0, line["speedup"])
    elif line["turn"] == "retire":
        row.status = line["reason"]


def describe_line(line: Mapping[str, Any]) -> str:
    """One line of the journal as a sentence, or nothing for the fine print."""
    if line["turn"] == "reflect":
        return _describe_result(line)
    template = _SENTENCES.get((line["agent"], line["turn"])) or _SENTENCES.get(("", line["turn"]))
    if template is None:
        return ""
    texts = {
        k: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in line.items()
    }
    return template.format(**texts).rstrip()


def _describe_result(line: Mapping[str, Any]) -> str:
    what = line.get("setting") or line.get("stack")
    if line["speedup"] is not None and not line["reason"]:
        return f"{line['agent']}: {what}: {line['speedup']:.2f}x at {line['psnr']:.1f} dB"
    return f"{line['agent']}: {what}: out, {line['reason']}"


# By agent and turn; an empty agent stands for any.
_SENTENCES: Mapping[tuple[str, str], str] = {
    ("sol", "resume"): "goes on: {measurements} measurements are recalled",
    ("start", "lost"): "worker {worker} was lost in {job} ({reason}); it is started once more",
    ("start", "starting_points"): "published, to be tried first: {techniques} from {sources}",
    ("start", "load"): "loading {model} ({executor} executor)",
    ("start", "gate"): "the gate is frozen: {profile}, SHA-256 {digest:.16}, {backend}",
    ("start", "target"): "{workers} worker(s) on {hardware}, target {fingerprint}",
    ("start", "baseline"): "freezing the baseline: {videos} videos",
    ("start", "diagnosis"): (
        "one video takes {total_s:.2f} s: {denoise_s:.2f} s denoising ({linear_s:.2f} s in linear "
        "layers), {decode_s:.2f} s decoding, {text_s:.3f} s text"
    ),
    ("start", "redundancy"): (
        "from step to step the output changes by {least_change:.1%} to {most_change:.1%}; the "
        "guidance branches {branches}"
    ),
    ("start", "attention"): (
        "{density:.0%} of the blocks hold {least_mass:.0%} to {most_mass:.0%} of a head's "
        "attention; without the others its output is off by {error_drop:.0%}, with their means "
        "by {error_mean:.0%}"
    ),
    ("start", "settling"): (
        "{settled_half_way:.0%} of the tokens have settled half-way; the calmest quarter changes "
        "{least_spread:.2f} to {most_spread:.2f} times as much as the liveliest"
    ),
    ("start", "skip_recipe"): "no settings are taken from {recipe}: {reason}",
    ("start", "warm_start"): "accepted before, to be tried first: {techniques} from {recipes}",
    ("start", "page"): "all of it, with what changes from step to step: {path}",
    ("ladder", "trust"): (
        "{measure} rank settings with a correlation of {correlation} to PSNR (n={n}): {verdict}"
    ),
    ("start", "noise"): "the baseline against itself: {median:.2f}x [{low:.2f}, {high:.2f}]",
    ("", "observe"): "{agent}: can use {techniques}; at most {bound:.2f}x ({bound_if})",
    ("", "plan"): "{agent}: ran {configs} plans of {groups} sizes to see which stay close",
    ("", "sensitivity"): (
        "{agent}: tried {technique} on each of {parts} parts alone, output error {least} to "
        "{most} {reason}"
    ),
    ("", "hypothesise"): "{agent}: trying {setting} ({reason})",
    ("", "retire"): "{agent}: stops, {reason}",
    ("edge", "check"): "edge: {stack}: {finding}",
    ("gate", "judge"): "gate: judging {stack} ({backend} back-end)",
    ("gate", "look"): "gate: {phase}, {prompts} prompts: {outcome} {reason}",
    ("gate", "verdict"): "gate: {verdict} in the {stage} {reasons}",
    ("integrator", "look_closer"): (
        "integrator: {stack}: {psnr:.1f} dB over {prompts} further prompts {reason}"
    ),
    ("integrator", "leave_out"): (
        "integrator: {technique} adds {adds:.2f}x [{low:.2f}, {high:.2f}] {remark}"
    ),
    ("integrator", "cannot_leave_out"): "integrator: the stack without {technique}: {reason}",
    ("gate", "speed"): "gate: {median:.2f}x [{low:.2f}, {high:.2f}] over {n} pairs {reason}",
}
