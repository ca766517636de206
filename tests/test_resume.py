"""A run that is killed again and again measures what an undisturbed one does, each thing once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from example_prompts import diagnosis_of
from sessions import PROFILE, JudgedWorker
from typer.testing import CliRunner

from sol.cli import app
from sol.commands import tune as tune_command
from sol.commands.executor import ExecutorChoice
from sol.commands.run_file import RunFile, load_run, write_run
from sol.commands.run_result import find_result, write_result
from sol.commands.tune_options import TuneOptions, lasting, merge
from sol.errors import SolError
from sol.search.budget import Budget
from sol.search.executors.base import Done
from sol.search.executors.inline import InlineExecutor
from sol.search.executors.recalling import RecallingExecutor
from sol.search.journal import Journal
from sol.search.ledger import Ledger
from sol.search.question_key import find_key
from sol.search.records import Glance, Offer
from sol.search.spent import SpentTime
from sol.search.trial_storage import open_trial_store
from sol.space import Choice, Space
from sol.stages.evidence import GateSetting, VideoToScore
from sol.stages.gate import Gate
from sol.stages.recalled_scores import RecallingScorer
from sol.stages.request import TuneRequest
from sol.stages.run_lock import hold
from sol.tune import TuneResult, tune
from sol.validator.profile import load_profile

BUDGET = Budget("test", 1e6, 9, 2, 3, 3, 3)
ARRAYS = ("final_latents", "latents_after_undo", "latents_at_identity")
"""What workers say in arrays is not kept, and is asked again."""


class Killed(BaseException):
    """As if the process were gone."""


class Worker(JudgedWorker):
    """Everything that a run asks of a worker."""

    def diagnose(self, pairs: Any) -> Any:
        return diagnosis_of((0.5, 0.1, 0.1, 0.4))

    def offers(self, skill: str, diagnosis: Any, tried: Any) -> Any:
        if skill == "cache":
            return super().offers(skill, diagnosis, tried)
        space = Space({"layers": Choice(("feed_forward=all", "qkv=all", "all"))})
        return (Offer("int8_dynamic", space, "lossy"),), {}

    def glance(self, stack: Any, pair: Any, limits: Any) -> Glance:
        error = 10.0 ** (-self.measure_quality(stack, [pair], None).psnr / 20.0)
        return Glance(error, error, 8, 1.0, 1.0, True, 0.1)

    def make_baseline(self, pairs: Any) -> tuple[float, ...]:
        return (1.0,) * len(pairs)


@dataclass
class Watched:
    """A worker under watch: what it was asked and could still say, until it is killed.

    Attributes:
        lives: Jobs until it is killed.
        is_late: Whether it is killed with the answer on its lips, or before it does anything.
        n_kills: How often it was killed so far.
    """

    folder: Path
    answered: Counter[str] = field(default_factory=Counter)
    lives: int | None = None
    is_late: bool = False
    n_kills: int = 0

    def __call__(self, plan: Any) -> Any:
        watch, worker = self, Worker(plan)

        class Watching:
            def __getattr__(self, method: str) -> Any:
                return lambda *args: watch.ask(getattr(worker, method), method, args)

        return Watching()

    def ask(self, answer: Any, method: str, args: tuple[Any, ...]) -> Any:
        if method == "describe" or method in ARRAYS:
            return answer(*args)
        if self.lives is not None:
            self.lives -= 1
        if self.lives == 0 and not self.is_late:
            raise Killed
        key = f"{method} {find_key(method, args, self.folder)}"
        try:
            value = answer(*args)
        finally:
            if self.lives == 0:
                raise Killed
        self.answered[key] += 1
        return value


def live(folder: Path, watched: Watched, skills: tuple[str, ...] = ("cache",)) -> TuneResult:
    """One process's part of a run."""
    ledger = Ledger(folder)
    request = TuneRequest(
        "fake", None, None, {}, BUDGET, PROFILE, skills, 0, folder,
        store=open_trial_store(folder, None, "run"), spent=SpentTime(folder), ledger=ledger,
    )  # fmt: skip
    executor = RecallingExecutor(InlineExecutor(make_worker=watched), ledger)
    with Journal(folder / "journal.jsonl", time.monotonic) as journal:
        return tune(request, executor, journal)


def found(result: TuneResult) -> Any:
    return [
        (stack.measured.candidate.stack, stack.measured.speed, stack.gate.verdict, stack.numbers)
        for stack in result.judged
    ]


def make_folder(root: Path) -> Path:
    """Alone in its parent: a search begins with what runs beside it found."""
    folder = root / "runs" / "run"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("undisturbed"))
    watched = Watched(folder)
    return live(folder, watched), watched.answered


def live_until_it_ends(folder: Path, watched: Watched, every: int, *skills: str) -> TuneResult:
    """Is killed at every so manieth job, and resumed."""
    while True:
        watched.lives = every
        try:
            return live(folder, watched, skills)
        except Killed:
            watched.n_kills += 1


@pytest.mark.parametrize(
    ("every", "is_late"), [(4, False), (9, True)], ids=["before jobs", "before answers"]
)
def test_a_killed_run_finds_the_same_and_asks_everything_once(
    tmp_path, undisturbed, every, is_late
):
    folder = make_folder(tmp_path)
    watched = Watched(folder, is_late=is_late)
    result = live_until_it_ends(folder, watched, every, "cache")
    assert watched.n_kills >= 3
    assert watched.answered == undisturbed[1]
    assert found(result) == found(undisturbed[0])
    assert result.winner is not None


def test_whatever_order_agents_take_turns_in_nothing_is_lost_or_measured_twice(tmp_path):
    folder = make_folder(tmp_path)
    watched = Watched(folder, is_late=True)
    live_until_it_ends(folder, watched, 7, "cache", "quantization")
    assert watched.n_kills >= 5
    lines = [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]
    assert Counter(f"{x['method']} {x['key']}" for x in lines if "value" in x) == watched.answered
    past = open_trial_store(folder, None, "run").past()
    assert len({repr(p.stack) for p, _ in past}) == len(past)
    assert {p.skill for p, _ in past} >= {"cache", "quantization"}


def test_the_journal_of_a_resumed_run_goes_on_in_time(tmp_path):
    path, now = tmp_path / "journal.jsonl", 100.0
    with Journal(path, lambda: now) as journal:
        now = 103.5
        journal.write("cache", "reflect")
    path.write_text(path.read_text() + '{"t": 4.0, "agent": "ca')
    now = 7.0
    with Journal(path, lambda: now) as journal:
        journal.write("sol", "resume", measurements=3)
        now = 8.0
        journal.write("cache", "reflect")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["t"] for line in lines] == [3.5, 3.5, 4.5]


def test_the_search_time_that_was_spent_is_there_after_a_kill(tmp_path):
    spent = SpentTime(tmp_path)
    spent.add(1.5)
    spent.add(2.25)
    assert SpentTime(tmp_path).seconds == 3.75
    (tmp_path / "spent.json").write_text("{")
    with pytest.raises(SolError, match=r"damaged: remove it"):
        SpentTime(tmp_path)


def test_a_second_driver_is_refused_and_the_lock_of_a_dead_one_is_free(tmp_path):
    error = pytest.raises(SolError, match=rf"process {os.getpid()} on .* Wait")
    with hold(tmp_path), error, hold(tmp_path):
        pass
    code = (
        "import os, sys; from pathlib import Path; from sol.stages.run_lock import hold\n"
        "with hold(Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    with hold(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()


@pytest.mark.parametrize(
    ("is_accepted", "left"), [(True, ["stack-2", "stack-3"]), (False, ["stack-1", "stack-3"])]
)
def test_a_stack_that_is_judged_again_leaves_the_videos_of_later_ones(tmp_path, is_accepted, left):
    for number in (1, 2, 3):
        (tmp_path / "videos" / f"stack-{number}").mkdir(parents=True)
    gate = Gate(None, GateSetting(PROFILE, "pocket", 8.0, tmp_path), n_accepted=1, _n_judged=2)
    gate._forget_the_one_before(Mock(is_accepted=is_accepted))
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == left


class Scorer:
    """Scores by the size of the file, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sources: dict[str, str] = {}

    def score(self, videos: Any) -> Any:
        self.asked += [video.path.name for video in videos.values()]
        self.sources = {"vbench": "1"}
        return {name: {"size": float(v.path.stat().st_size)} for name, v in videos.items()}


def test_scores_of_videos_that_are_gone_are_recalled(tmp_path):
    path = tmp_path / "videos" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    videos = {"a-baseline": VideoToScore(path, "a prompt")}
    scorer = Scorer()
    first = RecallingScorer(scorer, Ledger(tmp_path))
    assert first.score(videos) == first.score(videos) == {"a-baseline": {"size": 5.0}}
    path.unlink()
    resumed = RecallingScorer(Scorer(), Ledger(tmp_path))
    assert resumed.score(videos) == {"a-baseline": {"size": 5.0}}
    assert resumed.sources == {"vbench": "1"}
    assert scorer.asked == ["a.mp4"]


OPTIONS = TuneOptions(
    model="pocket",
    budget="quick",
    skills="cache",
    gate=None,
    backend="embedded",
    vbench_env=Path("/vbench"),
    output=Path("runs"),
    device="cpu",
    dtype=None,
    overrides={"height": None, "width": None, "num_frames": None, "steps": 8,
               "guidance_scale": None},
    seed=3,
    executor=ExecutorChoice("inline", None, "cpu", None),
    minutes=0.5,
    storage=None,
)  # fmt: skip


@pytest.fixture
def run_folder(tmp_path):
    """A run that was begun with `OPTIONS`."""
    folder = tmp_path / "runs" / "20260102-030405-pocket"
    folder.mkdir(parents=True)
    digest = load_profile("near-lossless-pocket").digest
    write_run(folder, RunFile("id", digest, lasting(OPTIONS)))
    return folder


def test_the_options_of_a_run_come_back_from_its_file(run_folder):
    assert load_run(run_folder).options == OPTIONS
    assert OPTIONS.find_budget().search_s == 30.0


def test_how_long_and_where_is_measured_may_change_when_a_run_is_resumed():
    typed = replace(
        OPTIONS, model="", minutes=9.0, executor=ExecutorChoice("ray", 4, None, "auto")
    )
    merged = merge(OPTIONS, typed, {"minutes", "executor", "workers", "ray_address", "resume"})
    assert (merged.model, merged.minutes) == ("pocket", 9.0)
    assert merged.executor == ExecutorChoice("ray", 4, "cpu", "auto")
    assert merge(OPTIONS, typed, {"resume"}) == OPTIONS


CONTRADICTIONS = [
    (("--model", "pocket-long"), "--model was pocket when the run began, got pocket-long"),
    (("--steps", "9"), "--steps was 8 when"),
    (("--guidance", "2.0"), "--guidance was left out when"),
    (("--seed", "4"), "--seed was 3"),
    (("--storage", "sqlite:///t.db"), "--storage was left out"),
    (("--output", "elsewhere"), "--output was runs"),
    (("--minutes", "0"), "--minutes must be more than 0, got 0"),
]


@pytest.mark.parametrize(("typed", "error"), CONTRADICTIONS)
def test_what_contradicts_the_run_is_refused(run_folder, typed, error):
    before = sorted(run_folder.iterdir())
    result = CliRunner().invoke(app, ["tune", "--resume", str(run_folder), *typed])
    assert result.exit_code == 2
    assert error in result.output
    assert sorted(run_folder.iterdir()) == before


def damage_schema(folder: Path) -> None:
    (folder / "run.json").write_text('{"schema": "sol.run/9"}')


def change_gate(folder: Path) -> None:
    write_run(folder, replace(load_run(folder), gate_digest="0" * 64))


REFUSED = [
    (lambda folder: (folder / "run.json").unlink(), "is no folder of a run"),
    (damage_schema, "is of schema 'sol.run/9', not sol.run/1"),
    (lambda folder: (folder / "run.json").write_text('{"sch'), "is damaged"),
    (change_gate, "Gate profile near-lossless-pocket is another than the one that"),
]


@pytest.mark.parametrize(("spoil", "error"), REFUSED)
def test_what_cannot_be_resumed_is_said(run_folder, spoil, error):
    spoil(run_folder)
    result = CliRunner().invoke(app, ["tune", "--resume", str(run_folder)])
    assert result.exit_code == 2
    assert error in result.output


def test_a_run_that_another_process_works_on_is_refused(run_folder):
    with hold(run_folder):
        result = CliRunner().invoke(app, ["tune", "--resume", str(run_folder)])
    assert result.exit_code == 2
    assert "is in use: process" in result.output


def test_without_a_model_and_without_a_run_there_is_nothing_to_tune():
    result = CliRunner().invoke(app, ["tune"])
    assert result.exit_code == 2
    assert "pass --model, or --resume" in result.output


RESULT = {
    "recipe": "old/place/recipe.yaml",
    "report": "old/place/report.html",
    "run": "old/place",
    "speedup": {"median": 1.5, "low": 1.4, "high": 1.6},
    "n": 9,
    "seconds": 12.0,
}


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_finished_run_says_so_and_prints_its_result(run_folder, is_accepted):
    write_result(
        run_folder, RESULT if is_accepted else {**RESULT, "recipe": None, "speedup": None}
    )
    shown = CliRunner().invoke(app, ["tune", "--resume", str(run_folder)])
    assert shown.exit_code == (0 if is_accepted else 3)
    assert "is finished: there is nothing to resume" in shown.output
    assert ("1.50x [1.40, 1.60]" in shown.output) == is_accepted
    assert str(run_folder / "report.html") in shown.output
    data = CliRunner().invoke(app, ["tune", "--resume", str(run_folder), "--json"])
    assert json.loads(data.stdout)["run"] == str(run_folder)


@dataclass
class Flow:
    """Stands for `sol.tune.tune`: asks one thing, and is killed the first time."""

    n_calls: int = 0

    def __call__(self, request: TuneRequest, executor: Any, journal: Journal) -> TuneResult:
        self.n_calls += 1
        journal.write("start", "load", model="pocket", executor="inline")
        if self.n_calls == 1:
            request.ledger.keep("echo", (1,), Done(1, 0, 1))
            raise KeyboardInterrupt
        return TuneResult(request.folder, None, request.folder / "report.html", (), 1.0)


def test_the_command_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(tune_command, "tune", Flow())
    monkeypatch.chdir(tmp_path)
    begin = ["tune", "-m", "pocket", "--executor", "inline", "--backend", "embedded"]
    first = CliRunner().invoke(app, [*begin, "--budget", "quick", "--minutes", "3"])
    assert first.exit_code == 130
    folder = Path(re.search(r"sol tune --resume (\S+)", first.output).group(1))
    assert find_result(folder) is None
    second = CliRunner().invoke(app, ["tune", "--resume", str(folder), "--minutes", "4"])
    assert second.exit_code == 3
    assert load_run(folder).options.minutes == 4.0
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert [line["turn"] for line in lines] == ["load", "resume", "load"]
    assert lines[1]["measurements"] == 1
    assert "is finished" in CliRunner().invoke(app, ["tune", "--resume", str(folder)]).output
