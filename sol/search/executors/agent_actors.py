"""Agents as Ray actors on the driver's own node; one that dies is started anew and recalls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sol.errors import SolError
from sol.search.executors.base import Past
from sol.search.records import Brief, Finding

_ANSWER_LIMIT_S = 300.0
"""An answer takes an agent a second at most; one that takes this long will not come."""


class AgentActors:
    """The agents of a run. On the driver's node: no other takes one with it when it leaves.

    Args:
        ray: The module, initialised.
        make_agent: The agent's class; None for `SkillAgent`.
        environment: Variables of the agents' processes.
    """

    def __init__(
        self, ray: Any, make_agent: type[Any] | None, environment: Mapping[str, str]
    ) -> None:
        self._ray = ray
        self._environment = environment
        self._make_agent = make_agent
        self._briefs: dict[str, Brief] = {}
        self._actors: dict[str, Any] = {}
        self._heard: dict[str, list[Finding]] = {}
        self._past: Callable[[str], Past] | None = None

    def remember(self, past: Callable[[str], Past]) -> None:
        """Sets where an agent that is started anew learns what its skill has measured."""
        self._past = past

    def start(self, brief: Brief) -> None:
        """Starts an actor that takes no CPU: it only decides."""
        self._briefs[brief.skill] = brief
        self._heard[brief.skill] = []
        self._actors[brief.skill] = self._start_actor(brief)

    def ask(self, skill: str, method: str, *args: Any) -> Any:
        """Calls the agent and waits; one that died is started anew, recalls, and is asked again.

        Raises:
            SolError: It died again of the same question.
        """
        try:
            answer = self._ask(skill, method, *args)
        except self._lost():
            self._revive(skill)
            answer = self._ask_revived(skill, method, *args)
        if method == "observe":
            self._heard[skill].extend(args)
        return answer

    def close(self) -> None:
        """Kills them."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()

    def _start_actor(self, brief: Brief) -> Any:
        make_agent = self._make_agent
        if make_agent is None:
            from sol.search.agent import SkillAgent

            make_agent = SkillAgent
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = self._ray.remote(make_agent).options(
            num_cpus=0,
            scheduling_strategy=strategy,
            runtime_env={"env_vars": dict(self._environment)},
        )
        return actor.remote(brief)

    def _revive(self, skill: str) -> None:
        self._ray.kill(self._actors[skill])
        self._actors[skill] = self._start_actor(self._briefs[skill])
        if self._past is not None:
            self._ask_revived(skill, "recall", *self._past(skill))
        for finding in self._heard[skill]:
            self._ask_revived(skill, "observe", finding)

    def _ask(self, skill: str, method: str, *args: Any) -> Any:
        reference = getattr(self._actors[skill], method).remote(*args)
        return self._ray.get(reference, timeout=_ANSWER_LIMIT_S)

    def _ask_revived(self, skill: str, method: str, *args: Any) -> Any:
        try:
            return self._ask(skill, method, *args)
        except self._lost() as error:
            raise SolError(
                f"The agent of {skill} died twice when asked to {method}: {error} What was "
                "measured is kept: resume the run."
            ) from error

    def _lost(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        return (errors.RayActorError, errors.OutOfMemoryError, errors.GetTimeoutError)
