"""Which versions of libraries a recipe's numbers depend on.

The rule: major and minor version must be the recipe's, of the packages that compute in every video
and of those that the stack's own techniques call. Patch releases and local builds ("+cpu") may
differ: the hardware is compared by itself. Python, NumPy and what only the search uses do not
count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sol
from sol.deploy.mismatch import Mismatch
from sol.recipe import Recipe
from sol.roles import Capability
from sol.skills.registry import get_technique

_ALWAYS = ("sol-tuner", "torch", "diffusers", "transformers")
_ON_DEMAND: Mapping[Capability, str] = {
    Capability.TORCHAO: "torchao",
    Capability.INT8_TORCHAO: "torchao",
    Capability.FP8_TORCHAO: "torchao",
    Capability.INT4_TORCHAO: "torchao",
    Capability.NVFP4_TORCHAO: "torchao",
}
_N_COMPARED = 2


def find_version_mismatches(recipe: Recipe, here: Mapping[str, str]) -> Iterator[Mismatch]:
    """Packages of another version than the recipe's; those it does not name are left out."""
    recorded = recipe.provenance.versions
    # From a checkout that was not installed, the package itself has no metadata.
    here = {"sol-tuner": sol.__version__, **here}
    for package in _find_packages(recipe):
        was, now = recorded.get(package), here.get(package)
        if was is not None and (now is None or _release(now) != _release(was)):
            yield Mismatch(
                "versions",
                f"provenance.versions.{package}",
                was,
                now or "not installed",
                f"Install {package} {_release(was)}.",
            )


def _find_packages(recipe: Recipe) -> tuple[str, ...]:
    needed = {
        _ON_DEMAND[capability]
        for member in recipe.stack
        for capability in get_technique(member.technique).requires
        if capability in _ON_DEMAND
    }
    return (*_ALWAYS, *sorted(needed))


def _release(version: str) -> str:
    """Major and minor: "2.13" of "2.13.0+cpu"."""
    return ".".join(version.split("+")[0].split(".")[:_N_COMPARED])
