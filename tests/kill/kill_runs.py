"""Kills runs at random moments, and checks what they lost: only what was under way.

python tests/kill/kill_runs.py --rounds 20 --out benchmarks/results/kill-runs.json

Each round of a kind starts a run of its own and kills one of: the driver (which is then started
again until it is done), an agent, a measuring worker, a node of the cluster. All with SIGKILL.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_PATHS = [str(_HERE), *(str(_HERE.parent / name) for name in ("", "search", "stages"))]
sys.path[:0] = [path for path in _PATHS if path not in sys.path]

from checks import MARK, count_lost, find_faults, processes_of  # noqa: E402
from driver import N_WORKERS, NODES  # noqa: E402
from killed_worker import FINISHED, read_lines  # noqa: E402

KINDS = ("driver", "agent", "worker", "node")
_LAST_MOMENT = 68
"""Measurements after which a kill may come at the latest; a run makes 70 to 80."""

_ATTEMPTS = 5
"""Runs of a round: one that ended before its kill is no round, and is played again."""

_LIMIT_S = 180.0
_GONE_WITHIN_S = 20.0


@dataclass(frozen=True)
class Round:
    """One run and its kill.

    Attributes:
        after: Measurements that were finished by then; -1 for a kill while all is started.
        killed: Empty where there was nothing left to kill.
        n_lost: Measurements that were finished and never heard of.
        n_starts: Of the driver.
        faults: What is not as it must be; none where all is well.
    """

    kind: str
    after: int
    killed: str
    n_measured: int
    n_lost: int
    n_starts: int
    seconds: float
    faults: tuple[str, ...]


def play_until_killed(kind: str, folder: Path, rng: random.Random) -> Round:
    """One round, in a new folder for each attempt."""
    for attempt in range(_ATTEMPTS):
        one = play(kind, folder / str(attempt), rng)
        if one.killed or one.faults:
            return one
    raise RuntimeError(f"{_ATTEMPTS} runs ended before their {kind} could be killed.")


def play(kind: str, folder: Path, rng: random.Random) -> Round:
    """One run in a new folder."""
    folder.mkdir(parents=True)
    mark, start = uuid.uuid4().hex, time.monotonic()
    after = rng.randint(0, _LAST_MOMENT)
    if kind == "driver" and rng.random() < 0.15:
        after = -1
    process = _start(folder, kind, mark)
    try:
        _wait_for(folder, after, process, rng)
        killed = _KILLS[kind](folder, mark, process, rng)
        n_starts = _finish(process, folder, kind, mark)
    finally:
        _kill_all(mark)
    faults = find_faults(folder, mark, N_WORKERS)
    return Round(
        kind, after, killed, len(read_lines(folder / FINISHED)), count_lost(folder), n_starts,
        round(time.monotonic() - start, 1), tuple(faults),
    )  # fmt: skip


def _start(folder: Path, kind: str, mark: str) -> subprocess.Popen[bytes]:
    where = "nodes" if kind == "node" else "local"
    with (folder / "driver.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(_HERE / "driver.py"), str(folder), where],
            env={**os.environ, MARK: mark, "PYTHONPATH": os.pathsep.join(_PATHS)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_for(
    folder: Path, after: int, process: subprocess.Popen[bytes], rng: random.Random
) -> None:
    """Until so many measurements are finished, and a random part of one more."""
    if after < 0:
        time.sleep(rng.uniform(0.0, 8.0))
        return
    deadline = time.monotonic() + _LIMIT_S
    while len(read_lines(folder / FINISHED)) < after:
        if process.poll() is not None or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 0.2))


def _kill_driver(
    folder: Path, mark: str, process: subprocess.Popen[bytes], rng: random.Random
) -> str:
    has_ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    _require_gone(mark)
    return "" if has_ended else "driver"


def _require_gone(mark: str) -> None:
    """What outlives its driver for longer than this is an orphan."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    while left := processes_of(mark):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Orphans of a killed driver: {left}")
        time.sleep(0.1)


def _kill_actor(name: str) -> Callable[..., str]:
    def kill(folder: Path, mark: str, process: subprocess.Popen[bytes], rng: random.Random) -> str:
        deadline = time.monotonic() + _LIMIT_S
        found: dict[int, str] = {}
        while not found and process.poll() is None and time.monotonic() < deadline:
            texts = processes_of(mark).items()
            found = {number: text for number, text in texts if text.startswith(f"ray::{name}")}
            time.sleep(0.02)
        return _kill_one(found, rng)

    return kill


def _kill_node(
    folder: Path, mark: str, process: subprocess.Popen[bytes], rng: random.Random
) -> str:
    alive = processes_of(mark)
    nodes = (line["pid"] for line in read_lines(folder / NODES))
    return _kill_one({number: "raylet" for number in nodes if number in alive}, rng)


def _kill_one(found: dict[int, str], rng: random.Random) -> str:
    if not found:
        return ""
    number = rng.choice(sorted(found))
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return found[number].strip()


_KILLS: dict[str, Callable[..., str]] = {
    "driver": _kill_driver,
    "agent": _kill_actor("SkillAgent"),
    "worker": _kill_actor("KilledWorker"),
    "node": _kill_node,
}


def _finish(process: subprocess.Popen[bytes], folder: Path, kind: str, mark: str) -> int:
    """Starts a killed driver again; any other run must finish by itself. How often it started."""
    n_starts = 1
    if kind == "driver":
        process, n_starts = _start(folder, kind, mark), 2
    try:
        process.wait(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
    return n_starts


def _kill_all(mark: str) -> None:
    """Only after a fault: a run that ended well has left nothing."""
    deadline = time.monotonic() + 20.0
    while processes_of(mark) and time.monotonic() < deadline:
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng, rounds = random.Random(options.seed), []
    with tempfile.TemporaryDirectory(prefix="sol-kill-") as root:
        for number in range(options.rounds):
            for kind in options.kinds.split(","):
                rounds.append(play_until_killed(kind, Path(root) / f"{kind}-{number}", rng))
                _say(_row(rounds[-1]))
                _write(options.out, rounds)
    n_faulty = sum(bool(one.faults) for one in rounds)
    _say(f"{len(rounds)} kills, {n_faulty} with a fault")
    sys.exit(n_faulty > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _row(one: Round) -> str:
    return (
        f"{one.kind:7} after {one.after:3} measurements, of {one.n_measured:3}: "
        f"{one.n_lost} lost, {one.n_starts} start(s), {one.seconds:5.1f} s  {one.killed:30.30} "
        f"{'; '.join(one.faults) or 'well'}"
    )


def _write(path: Path | None, rounds: list[Round]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(one) for one in rounds], indent=1) + "\n")


if __name__ == "__main__":
    main()
