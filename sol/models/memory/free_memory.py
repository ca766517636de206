"""How much memory a device has left: a GPU's own, or the host's within a container's limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def find_free_bytes(device: str) -> int | None:
    """Bytes that can still be allocated on "cpu" or a CUDA device; None where nobody says."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return find_free_host_bytes()


def find_free_host_bytes(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """The least of what the system has left and what each enclosing control group may still take.

    Args:
        proc: Where Linux describes processes.
        groups: Where it describes control groups, of either version.
    """
    limits = [left for left in (_system(proc), *_of_groups(proc, groups)) if left is not None]
    return min(limits, default=None)


def _system(proc: Path) -> int | None:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _of_groups(proc: Path, groups: Path) -> Iterator[int | None]:
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, root = ("memory.max", "memory.current", "inactive_file"), groups
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = groups / "memory"
        else:
            continue
        own = root / path.strip("/")
        for folder in (own, *own.parents):
            yield _left_in(folder, *names)
            if folder == root:
                break


def _left_in(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """Files that were read and not used since count as used, but give way."""
    most, used = _number(folder / limit), _number(folder / usage)
    if most is None or used is None:
        return None
    stat = dict(line.split()[:2] for line in _lines(folder / "memory.stat"))
    return max(most - used + int(stat.get(reclaimable, 0)), 0)


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
