"""Rivals are run on the calibration pairs, and the best of each group makes the space."""

import pytest
from example_prompts import diagnosis_of
from fakes import SPACES, FakeWorker
from sessions import session_of

from sol.stages.rivals import choose_rivals
from sol.stages.start import prepare_search

GROUPS = (({"skip": "3"}, {"skip": "4"}, {"skip": "5"}), ({"skip": "3-4"}, {"skip": "4-5"}))
ERRORS = {"3": 0.3, "4": 0.1, "5": 0.2, "3-4": 0.4, "4-5": 0.5}


class RivalWorker(FakeWorker):
    """easycache wants its groups run; the error of each config is known."""

    pairs = ()
    seen = None

    def rivals(self, skill, diagnosis):
        return {"easycache": GROUPS, "text_kv": ()} if skill == "cache" else {}

    def latent_errors(self, technique, configs, pairs):
        assert technique == "easycache"
        type(self).pairs = pairs
        return tuple(ERRORS[config["skip"]] for config in configs)

    def offers(self, skill, diagnosis, tried):
        if skill == "cache":
            type(self).seen = tried.best_rivals
        return super().offers(skill, diagnosis, tried)


class BrokenWorker(RivalWorker):
    def latent_errors(self, technique, configs, pairs):
        raise RuntimeError("out of memory")


@pytest.fixture
def make_session(tmp_path, journal):
    diagnosis = diagnosis_of((0.1,))
    return lambda worker: session_of(
        worker, journal, tmp_path, diagnosis, skills=SPACES, n_calibration=4
    )


def test_the_best_of_each_group_is_kept_in_order(make_session, journal_lines):
    session = make_session(RivalWorker)
    assert choose_rivals(session, "cache") == {"easycache": ({"skip": "4"}, {"skip": "3-4"})}
    assert RivalWorker.pairs == session.calibration[:3]
    assert choose_rivals(session, "quantization") == {}
    (planned,) = [line for line in journal_lines() if line["turn"] == "plan"]
    assert (planned["groups"], planned["configs"]) == (2, 5)


def test_a_group_that_cannot_be_run_keeps_its_first(make_session):
    session = make_session(BrokenWorker)
    assert choose_rivals(session, "cache") == {"easycache": ({"skip": "3"}, {"skip": "3-4"})}


def test_the_space_is_made_from_the_best(make_session):
    prepare_search(make_session(RivalWorker))
    assert RivalWorker.seen == {"easycache": ({"skip": "4"}, {"skip": "3-4"})}
