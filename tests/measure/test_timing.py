import gc

import pytest

from sol.errors import SolError
from sol.measure.timing import PairedTiming, time_pairs


class FakeMachine:
    """A clock that only work moves, with an asynchronous queue that `synchronize` drains."""

    def __init__(self, costs):
        self.costs, self.now, self.queued, self.calls = costs, 0.0, 0.0, []

    def run(self, side):
        def work():
            self.calls.append(side)
            self.queued += self.costs[side]

        return work

    def synchronize(self):
        self.now += self.queued
        self.queued = 0.0

    def time(self, **settings):
        defaults = {"n_pairs": 4, "warmup": 1, "device": "fake"}
        return time_pairs(
            self.run("A"),
            self.run("B"),
            synchronize=self.synchronize,
            clock=lambda: self.now,
            **(defaults | settings),
        )


def test_measures_queued_work_and_only_that():
    timing = FakeMachine({"A": 3.0, "B": 1.5}).time(warmup=2)
    assert timing.baseline_s == (3.0,) * 4
    assert timing.accelerated_s == (1.5,) * 4
    assert (timing.n, timing.device) == (4, "fake")


def test_order_is_interleaved_and_mirrored_after_the_warm_up():
    machine = FakeMachine({"A": 1.0, "B": 1.0})
    machine.time(warmup=2)
    assert "".join(machine.calls) == "ABAB" + "ABBAABBA"


def test_speedup_is_the_median_of_the_ratios_of_each_pair():
    timing = PairedTiming((2.0, 40.0, 3.0), (1.0, 10.0, 1.0), "cpu")
    assert timing.speedup.median == 3.0
    assert (timing.speedup.low, timing.speedup.high, timing.speedup.n) == (2.0, 4.0, 3)
    assert timing.baseline.median == 3.0
    assert timing.accelerated.median == 1.0


def test_one_pair_is_refused():
    with pytest.raises(SolError, match="at least 2 pairs, got 1"):
        FakeMachine({"A": 1.0, "B": 1.0}).time(n_pairs=1)


def test_no_garbage_collection_inside_a_reading_and_it_is_switched_on_again():
    seen = []
    time_pairs(
        lambda: seen.append(gc.isenabled()),
        lambda: None,
        n_pairs=2,
        warmup=0,
        synchronize=lambda: None,
        clock=iter(range(100)).__next__,
        device="cpu",
    )
    assert seen == [False, False]
    assert gc.isenabled()


def test_the_collector_comes_back_after_a_crash():
    machine = FakeMachine({"A": 1.0})
    with pytest.raises(KeyError):
        machine.time(warmup=0)
    assert gc.isenabled()
