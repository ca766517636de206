"""The trials of a run as Optuna studies on disk: one a technique, for a dashboard and a resume.

The studies of the agents decide and live in memory; these only keep. A trial is finished once its
attribute `outcome` is there: what a kill leaves behind that, the next opening mends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import Trial, TrialState

from sol.search.encoding import distributions_of, encode
from sol.search.plain_data import from_plain, to_plain
from sol.search.records import Outcome, Proposal, QualityFloor
from sol.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STACKS = "stacks"
_PROPOSAL, _OUTCOME, _PLACE, _LABEL = "proposal", "outcome", "place", "setting"


@dataclass
class _Kept:
    """A trial, and its place among those of the run in the order in which they ended."""

    study: str
    trial_id: int
    number: int
    proposal: Proposal
    outcome: Outcome | None = None
    place: int = 0


class TrialStore:
    """Every trial of a run, as it is begun and as it ends.

    Args:
        prefix: Of the studies' names, where other runs use the same storage.
    """

    def __init__(self, storage: BaseStorage, prefix: str = "") -> None:
        self._storage = storage
        self._prefix = prefix
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._spaces: Mapping[str, Space] = {}
        self._floor: QualityFloor | None = None
        for study in storage.get_all_studies():
            if study.study_name.startswith(prefix):
                self._load(study.study_name)

    def describe(self, spaces: Mapping[str, Space], floor: QualityFloor) -> None:
        """Lets trials from now on have Optuna's parameters, and a constraint in dB.

        Args:
            spaces: By technique.
        """
        self._spaces, self._floor = spaces, floor

    def begin(self, proposal: Proposal) -> None:
        """Keeps a proposal that is about to be measured; one that is there already stays."""
        if _key(proposal) in self._kept:
            return
        study = self._study(proposal)
        params, distributions = _parameters(self._spaces.get(proposal.technique), proposal.config)
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=distributions,
            user_attrs={_PROPOSAL: _to_text(proposal), _LABEL: proposal.label},
        )
        study_id = self._storage.get_study_id_from_name(study)
        trial_id = self._storage.create_new_trial(study_id, template_trial=trial)
        number = self._storage.get_trial_number_from_id(trial_id)
        self._kept[_key(proposal)] = _Kept(study, trial_id, number, proposal)

    def finish(self, proposal: Proposal, outcome: Outcome) -> None:
        """Keeps what became of a proposal; the first outcome stays."""
        self.begin(proposal)
        kept = self._kept[_key(proposal)]
        if kept.outcome is not None:
            return
        place = 1 + sum(k.outcome is not None for k in self._kept.values())
        if outcome.quality is not None and self._floor is not None:
            margin = self._floor.margin_of(outcome.quality)
            self._trial(kept).set_constraint("quality", -margin)
        self._storage.set_trial_user_attr(kept.trial_id, _PLACE, place)
        self._storage.set_trial_user_attr(kept.trial_id, _OUTCOME, _to_text(outcome))
        kept.outcome, kept.place = outcome, place
        self._close(kept, outcome)

    def past(self) -> tuple[tuple[Proposal, Outcome], ...]:
        """All finished trials, in the order in which they ended."""
        return _in_order(self._kept.values())

    def history(self, skill: str) -> tuple[tuple[Proposal, Outcome], ...]:
        """The finished trials of a skill, in the order in which they ended."""
        return _in_order(self._of(skill))

    def interrupted(self, skill: str) -> tuple[Proposal, ...]:
        """What was begun and never finished, in the order of the numbers."""
        begun = (kept.proposal for kept in self._of(skill) if kept.outcome is None)
        return tuple(sorted(begun, key=lambda proposal: proposal.number))

    def _of(self, skill: str) -> list[_Kept]:
        return [kept for kept in self._kept.values() if kept.proposal.skill == skill]

    def _study(self, proposal: Proposal) -> str:
        name = f"{self._prefix}{proposal.skill}/{proposal.technique or _STACKS}"
        optuna.create_study(
            storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
        )
        return name

    def _load(self, study: str) -> None:
        study_id = self._storage.get_study_id_from_name(study)
        for trial in self._storage.get_all_trials(study_id):
            attrs = trial.user_attrs
            if _PROPOSAL not in attrs:
                continue
            kept = _Kept(study, trial._trial_id, trial.number, _from_text(attrs[_PROPOSAL]))
            if _OUTCOME in attrs:
                kept.outcome, kept.place = _from_text(attrs[_OUTCOME]), attrs[_PLACE]
                self._close(kept, kept.outcome)
            self._kept[_key(kept.proposal)] = kept

    def _close(self, kept: _Kept, outcome: Outcome | None) -> None:
        """Tells Optuna, for whom a trial runs until then."""
        study = optuna.load_study(study_name=kept.study, storage=self._storage)
        value = _value_of(outcome)
        if value is None:
            study.tell(kept.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            study.tell(kept.number, value, skip_if_finished=True)

    def _trial(self, kept: _Kept) -> Trial:
        study = optuna.load_study(study_name=kept.study, storage=self._storage)
        return Trial(study, kept.trial_id)


def _in_order(trials: Iterable[_Kept]) -> tuple[tuple[Proposal, Outcome], ...]:
    ended = sorted(trials, key=lambda kept: kept.place)
    return tuple((k.proposal, k.outcome) for k in ended if k.outcome is not None)


def _key(proposal: Proposal) -> tuple[str, int]:
    return proposal.skill, proposal.number


def _value_of(outcome: Outcome | None) -> float | None:
    """The speed-up, as exactly as it is known."""
    if outcome is None or outcome.quality is None:
        return None
    return outcome.speed.median if outcome.speed else outcome.quality.rough_speedup


def _parameters(
    space: Space | None, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """None of either where the setting lies outside of the space: Optuna would refuse it."""
    if space is None:
        return {}, {}
    distributions = distributions_of(space)
    try:
        params = encode(space, config)
        optuna.trial.create_trial(value=0.0, params=params, distributions=distributions)
    except (KeyError, ValueError):
        return {}, {}
    return params, distributions


def _to_text(record: Proposal | Outcome) -> str:
    return json.dumps(to_plain(record), ensure_ascii=False)


def _from_text(text: str) -> Any:
    return from_plain(json.loads(text))
