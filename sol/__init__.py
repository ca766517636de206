"""Sol tunes the inference of video diffusion models and applies the recipes it found.

The names below are loaded on first use: reading a recipe should not cost an import of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sol.deploy import apply, load_pipeline
    from sol.errors import SolError
    from sol.recipe import load_recipe

__version__ = "0.1.0"
__all__ = ["SolError", "apply", "load_pipeline", "load_recipe"]

_HOMES = {
    "SolError": "sol.errors",
    "apply": "sol.deploy",
    "load_pipeline": "sol.deploy",
    "load_recipe": "sol.recipe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sol' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
