"""What skipped calls return: weights, history, memory."""

import pytest
import torch

from sol.errors import ConfigError
from sol.skills.cache.skipping.history import History
from sol.skills.cache.skipping.reuse import KINDS, mix_of
from sol.skills.cache.skipping.skip_settings import ReuseSettings

TAYLOR = (0.0,)


def predict(kind, residual, positions, now, table=TAYLOR):
    """What a call at `now` returns, for inputs x = 10 p and residuals residual(p)."""
    history = History(kind, 1.0)
    for p in positions:
        x = torch.full((1, 4), 10.0 * p)
        history.keep("both", p, x, x + residual(p))
    x = torch.full((1, 4), 10.0 * now)
    mix = mix_of(kind, history.positions("both", x), now, 0.5, table)
    return float(history.predict("both", x, mix)[0, 0])


@pytest.mark.parametrize(
    ("kind", "residual"),
    [
        ("residual", lambda p: 3.0),
        ("taylor1", lambda p: 3.0 - 2.0 * p),
        ("taylor2", lambda p: 3.0 - 2.0 * p + 5.0 * p**2),
    ],
)
@pytest.mark.parametrize("positions", [(1.0, 0.9, 0.7), (0.2, 0.9, 1.0), (4.0, 5.0, 7.0, 8.0)])
def test_each_order_is_exact_on_residuals_of_its_degree(kind, residual, positions):
    now = 2 * positions[-1] - positions[-2] + 0.1
    assert predict(kind, residual, positions, now) == pytest.approx(10 * now + residual(now))


def test_output_reuse_returns_the_last_output():
    last = 10 * 0.8 + 0.8**2
    assert predict("output", lambda p: p**2, (1.0, 0.8), 0.3) == pytest.approx(last)


def test_extrapolation_falls_back_while_there_are_too_few_calls():
    def curve(p):
        return 1 + p + p**2

    first = predict("taylor1", curve, (1.0, 0.8), 0.6)
    assert predict("taylor2", curve, (1.0, 0.8), 0.6) == pytest.approx(first)
    assert predict("taylor2", curve, (0.8,), 0.6) == pytest.approx(6 + curve(0.8))


def test_calls_at_one_position_do_not_divide_by_zero():
    assert predict("taylor2", lambda p: 2.0, (0.8, 0.8, 0.8), 0.6) == pytest.approx(8.0)


@pytest.mark.parametrize(("weight", "same_as"), [(0.0, "taylor1"), (1.0, "taylor2")])
def test_ridge_lies_between_the_taylor_orders(weight, same_as):
    def curve(p):
        return 1 + p + p**2

    args = (curve, (1.0, 0.8, 0.5), 0.3)
    assert predict("ridge", *args, table=(weight,)) == pytest.approx(predict(same_as, *args))


def test_ridge_takes_the_weight_of_its_stage():
    def curve(p):
        return 1 + p + p**2

    def at(progress):
        positions = (1.0, 0.8, 0.5)
        mix = mix_of("ridge", positions, 0.3, progress, (0.0, 0.5, 1.0))
        return sum(w * curve(p) for w, p in zip(mix.past, positions, strict=True))

    early, middle, late = at(0.0), at(0.5), at(0.99)
    assert late == pytest.approx(curve(0.3))
    assert middle == pytest.approx((early + late) / 2)


def test_ridge_without_weights_is_refused():
    with pytest.raises(ConfigError, match="needs its fitted weights"):
        ReuseSettings(reuse="ridge")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_does_not_follow_later_changes_in_place(kind):
    history, x = History(kind, 1.0), torch.ones(1, 4)
    y = torch.full((1, 4), 3.0)
    history.keep("both", 1.0, x, y)
    x.zero_()
    y.zero_()
    mix = mix_of(kind, (1.0,), 0.5, 0.0, TAYLOR)
    assert torch.equal(history.predict("both", torch.ones(1, 4), mix), torch.full((1, 4), 3.0))


@pytest.mark.parametrize(("kind", "n_tensors"), [("residual", 1), ("taylor2", 3), ("output", 2)])
def test_memory_is_counted_and_stops_growing_at_the_depth(kind, n_tensors):
    history = History(kind, 1.0)
    for step in range(6):
        history.keep("both", float(step), torch.zeros(1, 256), torch.ones(1, 256))
    assert history.bytes_peak == n_tensors * 1024


def test_beyond_its_limit_a_history_keeps_nothing():
    history, x = History("residual", max_mb=1 / 1024), torch.zeros(1, 256)
    history.keep("cond", 0.0, x, x)
    assert history.positions("cond", x) == (0.0,)
    history.keep("uncond", 0.0, x, x)
    assert history.positions("uncond", x) == ()
    assert (history.refused, history.bytes_peak) == (1, 1024)
    history.clear()
    history.keep("cond", 0.0, x, x, beside=1)
    assert history.positions("cond", x) == ()


def test_a_call_of_another_shape_is_not_predicted_from():
    history = History("taylor1", 1.0)
    for step in range(2):
        history.keep("both", float(step), torch.zeros(2, 4), torch.ones(2, 4))
    assert history.positions("both", torch.zeros(1, 4)) == ()
    history.keep("both", 2.0, torch.zeros(1, 4), torch.ones(1, 4))
    assert history.positions("both", torch.zeros(1, 4)) == (2.0,)
