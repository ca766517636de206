"""What a worker needs of a node, and how many workers a cluster has room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sol.errors import SolError

MAX_CPU_WORKERS = 8
"""On CPUs, unless more are asked for: workers of one host share its memory's bandwidth."""

Node = Mapping[str, Any]
"""One of `ray.nodes()`."""


@dataclass(frozen=True)
class WorkerNeeds:
    """What one worker takes of its node.

    Attributes:
        gpus: None for one where the cluster has any.
        memory_bytes: Of the host, as Ray counts it; None to leave it out of account.
    """

    cpus: int = 1
    gpus: int | None = 0
    memory_bytes: int | None = None

    def resolve(self, nodes: Iterable[Node]) -> WorkerNeeds:
        """With the number of GPUs decided."""
        if self.gpus is not None:
            return self
        has_gpus = any(resources.get("GPU", 0) >= 1 for resources in _alive(nodes))
        return WorkerNeeds(self.cpus, int(has_gpus), self.memory_bytes)

    @property
    def resources(self) -> dict[str, float]:
        """By Ray's names; only what is needed at all."""
        needed = {"CPU": self.cpus, "GPU": self.gpus or 0, "memory": self.memory_bytes or 0}
        return {name: amount for name, amount in needed.items() if amount}

    @property
    def options(self) -> dict[str, float]:
        """As an actor's options."""
        options: dict[str, float] = {"num_cpus": self.cpus, "num_gpus": self.gpus or 0}
        return options if self.memory_bytes is None else {**options, "memory": self.memory_bytes}


def choose_n_workers(asked: int | None, needs: WorkerNeeds, nodes: Iterable[Node]) -> int:
    """As many as asked for, or as there is room for; on CPUs at most `MAX_CPU_WORKERS`.

    Raises:
        SolError: There is no room for them.
    """
    n_places = sum(_count_on(resources, needs) for resources in _alive(nodes))
    if n_places < (asked or 1):
        needed = ", ".join(f"{amount:g} {name}" for name, amount in needs.resources.items())
        raise SolError(
            f"{asked or 1} worker(s) of {needed} each were asked for, but the nodes have room for "
            f"{n_places}. Add nodes, or ask for fewer with --workers."
        )
    if asked is not None:
        return asked
    return n_places if needs.gpus else min(n_places, MAX_CPU_WORKERS)


def _alive(nodes: Iterable[Node]) -> list[Mapping[str, float]]:
    return [node["Resources"] for node in nodes if node["Alive"]]


def _count_on(resources: Mapping[str, float], needs: WorkerNeeds) -> int:
    return min(int(resources.get(name, 0) // amount) for name, amount in needs.resources.items())
