"""One thread at a time: a second caller is refused, and the first goes on."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from example_prompts import OTHER_PROMPT, PROMPT

import sol
from sol.errors import ConflictError
from sol.models.families import get_family
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render

STACK = [{"technique": "step_mask", "config": {"skip": "2"}}]


class Interruption:
    """A video in a thread of its own that waits after its second step until it is let go."""

    def __init__(self, pipeline, workload):
        self.is_half_way, self.may_go_on = threading.Event(), threading.Event()
        self.frames = None
        self._thread = threading.Thread(target=self._run, args=(pipeline, workload), name="first")

    def __enter__(self):
        self._thread.start()
        assert self.is_half_way.wait(60)
        return self

    def __exit__(self, *_):
        self.may_go_on.set()
        self._thread.join(60)

    def _run(self, pipeline, workload):
        def on_step(step, _):
            if step == 1:
                self.is_half_way.set()
                self.may_go_on.wait(60)

        self.frames = render(pipeline, workload, PROMPT, 0, on_step).frames


def test_a_second_thread_is_refused_and_the_first_goes_on(pipeline, workload):
    with sol.apply(pipeline, STACK):
        alone = render(pipeline, workload, PROMPT, 0).frames
        with (
            Interruption(pipeline, workload) as first,
            pytest.raises(ConflictError, match="in thread 'MainThread' while thread 'first' uses"),
        ):
            render(pipeline, workload, OTHER_PROMPT, 1)
    assert np.array_equal(first.frames, alone)


def test_the_refused_call_does_not_reach_the_pipeline(pipeline, workload):
    """It would write its guidance scale over that of the video that is being made."""
    with sol.apply(pipeline, STACK), Interruption(pipeline, workload):
        with pytest.raises(ConflictError):
            pipeline(prompt=PROMPT, guidance_scale=7.0)
        assert pipeline.guidance_scale == workload.guidance_scale


@pytest.mark.parametrize("what", ["undo", "apply"])
def test_nothing_is_taken_off_or_put_on_meanwhile(pipeline, workload, what):
    applied = sol.apply(pipeline, STACK)
    alone = render(pipeline, workload, PROMPT, 0).frames
    with Interruption(pipeline, workload) as first, pytest.raises(ConflictError):
        applied.undo() if what == "undo" else sol.apply(pipeline, STACK)
    assert np.array_equal(first.frames, alone)
    applied.undo()


def test_another_pipeline_over_the_same_parts_is_refused(pipeline, workload):
    sibling = type(pipeline)(**pipeline.components)
    sibling.set_progress_bar_config(disable=True)
    with sol.apply(pipeline, STACK):
        alone = render(pipeline, workload, PROMPT, 0).frames
        with (
            Interruption(pipeline, workload) as first,
            pytest.raises(ConflictError, match="shares this one's scheduler"),
        ):
            sibling(prompt=PROMPT, **get_family(sibling).call_arguments(workload))
    assert np.array_equal(first.frames, alone)


def test_a_call_within_a_call_is_refused(pipeline, workload):
    def again(step, _):
        render(pipeline, workload, PROMPT, 0)

    with sol.apply(pipeline, STACK):
        with pytest.raises(ConflictError, match="within a call of the same pipeline"):
            render(pipeline, workload, PROMPT, 0, again)
        render(pipeline, workload, PROMPT, 0)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_half_way_lets_the_next_one_in(pipeline, workload, error):
    def stop(step, _):
        if step == 1:
            raise error

    with sol.apply(pipeline, STACK):
        fresh = render(pipeline, workload, PROMPT, 0).frames
        with pytest.raises(error):
            render(pipeline, workload, OTHER_PROMPT, 1, stop)
        assert np.array_equal(render(pipeline, workload, PROMPT, 0).frames, fresh)


def test_one_after_the_other_threads_may_take_turns(pipeline, workload):
    with sol.apply(pipeline, STACK):
        here = render(pipeline, workload, PROMPT, 0).frames
        with Interruption(pipeline, workload) as there:
            pass
    assert np.array_equal(there.frames, here)


@pytest.mark.parametrize("guard", [False, True])
def test_undo_leaves_nothing_behind(pipeline, workload, guard):
    render(pipeline, workload, PROMPT, 0)
    was = (fingerprint_pipeline(pipeline), type(pipeline), set(vars(pipeline)))
    methods = set(vars(pipeline.scheduler))
    applied = sol.apply(pipeline, STACK, guard=guard)
    assert type(pipeline) is not was[1]
    render(pipeline, workload, PROMPT, 0)
    applied.undo()
    assert (fingerprint_pipeline(pipeline), type(pipeline), set(vars(pipeline))) == was
    assert set(vars(pipeline.scheduler)) == methods
    pickle.dumps(pipeline.scheduler)


def test_an_applied_pipeline_is_still_of_its_class(pipeline):
    plain = type(pipeline)
    with sol.apply(pipeline, STACK):
        assert isinstance(pipeline, plain)
        assert (type(pipeline).__name__, type(pipeline).__module__) == (
            plain.__name__,
            plain.__module__,
        )
        assert clone_pipeline(pipeline).components.keys() == pipeline.components.keys()
