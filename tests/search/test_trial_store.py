"""Trials on disk: after a kill at any moment they are as they were, and Optuna can read them."""

from __future__ import annotations

import optuna
import pytest

from sol.errors import SolError
from sol.schedule import Schedule
from sol.search.records import Outcome, Proposal, Quality, QualityFloor, Speed
from sol.search.trial_storage import open_trial_store
from sol.space import Choice, Float, Ranked, Space
from sol.technique import StackItem

SPACE = Space({"threshold": Float(0.0, 1.0), "mode": Choice(("a", 1)), "mask": Ranked((3, 5))})
MEASURED = Outcome(
    "measured", "", Quality(40.0, 38.0, 0.9, 1.2, 2, {"t": {"n": 1}}),
    Speed(1.25, 1.1, 1.3, 3, (1.0,), (0.8,)), 1.5,
)  # fmt: skip
TOO_BOLD = Outcome("over_budget", "12 dB", Quality(12.0, 11.0, 0.5, 2.0, 1))
FAILED = Outcome("failed", "no room")


def propose(number: int, technique="easycache", skill="cache") -> Proposal:
    config = {"threshold": number / 10, "mode": 1, "mask": 5, "table": (1.0, (2,))}
    return Proposal(number, skill, technique, config, "why", 1.5, "known", ("threshold", "mode"))


@pytest.fixture(params=["journal", "database"])
def reopen(request, tmp_path):
    """Opens the store of one run, again and again."""
    url = None if request.param == "journal" else f"sqlite:///{tmp_path}/trials.db"
    return lambda run="run-1": open_trial_store(tmp_path, url, run)


def test_what_ended_and_what_was_begun_come_back_exactly_and_in_order(reopen):
    store = reopen()
    proposals = [propose(1), propose(2, "teacache"), propose(3), propose(4)]
    for proposal in proposals:
        store.begin(proposal)
    store.begin(propose(1, "int8", "quantization"))
    store.finish(proposals[2], TOO_BOLD)
    store.finish(proposals[0], MEASURED)
    store.finish(proposals[1], FAILED)
    for opened in (store, reopen()):
        assert opened.history("cache") == (
            (proposals[2], TOO_BOLD), (proposals[0], MEASURED), (proposals[1], FAILED),
        )  # fmt: skip
        assert opened.past() == opened.history("cache")
        assert opened.interrupted("cache") == (proposals[3],)
        assert opened.interrupted("quantization") == (propose(1, "int8", "quantization"),)
        assert opened.history("quantization") == opened.history("integrator") == ()


def test_beginning_and_finishing_again_changes_nothing(reopen):
    store = reopen()
    for opened in (store, reopen(), reopen()):
        opened.begin(propose(1))
        opened.finish(propose(1), MEASURED)
        opened.finish(propose(1), FAILED)
        assert opened.history("cache") == ((propose(1), MEASURED),)
        assert opened.interrupted("cache") == ()


def test_a_stack_is_a_trial_like_any_other(reopen):
    members = (StackItem("easycache", {"threshold": 0.1}, Schedule(steps="2-5")),)
    stack = Proposal(7, "integrator", "", {}, "why", 1.5, members=members, title="easycache")
    reopen().finish(stack, MEASURED)
    store = reopen()
    assert store.history("integrator") == ((stack, MEASURED),)
    assert studies_of(store)[0].study_name.endswith("integrator/stacks")


@pytest.mark.parametrize(
    "moment", ["set_trial_user_attr", "set_trial_state_values", "set_trial_system_attr"]
)
def test_a_kill_in_the_middle_of_finishing_leaves_a_whole_trial_or_none(
    reopen, monkeypatch, moment
):
    store = reopen()
    store.describe({"easycache": SPACE}, QualityFloor(30.0, 20.0))
    store.finish(propose(1), MEASURED)
    store.begin(propose(2))

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store._storage, moment, die)
        with pytest.raises(KeyboardInterrupt):
            store.finish(propose(2), FAILED if moment == "set_trial_state_values" else TOO_BOLD)
    again = reopen()
    again.finish(propose(2), FAILED if moment == "set_trial_state_values" else TOO_BOLD)
    kept = reopen()
    assert [p.number for p, _ in kept.history("cache")] == [1, 2]
    assert kept.interrupted("cache") == ()
    states = [t.state.name for s in studies_of(kept) for t in s.trials]
    assert "RUNNING" not in states
    assert len(states) == 2


def studies_of(store) -> list[optuna.Study]:
    storage = store._storage
    return [
        optuna.load_study(study_name=s.study_name, storage=storage)
        for s in storage.get_all_studies()
    ]


def test_optuna_sees_a_study_a_technique_with_settings_values_and_the_constraint(reopen):
    store = reopen()
    store.describe({"easycache": SPACE}, QualityFloor(30.0, 20.0))
    for number, outcome in ((1, MEASURED), (2, TOO_BOLD), (3, FAILED)):
        store.begin(propose(number))
        store.finish(propose(number), outcome)
    store.begin(propose(4))
    (study,) = studies_of(reopen())
    assert study.study_name.endswith("cache/easycache")
    assert [t.params for t in study.trials] == [
        {"threshold": n / 10, "mode": 1, "mask": 1} for n in (1, 2, 3, 4)
    ]
    assert [t.value for t in study.trials] == [1.25, 2.0, None, None]
    assert [t.constraints for t in study.trials[:2]] == [{"quality": -10.0}, {"quality": 18.0}]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert study.best_trial.number == 0


def test_a_setting_outside_of_its_space_is_kept_without_parameters(reopen):
    store = reopen()
    store.describe({"easycache": SPACE}, QualityFloor(30.0, 20.0))
    store.finish(propose(11), MEASURED)
    assert reopen().history("cache") == ((propose(11), MEASURED),)
    assert studies_of(store)[0].trials[0].params == {}


def test_runs_in_one_database_do_not_see_each_other(tmp_path):
    url = f"sqlite:///{tmp_path}/trials.db"
    open_trial_store(tmp_path, url, "run-1").finish(propose(1), MEASURED)
    assert open_trial_store(tmp_path, url, "run-2").history("cache") == ()
    assert len(open_trial_store(tmp_path, url, "run-1").history("cache")) == 1


def test_the_lock_of_a_killed_process_is_not_waited_for(tmp_path):
    open_trial_store(tmp_path, None, "run").finish(propose(1), MEASURED)
    log = tmp_path / "trials.optuna.log"
    (tmp_path / f"{log.name}.lock").symlink_to(log)
    (tmp_path / f"{log.name}.lock1234.rename").symlink_to(log)
    store = open_trial_store(tmp_path, None, "run")
    store.finish(propose(2), FAILED)
    assert [p.number for p, _ in store.history("cache")] == [1, 2]
    assert list(tmp_path.glob("*.lock*")) == []


@pytest.mark.parametrize("n_bytes", [1, 20, -1])
def test_half_a_line_is_cut_off_and_what_it_said_is_kept_again(tmp_path, n_bytes):
    store = open_trial_store(tmp_path, None, "run")
    store.finish(propose(1), MEASURED)
    log = tmp_path / "trials.optuna.log"
    before = log.read_bytes()
    store.begin(propose(2))
    added = log.read_bytes().removeprefix(before)
    log.write_bytes(before + added[:n_bytes])
    store = open_trial_store(tmp_path, None, "run")
    assert store.history("cache") == ((propose(1), MEASURED),)
    store.finish(propose(2), FAILED)
    assert len(open_trial_store(tmp_path, None, "run").history("cache")) == 2


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/t.db", "foo://x/y"])
def test_a_database_that_cannot_be_opened_is_said_with_the_remedy(tmp_path, url):
    with pytest.raises(SolError, match=r"--storage .*cannot be opened: .*sqlite:////path"):
        open_trial_store(tmp_path, url, "run")
