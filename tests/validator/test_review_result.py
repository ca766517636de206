import pytest

from sol.validator.review.answers import Answer, Mark
from sol.validator.review.plan import Trial
from sol.validator.review.result import evaluate
from sol.validator.review.words import describe


def make_review(n_accelerated, n_baseline, n_none, n_catch, n_catch_seen):
    """Trials and answers with so many of each; the accelerated video is left every other time."""
    said = ["accelerated"] * n_accelerated + ["baseline"] * n_baseline + [None] * n_none
    trials, answers = [], {}
    for index, better in enumerate(said):
        sides = ("accelerated", "baseline") if index % 2 else ("baseline", "accelerated")
        trial = Trial(f"t{index}", f"p{index}", *sides)
        choice = "none" if better is None else ("left", "right")[sides.index(better)]
        trials.append(trial)
        answers[trial.id] = Answer(trial.id, choice)
    for index in range(n_catch):
        trial = Trial(f"c{index}", f"p{index}", "baseline", "baseline")
        trials.append(trial)
        answers[trial.id] = Answer(trial.id, "left" if index < n_catch_seen else "none")
    return trials, answers


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Clopper and Pearson's exact intervals, from published tables.
        (0, 10, 0.0, 0.3085),
        (2, 10, 0.0252, 0.5561),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (3, 20, 0.0321, 0.3789),
    ],
)
def test_preference_has_the_exact_interval_over_decided_pairs(k, n, low, high):
    share = evaluate(*make_review(k, n - k, 7, 4, 0)).prefers_accelerated
    assert share.value == k / n
    assert share.n == n
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("baseline", "decided", "p"), [(10, 10, 2 / 1024), (5, 10, 1.0), (9, 10, 22 / 1024)]
)
def test_the_side_is_tested_against_chance(baseline, decided, p):
    result = evaluate(*make_review(decided - baseline, baseline, 3, 4, 0))
    assert result.p_side == pytest.approx(p)


@pytest.mark.parametrize(
    ("seen", "n", "catch_seen", "n_catch", "p"),
    [(4, 4, 0, 4, 1 / 70), (0, 4, 0, 4, 1.0), (3, 4, 1, 4, 17 / 70), (8, 8, 0, 4, 1 / 495)],
)
def test_differences_seen_are_tested_against_identical_pairs(seen, n, catch_seen, n_catch, p):
    # Fisher's tea-tasting table, and others, by counting.
    result = evaluate(*make_review(seen, 0, n - seen, n_catch, catch_seen))
    assert result.p_different == pytest.approx(p)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 24, 6, 0), False),
        ((0, 24, 0, 6, 6), True),
        ((24, 0, 0, 6, 6), True),
        ((12, 12, 0, 6, 0), True),
        ((12, 12, 0, 6, 6), False),
        ((5, 6, 13, 6, 2), False),
        ((0, 4, 0, 4, 0), True),
        ((0, 2, 0, 2, 0), None),
        ((0, 0, 0, 0, 0), None),
    ],
)
def test_whether_they_could_be_told_apart(counts, expected):
    assert evaluate(*make_review(*counts)).could_tell_apart is expected


def test_a_reviewer_who_guesses_tells_them_apart_one_time_in_twenty_at_most():
    from scipy.stats import binom

    # Says a side every time, at random, on 24 pairs and 6 identical ones.
    rate = sum(
        binom.pmf(k, 24, 0.5)
        for k in range(25)
        if evaluate(*make_review(k, 24 - k, 0, 6, 6)).could_tell_apart
    )
    assert 0 < rate <= 0.05


def test_counts_and_what_goes_into_the_recipe():
    result = evaluate(*make_review(3, 5, 2, 4, 1))
    assert (result.n_pairs, result.n_decided, result.n_no_difference) == (10, 8, 2)
    review = result.to_blind_review()
    assert (review.n_pairs, review.n_no_difference) == (10, 2)
    assert review.prefers_accelerated.n == 8
    assert review.could_tell_apart is False


def test_unanswered_trials_do_not_count():
    trials, answers = make_review(3, 3, 0, 2, 0)
    del answers["t0"], answers["c0"]
    result = evaluate(trials, answers)
    assert (result.n_pairs, result.n_catch) == (5, 1)


def test_flaws_are_unblinded():
    trial = Trial("t", "p", "accelerated", "baseline")
    answer = Answer("t", "right", ("blur",), "smeared", Mark("left", 3, 0.5, 0.25))
    (finding,) = evaluate([trial], {"t": answer}).findings
    assert (finding.preferred, finding.marked) == ("baseline", "accelerated")
    assert finding.answer.flaws == ("blur",)


def test_no_side_of_an_identical_pair_is_preferred():
    trial = Trial("t", "p", "baseline", "baseline")
    (finding,) = evaluate([trial], {"t": Answer("t", "left")}).findings
    assert finding.preferred is None


@pytest.mark.parametrize(
    ("counts", "texts"),
    [
        (
            (2, 8, 14, 6, 1),
            [
                "could not be told apart (n = 24 pairs and 6 identical ones)",
                "2 of 10 times: 20% (95% interval 3% to 56%, n = 10)",
                "in 14 of 24 pairs, and a difference in 1 of 6 identical pairs",
                "the baseline was better 8 of 10 times, p = 0.11",
            ],
        ),
        ((0, 0, 24, 6, 0), ["Neither side was preferred in any of 24 pairs", "no pair was"]),
        ((0, 24, 0, 6, 0), ["The videos could be told apart"]),
        ((0, 2, 0, 2, 0), ["is open: too few answers"]),
    ],
)
def test_words_say_the_numbers(counts, texts):
    words = " ".join(describe(evaluate(*make_review(*counts))))
    for text in texts:
        assert text in words
