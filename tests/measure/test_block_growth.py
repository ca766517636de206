from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from examples import PROMPT
from tiny_two_call import build_two_call, two_call_roles

from sol.measure.block_growth import block_growth, watch_block_growth
from sol.models.families import describe_roles
from sol.runtime.render import render


def test_growth_is_the_mean_ratio_of_token_norms():
    norms = [torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 1.0]])]
    assert block_growth(norms) == pytest.approx((1.0, 1.5, 0.5))
    assert block_growth([]) == ()


def test_growth_is_measured_at_every_step_of_a_video(pipeline, workload):
    """As the residual is: the last block's output less the first's input."""
    blocks, seen = pipeline.transformer.transformer_blocks, []
    blocks[0].register_forward_pre_hook(
        lambda _m, _a, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
    )
    blocks[-1].register_forward_hook(lambda _m, _a, out: seen.append(out))
    with ExitStack() as stack:
        growth = watch_block_growth(stack, describe_roles(pipeline))
        render(pipeline, workload, PROMPT, 0)
    first, second = (seen[i + 1] - seen[i] for i in (0, 2))
    assert len(growth()) == workload.steps
    assert growth()[1] == pytest.approx(float((second.norm(dim=-1) / first.norm(dim=-1)).mean()))


def test_growth_is_not_measured_where_calls_are_not_steps():
    roles = two_call_roles(build_two_call())
    with ExitStack() as stack:
        assert watch_block_growth(stack, roles)() == ()
        assert watch_block_growth(stack, replace(roles, denoisers=roles.denoisers * 2))() == ()
