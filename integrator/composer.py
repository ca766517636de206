"""The integrator as one more agent: it proposes stacks where the others propose settings.

It learns from every setting that was measured alone and from every stack, and proposes the stack
from which it expects most: the expected improvement over the fastest stack that held, times the
chance that it clears the floor and that it runs at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sol.integrator.accepted import FEWEST_MEMBERS, AcceptedStack, find_accepted
from sol.integrator.chances import Settings, chance_to_hold, chance_to_run
from sol.integrator.compose import Candidate, compose, is_admissible, make_candidate
from sol.integrator.cost import TimeShares
from sol.integrator.effects import Effect, effect_of
from sol.integrator.known_settings import KnownSettings
from sol.integrator.measured import MeasuredStack
from sol.integrator.prediction import StackModel
from sol.integrator.protection import share_protection
from sol.search.records import Outcome, Proposal, Quality, QualityFloor, Speed
from sol.search.warm_start import Precedent
from sol.space import Space
from sol.technique import Stack, Technique

SKILL = "integrator"

_NEAR_BEST = 3
"""Measured stacks that are re-tuned: the fastest that held, and faster ones that did not."""
_GUESSED = 0.5
"""Weight of a gain that rests on settings which were never measured: the spread that makes it
large is that of the guess."""
_TOO_LITTLE = 0.002
"""Expected gain, in the logarithm, below which nothing is worth a measurement."""


@dataclass
class Composer:
    """Decides which stack to measure next.

    Attributes:
        floor: Of the calibration quality; it rises when the gate rejects what cleared it.
        least_speedup: What is not faster is no gain.
        spaces: By technique, what its knobs may be.
        stacks: What was measured, in order; settings that were measured alone among them.
        banned: Sets of lossy settings: a stack that has all of one is out.
    """

    shares: TimeShares
    techniques: Mapping[str, Technique]
    floor: QualityFloor
    least_speedup: float = 1.0
    spaces: dict[str, Space] = field(default_factory=dict)
    stacks: list[MeasuredStack] = field(default_factory=list)
    banned: list[Settings] = field(default_factory=list)
    _accepted: tuple[AcceptedStack, ...] = ()
    _fallen: list[list[Effect]] = field(default_factory=list)
    _open: dict[int, Candidate] = field(default_factory=dict)
    _number: int = 0
    skill: str = SKILL
    _choice: tuple[Candidate, float] | None = None
    _is_fresh: bool = False

    def __post_init__(self) -> None:
        self.model = StackModel(self.shares, self.techniques)
        self._settings = KnownSettings(self.techniques, self.spaces)

    def learn_setting(self, proposal: Proposal, outcome: Outcome) -> None:
        """Takes in what was measured of one setting alone."""
        self._is_fresh = False
        if outcome.quality is None:
            return
        speed = outcome.speed or _rough(outcome.quality)
        effect = effect_of(proposal, outcome.quality, speed)
        self._settings.add(effect)
        candidate = make_candidate((effect,), self.techniques, self.model)
        self._note_fall(candidate, outcome.quality)
        if outcome.status == "measured":
            self.stacks.append(
                MeasuredStack(candidate, outcome.quality, outcome.speed, is_prediction=False)
            )

    def offer(self, skill: str, proposals: Iterable[Proposal]) -> None:
        """The settings that an agent would have composed: its frontier."""
        self._is_fresh = False
        self._settings.offer(skill, proposals)

    def recommend(self, precedents: Iterable[Precedent]) -> None:
        """The members of accepted recipes: each one's stack is worth what it gained there."""
        self._is_fresh = False
        self._accepted = find_accepted(precedents, self.spaces)

    def bid(self) -> float:
        """The expected gain of the next measurement, in the logarithm of the speed-up."""
        choice = self._choose()
        return choice[1] if choice is not None else 0.0

    def propose(self) -> Proposal | None:
        """The stack that is most worth measuring, or None where none is."""
        choice = self._choose()
        if choice is None:
            return None
        candidate, gain = choice
        self._number += 1
        self._is_fresh = False
        self._open[self._number] = candidate
        praise = next((a.praise for a in self._accepted if a.key == candidate.key), "")
        return Proposal(
            number=self._number,
            skill=SKILL,
            technique="",
            config={},
            hypothesis=f"{praise}{candidate.prediction.text}; expected gain {gain:.1%}",
            expected_speedup=candidate.prediction.speedup,
            members=candidate.stack,
            title=candidate.label,
        )

    def learn_stack(self, proposal: Proposal, outcome: Outcome) -> None:
        """Takes in what was measured of a stack that was proposed."""
        self._is_fresh = False
        self._number = max(self._number, proposal.number)
        candidate = self._open.pop(proposal.number, None) or self.candidate_of(proposal.members)
        speed = outcome.speed
        if speed is None and outcome.quality is not None:
            speed = _rough(outcome.quality)
        self.model.learn(candidate.members, outcome.quality, speed)
        self._note_fall(candidate, outcome.quality)
        reason = "" if outcome.status == "measured" else outcome.reason or outcome.status
        self.stacks.append(MeasuredStack(candidate, outcome.quality, outcome.speed, reason=reason))

    def take(self, stack: MeasuredStack) -> None:
        """Takes in a stack that was measured for another reason than a proposal of its own."""
        self._is_fresh = False
        if any(s.candidate.key == stack.candidate.key for s in self.stacks):
            self.put(stack)
            return
        self.model.learn(stack.candidate.members, stack.quality, stack.speed)
        self.stacks.append(stack)

    def put(self, stack: MeasuredStack) -> MeasuredStack:
        """Puts what is known of a stack by now in the place of what was known before.

        What was predicted of it stays what it was before the first measurement.

        Returns:
            The stack as it is kept.
        """
        self._is_fresh = False
        same = [s.candidate.key == stack.candidate.key for s in self.stacks].index(True)
        first = self.stacks[same]
        self.stacks[same] = replace(
            stack, candidate=first.candidate, is_prediction=first.is_prediction
        )
        return self.stacks[same]

    def demand(self, psnr: float) -> None:
        """Raises the floor of the mean PSNR, in dB."""
        self._is_fresh = False
        self.floor = replace(self.floor, psnr=max(self.floor.psnr, psnr))

    def ban(self, candidate: Candidate) -> None:
        """Rules out every stack that has all lossy settings of this one."""
        self._is_fresh = False
        self.banned.append(self._loss_of(candidate) or candidate.key)

    def candidate_of(self, stack: Stack) -> Candidate:
        """The stack of these items, with what is known of each."""
        return make_candidate(map(self._settings.find, stack), self.techniques, self.model)

    def without(self, candidate: Candidate, effect: Effect) -> Candidate:
        """The stack without one member."""
        others = (other for other in candidate.members if other != effect)
        return make_candidate(others, self.techniques, self.model)

    @property
    def held(self) -> list[MeasuredStack]:
        """The measured stacks that may go to the gate, the fastest first."""
        found = [stack for stack in self.stacks if self._holds(stack)]
        return sorted(found, key=lambda stack: -stack.speedup)

    @property
    def best(self) -> MeasuredStack | None:
        """The fastest measured stack that held."""
        return next(iter(self.held), None)

    def why_not_sent(self, stack: MeasuredStack) -> str:
        """What keeps a stack from the gate by now that was not out as measured; "" if nothing."""
        shortfall = self.floor.find_shortfall(stack.quality) if stack.quality else None
        if shortfall is not None:
            return f"{shortfall} since a faster stack fell short"
        if self._is_banned(stack.candidate):
            return "it has all lossy settings of a stack that fell short"
        return ""

    def _holds(self, stack: MeasuredStack) -> bool:
        return (
            stack.is_eligible
            and stack.quality is not None
            and stack.speedup > self.least_speedup
            and not self.why_not_sent(stack)
        )

    def _is_banned(self, candidate: Candidate) -> bool:
        return any(loss <= candidate.key for loss in self.banned)

    def _loss_of(self, candidate: Candidate) -> Settings:
        return frozenset(effect.key for effect in self._lossy_of(candidate))

    def _lossy_of(self, candidate: Candidate) -> list[Effect]:
        return [e for e in candidate.members if self.techniques[e.technique].exactness == "lossy"]

    def _note_fall(self, candidate: Candidate, quality: Quality | None) -> None:
        if quality is not None and self.floor.find_shortfall(quality):
            self._fallen.append(self._lossy_of(candidate))

    def _choose(self) -> tuple[Candidate, float] | None:
        if not self._is_fresh:
            candidates = self._candidates()
            gains = zip(candidates, self._gains(candidates), strict=True)
            best = max((*gains, *self._accepted_here()), key=lambda pair: pair[1], default=None)
            self._choice = best if best is not None and best[1] > _TOO_LITTLE else None
            self._is_fresh = True
        return self._choice

    def _accepted_here(self) -> Iterable[tuple[Candidate, float]]:
        """Recipes' stacks whose members were measured here, and what they gained there."""
        known, reached = self._known(), self._reached()
        for accepted in self._accepted:
            members = accepted.find_members(self._settings)
            if accepted.key in known or not members:
                continue
            candidate = make_candidate(members, self.techniques, self.model)
            if not self._is_banned(candidate):
                gain = max(math.log(accepted.speedup) - reached, 0.0)
                yield candidate, gain * candidate.prediction.chance_of(self.floor)

    def _known(self) -> set[Settings]:
        measured = {stack.candidate.key for stack in self.stacks}
        return measured | {candidate.key for candidate in self._open.values()}

    def _candidates(self) -> list[Candidate]:
        known = self._known()
        composed = compose(self._settings.to_compose(), self.techniques, self.model, self.floor)
        found = {c.key: c for c in (*composed, *self._retuned())}
        return [
            c
            for key, c in found.items()
            if key not in known and len(c.members) >= FEWEST_MEMBERS and not self._is_banned(c)
        ]

    def _retuned(self) -> Iterable[Candidate]:
        for stack in self._near_best():
            for members in self._changed(stack.candidate.members):
                candidate = make_candidate(members, self.techniques, self.model)
                if is_admissible(candidate, self.techniques, self.floor):
                    yield candidate

    def _changed(self, members: tuple[Effect, ...]) -> Iterable[tuple[Effect, ...]]:
        """One knob at a time, one member more, or all numbers of protected steps at once."""
        for place, effect in enumerate(members):
            for other in self._settings.near(effect):
                yield (*members[:place], other, *members[place + 1 :])
        for offered in self._settings.to_compose().values():
            yield from ((*members, further) for further in offered)
        yield from share_protection(members, self.techniques, self.spaces, self._settings.find)

    def _near_best(self) -> Sequence[MeasuredStack]:
        """The best, and what was faster and did not hold: a gentler neighbour may."""
        best = self.best
        if best is None:
            return ()
        faster = [
            stack
            for stack in self.stacks
            if stack.quality is not None
            and stack.reason
            and stack.quality.rough_speedup > best.speedup
        ]
        return (best, *faster[-_NEAR_BEST + 1 :])

    def _gains(self, candidates: Sequence[Candidate]) -> list[float]:
        """Of each the expected gain over the best, by the chance that it runs and holds."""
        reached = self._reached()
        ran = [stack.candidate.key for stack in self.stacks if stack.quality is not None]
        failed = [stack.candidate.key for stack in self.stacks if stack.quality is None]
        return [
            candidate.prediction.gain_over(reached)
            * candidate.prediction.chance_of(self.floor)
            * chance_to_run(candidate.key, ran, failed)
            * chance_to_hold(candidate, self._fallen, self.spaces)
            * (1.0 if all(effect.is_measured for effect in candidate.members) else _GUESSED)
            for candidate in candidates
        ]

    def _reached(self) -> float:
        best = self.best
        return math.log(max(best.speedup, 1.0)) if best is not None else 0.0


def _rough(quality: Quality) -> Speed:
    """Of a stack that was not timed: enough to rank."""
    rough = quality.rough_speedup
    return Speed(rough, rough, rough, 0, (), ())
