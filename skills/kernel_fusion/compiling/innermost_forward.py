"""Getting beneath all hooks around a module: what is compiled there leaves them in Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from sol.attach import wrap_method


def replace_innermost(
    module: nn.Module, replace: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[], None]:
    """Replaces the forward that the hooks around `module` lead to, until undone.

    Args:
        replace: What the module computes itself -> what is called in its place.
    """
    registry: Any = getattr(module, "_diffusers_hook", None)
    if registry is None or not registry.hooks:
        replacement = replace(module.forward)
        return wrap_method(module, "forward", lambda _, args, kwargs: replacement(*args, **kwargs))
    # The first hook that was registered is the last to be called; its reference leads on.
    innermost = registry._fn_refs[0]
    name = "forward" if innermost.original_forward is None else "original_forward"
    original = getattr(innermost, name)
    setattr(innermost, name, functools.wraps(original)(replace(original)))
    return lambda: setattr(innermost, name, original)
