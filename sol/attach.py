"""Putting functions around what a pipeline calls, and taking them away exactly.

A module's forward is wrapped through diffusers' hook registry, so that Sol's hooks and the user's
own (offloading, layerwise casting) form one chain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

from sol.errors import ConflictError

# around(original, args, kwargs) -> what the original returns
Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class _Around(ModelHook):  # type: ignore[misc]
    def __init__(self, around: Around) -> None:
        super().__init__()
        self._around = around

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return self._around(self.fn_ref.original_forward, args, kwargs)


def wrap_forward(module: nn.Module, name: str, around: Around) -> Callable[[], None]:
    """Runs `around` instead of `module.forward` until the returned function is called.

    Undo in the reverse order of wrapping: diffusers' registry relinks only its last hook.

    Raises:
        ConflictError: `name` is already wrapped around this module.
    """
    had_registry = hasattr(module, "_diffusers_hook")
    had_forward = "forward" in module.__dict__
    registry = HookRegistry.check_if_exists_or_initialize(module)
    if name in registry.hooks:
        raise ConflictError(f"{name} is already installed on this module: undo it first.")
    registry.register_hook(_Around(around), name)

    def undo() -> None:
        registry.remove_hook(name, recurse=False)
        if registry.hooks:
            return
        if not had_forward:
            del module.__dict__["forward"]
        if not had_registry:
            del module.__dict__["_diffusers_hook"]

    return undo


def wrap_method(owner: Any, name: str, around: Around) -> Callable[[], None]:
    """Runs `around` instead of the method of this one object, until undone.

    The wrapper keeps the method's signature: by it pipelines decide what to pass to a scheduler.
    """
    had_own = name in vars(owner)
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, args, kwargs)

    # Past a pipeline's or a module's own __setattr__, which registers what it is given.
    object.__setattr__(owner, name, wrapped)
    if had_own:
        return lambda: object.__setattr__(owner, name, original)
    return lambda: object.__delattr__(owner, name)


def count_compiled_calls(module: nn.Module, count: Callable[[], None]) -> Callable[[], None]:
    """Runs `count` before each call of a compiled module, until undone.

    It stays outside of the compiled code, which a counter inside would break up and recompile.
    """
    compiled = module._compiled_call_impl
    assert compiled is not None, "compile the module first"

    def counted(*args: Any, **kwargs: Any) -> Any:
        count()
        return compiled(*args, **kwargs)

    def undo() -> None:
        module._compiled_call_impl = compiled

    module._compiled_call_impl = counted
    return undo


def set_attribute(owner: Any, name: str, value: Any) -> Callable[[], None]:
    """Sets an attribute of this one object; undone, what its class says holds again."""
    had_own = name in vars(owner)
    old = getattr(owner, name, None)
    setattr(owner, name, value)

    def undo() -> None:
        if had_own:
            setattr(owner, name, old)
        else:
            delattr(owner, name)

    return undo


def undo_all(undos: list[Callable[[], None]]) -> None:
    """Undoes in reverse order and empties the list."""
    while undos:
        undos.pop()()


@contextmanager
def undo_on_error(undos: list[Callable[[], None]]) -> Iterator[None]:
    """Undoes what has been collected by then if the block ends in an error."""
    try:
        yield
    except BaseException:
        undo_all(undos)
        raise


def replace_child(parent: nn.Module, name: str, child: nn.Module) -> Callable[[], None]:
    """Puts `child` in the place of `parent.name`; the returned function puts the old one back."""
    old = parent.get_submodule(name)
    setattr(parent, name, child)
    return lambda: setattr(parent, name, old)


def find_place(root: nn.Module, child: nn.Module) -> tuple[nn.Module, str]:
    """The parent below `root` that holds `child`, and its name there.

    Raises:
        LookupError: `child` is not below `root`.
    """
    for parent, name, _ in find_places(root, (child,)):
        return parent, name
    raise LookupError(f"{type(child).__name__} is not part of {type(root).__name__}.")


def find_places(
    root: nn.Module, children: Iterable[nn.Module]
) -> list[tuple[nn.Module, str, nn.Module]]:
    """(parent, name there, child) of those of `children` that are below `root`, in its order."""
    wanted = {id(child) for child in children}
    return [
        (parent, name, child)
        for parent in root.modules()
        for name, child in parent.named_children()
        if id(child) in wanted
    ]
