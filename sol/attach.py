"""Putting a function around a module's forward, and taking it away exactly.

Uses diffusers' hook registry, so that Sol's hooks and the user's own (offloading, layerwise
casting) form one chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

from sol.errors import ConflictError

# around(original_forward, args, kwargs) -> output
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


def undo_all(undos: list[Callable[[], None]]) -> None:
    """Undoes in reverse order and empties the list."""
    while undos:
        undos.pop()()


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
    for parent in root.modules():
        for name, module in parent.named_children():
            if module is child:
                return parent, name
    raise LookupError(f"{type(child).__name__} is not part of {type(root).__name__}.")
