"""A recipe may hold any number: one beyond all videos must not cost time or memory."""

import numpy as np
import pytest
from example_prompts import PROMPT
from tiny_models import build_tiny

from sol.errors import ConfigError
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.skills.registry import get_technique
from sol.target import Workload
from sol.technique import StackItem, parse_config

WORKLOAD = Workload(32, 32, 9, 6, 3.0, 16, 8)


def latents_with(window: int):
    pipeline = build_tiny("ltx")
    config = {"self_every": window, "cross_every": window, "warmup": 2, "tail": 1}
    with install_stack(pipeline, (StackItem("pab", config),)) as applied:
        latents = render(pipeline, WORKLOAD, PROMPT, 0).latents
        applied.require_engaged()
    return latents


def test_a_window_of_years_is_one_of_the_whole_video():
    assert np.array_equal(latents_with(2**62), latents_with(WORKLOAD.steps))


def test_a_warm_up_that_cache_dit_would_list_is_refused():
    """It would take 16 GB in every call."""
    with pytest.raises(ConfigError, match=r"max_warmup_steps: .*10000"):
        parse_config(get_technique("cache_dit"), {"max_warmup_steps": 2**31})
