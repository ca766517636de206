"""Videos that are watched, or broken off, from outside of what is under test."""

from __future__ import annotations

from example_prompts import PROMPT

from sol.runtime.render import render


def computed_steps(pipeline, block, workload):
    """The steps at which a block is computed: its feed-forward stands inside all hooks."""
    step, steps = [0], []
    hook = block.ff.register_forward_hook(lambda *_: steps.append(step[0]))

    def after(index, _):
        step[0] = index + 1

    render(pipeline, workload, PROMPT, 0, on_step=after)
    hook.remove()
    return steps


def interrupt(step, _latents):
    """An `on_step` that breaks the video off in its middle."""
    if step == 4:
        raise KeyboardInterrupt
