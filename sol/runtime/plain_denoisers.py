"""The unaccelerated denoisers beside the accelerated ones: same weights, no technique.

Before a stack is installed, the denoisers are copied without their tensors, so that a pipeline can
make one video as if there were no stack. Undoing the stack would do as well, but installing it
again means to quantise and to trace what is compiled again: on the pocket model with its recipe
for a Xeon, 2 s for each such video. Copying took 0.1 s once, and exchanging costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from sol.attach import undo_all, wrap_method
from sol.clock import Clock
from sol.errors import NotApplicableError
from sol.models.families import describe_roles
from sol.runtime.clone import clone_pipeline


def copy_denoisers(pipeline: Any) -> Mapping[str, nn.Module]:
    """By attribute of the pipeline, a copy of each denoiser: modules of its own, same tensors.

    Raises:
        NotApplicableError: A denoiser has hooks, as offloading leaves them, or compiled code. They
            belong to the one module they were put on.
    """
    denoisers = {id(denoiser.module) for denoiser in describe_roles(pipeline).denoisers}
    names = [name for name, part in pipeline.components.items() if id(part) in denoisers]
    for name in names:
        _check_copyable(name, getattr(pipeline, name))
    clone = clone_pipeline(pipeline)
    return {name: getattr(clone, name) for name in names}


@contextmanager
def with_denoisers(
    pipeline: Any, denoisers: Mapping[str, nn.Module], clock: Clock
) -> Iterator[None]:
    """Puts other denoisers into the pipeline for the block.

    The scheduler stays, and with it whoever watches it; the clock stands still, so that no
    technique hears of the video.
    """
    own = {name: getattr(pipeline, name) for name in denoisers}
    still = [wrap_method(clock, name, _nothing) for name in ("begin_video", "advance")]
    _set(pipeline, denoisers)
    try:
        yield
    finally:
        _set(pipeline, own)
        undo_all(still)


def _nothing(*_: Any) -> None:
    """Instead of a method of the clock."""


def _set(pipeline: Any, parts: Mapping[str, nn.Module]) -> None:
    for name, part in parts.items():
        # Past the pipeline's own __setattr__, which writes the part into its config.
        object.__setattr__(pipeline, name, part)


def _check_copyable(name: str, denoiser: nn.Module) -> None:
    for module in denoiser.modules():
        is_hooked = "forward" in vars(module) or module._forward_pre_hooks or module._forward_hooks
        if is_hooked or module._compiled_call_impl is not None:
            what = "hooks on it (of offloading, for example)" if is_hooked else "compiled code"
            raise NotApplicableError(
                f"guard=True keeps an unaccelerated copy of the denoiser, but {name} has {what}, "
                "which cannot be copied. Apply the recipe without guard, or to a pipeline without."
            )
