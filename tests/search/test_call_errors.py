"""What stacks do to single calls of the denoiser."""

import pytest
from example_prompts import PROMPT
from tiny_models import build_tiny, build_tiny_experts, tiny_workload

from sol.errors import NoEffectError
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.schedule import Schedule
from sol.search.call_errors import measure_call_errors, record_calls
from sol.technique import StackItem

PAIR = (PROMPT, 0)


def stack(layers):
    return (StackItem("int8_dynamic", {"layers": layers}),)


@pytest.mark.parametrize(("family", "n_calls"), [("ltx", 3), ("wan", 6)])
def test_calls_are_recorded_early_halfway_and_late(family, n_calls):
    calls = record_calls(clone_pipeline(build_tiny(family)), tiny_workload(family), PAIR)
    assert len(calls) == n_calls
    assert {call.denoiser for call in calls} == {"transformer"}


def test_both_experts_are_recorded():
    calls = record_calls(clone_pipeline(build_tiny_experts()), tiny_workload("wan"), PAIR)
    assert {call.denoiser for call in calls} == {"transformer", "transformer_2"}


def test_errors_are_of_the_part_alone_and_add_up():
    pipeline, workload = build_tiny("ltx"), tiny_workload("ltx")
    before = fingerprint_pipeline(pipeline)
    one, other, both, nothing = measure_call_errors(
        pipeline,
        workload,
        [stack("feed_forward=0"), stack("feed_forward=3"), stack("feed_forward=0,3"), ()],
        PAIR,
    )
    assert nothing == 0.0
    assert min(one, other) > 0
    assert max(one, other) < both < one + other
    assert fingerprint_pipeline(pipeline) == before


def test_a_part_that_is_not_there_is_an_error():
    empty = (StackItem("int8_dynamic", {}, Schedule(layers="none")),)
    with pytest.raises(NoEffectError, match="nothing was quantised"):
        measure_call_errors(build_tiny("ltx"), tiny_workload("ltx"), [empty], PAIR)
