import json
import shutil

import pytest
from reviewed_run import RUN_ID, WHEN, make_run

from sol.errors import SolError
from sol.lossless_video import VideoFileError
from sol.validator.review.answers import Answer, Mark
from sol.validator.review.plan import ReviewError
from sol.validator.review.session import (
    ReviewClosedError,
    ReviewRequest,
    ReviewSession,
    UnknownTrialError,
    find_finished,
)
from sol.validator.review.store import folder_name
from sol.validator.review.view import show_session


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), n_pairs=3)


@pytest.fixture
def run(made_run, tmp_path):
    return shutil.copytree(made_run, tmp_path / RUN_ID)


@pytest.fixture
def start(run):
    sessions = []

    def begin(reviewer="Ann", seed=0, n_pairs=None, again=False):
        request = ReviewRequest(run, n_pairs, seed, again, lambda: WHEN)
        sessions.append(ReviewSession(request, reviewer))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.close()


def answer_all(session, choice="none"):
    for trial in session.open_trials:
        session.give(Answer(trial.id, choice))


def test_a_restart_goes_on_with_the_same_plan_whatever_the_seed(start):
    first = start(seed=1)
    asked = first.open_trials[0]
    first.give(Answer(asked.id, "left"))
    first.close()
    second = start(seed=2)
    assert second.plan == first.plan
    assert second.open_trials == first.plan.trials[1:]


def test_reviewers_have_plans_and_answers_of_their_own(start):
    ann, bob = start("Ann", seed=1), start("Bob", seed=2)
    ann.give(Answer(ann.open_trials[0].id, "left"))
    assert ann.plan.trials != bob.plan.trials
    assert not bob.answers


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ann", "ann"), ("Ann B", "Ann-B"), ("Zoë", "Zoé"), ("a/b", "a b"), ("x", "X")],
)
def test_names_that_look_alike_have_folders_of_their_own(one, other):
    assert folder_name(one).lower() != folder_name(other).lower()


@pytest.mark.parametrize("name", ["..", "../../etc", "/", "a\\b", "名前", ".hidden", "-"])
def test_no_name_leaves_the_folder(name):
    folder = folder_name(name)
    assert folder.strip("abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
    assert folder


def test_a_second_server_of_the_same_reviewer_is_refused(start):
    start("Ann")
    with pytest.raises(ReviewError, match=r"open already: process \d+ on .*another --reviewer"):
        start("Ann")


def test_a_lock_file_that_was_left_behind_does_not_matter(start, run):
    (run / "review").mkdir()
    (run / "review" / f"{folder_name('Ann')}.lock").write_text('{"pid": 1, "host": "gone"}')
    assert start("Ann").open_trials


def test_an_answer_can_be_taken_back_until_the_end(start):
    session = start()
    first = session.open_trials[0]
    given = Answer(first.id, "left", ("blur",), "why", Mark("left", 4, 0.1, 0.2))
    session.give(given)
    assert session.undo() == given
    assert session.open_trials[0] == first
    with pytest.raises(ReviewError, match="no answer to take back"):
        session.undo()


def test_the_result_comes_after_the_last_answer_and_ends_the_answers(start):
    session = start()
    with pytest.raises(ReviewClosedError, match="6 trials are open"):
        session.reveal()
    with pytest.raises(ReviewClosedError):
        session.evaluate()
    answer_all(session)
    session.reveal()
    assert session.evaluate().n_pairs == 3
    with pytest.raises(ReviewClosedError, match="can no longer be changed"):
        session.give(Answer(session.plan.trials[0].id, "left"))
    with pytest.raises(ReviewClosedError):
        session.undo()


def test_an_unknown_trial_or_frame_is_refused(start):
    session = start()
    with pytest.raises(UnknownTrialError):
        session.give(Answer("0" * 16, "left"))
    with pytest.raises(ReviewError, match="last frame is 4, got 5"):
        session.give(Answer(session.open_trials[0].id, "left", mark=Mark("left", 5, 0, 0)))
    assert not session.answers


def test_identical_sides_are_identical_bytes_and_others_differ(start):
    session = start()
    for trial in session.plan.trials:
        left, right = session.sheet(trial.id, "left"), session.sheet(trial.id, "right")
        assert (left == right) == trial.is_catch
        assert b"tEXt" not in left + right


def test_nothing_before_the_end_depends_on_the_sides(start, run):
    session = start()
    while session.open_trials:
        shown = json.dumps(show_session(session)).lower()
        for word in ("baseline", "accelerated", "stack", "step_mask", "psnr", ".mp4", "pair0"):
            assert word not in shown
        session.give(Answer(session.open_trials[0].id, "right"))
    assert "baseline" not in json.dumps(show_session(session)).lower()
    session.reveal()
    assert "baseline" in json.dumps(show_session(session))


def test_other_videos_are_another_review(start, run):
    session = start()
    answer_all(session)
    session.reveal()
    session.close()
    assert find_finished(run, "Ann").n_pairs == 3
    shutil.copy(run / "videos/stack/pair0.mp4", run / "videos/stack/pair1.mp4")
    for attempt in (lambda: start(), lambda: find_finished(run, "Ann")):
        with pytest.raises(
            ReviewError, match=r"not those that Ann's review was begun with.*--again"
        ):
            attempt()


def test_again_keeps_the_earlier_review_beside_the_new_one(start, run):
    first = start()
    answer_all(first)
    first.close()
    second = start(seed=9, again=True)
    assert len(second.open_trials) == 6
    old = run / "review" / f"{folder_name('Ann')}.1"
    assert len((old / "answers.jsonl").read_text().splitlines()) == 6


def test_another_number_of_pairs_than_begun_with_is_refused(start):
    start(n_pairs=2).close()
    with pytest.raises(ReviewError, match="begun with 2 pairs, --pairs says 3"):
        start(n_pairs=3)
    start(n_pairs=2).close()
    assert start().open_trials


def test_only_a_finished_review_goes_into_an_approval(start, run):
    assert find_finished(run, "Ann") is None
    session = start()
    answer_all(session)
    assert find_finished(run, "Ann") is None
    session.reveal()
    assert find_finished(run, "Ann").n_no_difference == 3
    assert find_finished(run, "Bob") is None


@pytest.mark.parametrize("name", ["baseline/pair0.mp4", "stack/pair2.mp4"])
def test_a_damaged_video_is_found_before_the_first_question(start, run, name):
    path = run / "videos" / name
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(VideoFileError, match=name):
        start()
    assert not list((run / "review").glob("*/plan.json"))


def test_a_missing_video_says_which(start, run):
    (run / "videos/stack/pair1.mp4").unlink()
    with pytest.raises(SolError, match=r"stack/pair1\.mp4 cannot be read"):
        start()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"schema": "sol.review/9"}'])
def test_a_damaged_plan_is_refused_with_the_remedy(start, run, text):
    start().close()
    (run / "review" / folder_name("Ann") / "plan.json").write_text(text)
    with pytest.raises(ReviewError, match="--again"):
        start()
    assert start(again=True).open_trials


def test_a_run_without_videos_says_so(tmp_path):
    request = ReviewRequest(tmp_path, None, 0, False, lambda: WHEN)
    with pytest.raises(SolError, match="keeps no videos"):
        ReviewSession(request, "Ann")
