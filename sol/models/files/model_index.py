"""What a pipeline folder says it holds: `model_index.json`, read without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from sol.errors import ModelLoadError
from sol.models.catalog import MODULAR_ONLY

_FILE = "model_index.json"
_MODULAR_FILE = "modular_model_index.json"
# The last is what Cosmos pipelines of diffusers import themselves.
_LIBRARIES = ("diffusers", "transformers", "cosmos_guardrail")


@dataclass(frozen=True)
class Part:
    """One component of a pipeline, and the class that diffusers makes of its folder."""

    name: str
    library: str
    class_name: str

    @cached_property
    def model_class(self) -> type[nn.Module] | None:
        """None for what has no weights, and for what is not installed."""
        if find_spec(self.library) is not None:
            module = import_module(self.library)
        else:
            module = import_module(f"diffusers.pipelines.{self.library}")
        found = getattr(module, self.class_name, None)
        return found if isinstance(found, type) and issubclass(found, nn.Module) else None


@dataclass(frozen=True)
class ModelIndex:
    """A pipeline's class and its components, those that were left out excepted."""

    class_name: str
    parts: tuple[Part, ...]

    @property
    def models(self) -> tuple[Part, ...]:
        """The components that have weights."""
        return tuple(part for part in self.parts if part.model_class is not None)


def read_index(folder: Path) -> ModelIndex:
    """The index of a pipeline folder.

    Raises:
        ModelLoadError: There is none, it is a modular pipeline's, or it asks for code that comes
            with the model: that is never run.
    """
    try:
        data = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        class_name = data["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_index(folder) from error
    if not isinstance(class_name, str):
        raise _own_code(folder, f"its pipeline class is {class_name}")
    if class_name.endswith("ModularPipeline"):
        raise ModelLoadError(f"{class_name} cannot be loaded: {MODULAR_ONLY}.")
    parts = tuple(_read_parts(data))
    for part in parts:
        _check_code(folder, part)
    return ModelIndex(class_name, parts)


def _read_parts(data: Mapping[str, Any]) -> list[Part]:
    pairs = {name: value for name, value in data.items() if _is_component(value)}
    return [Part(name, library, class_name) for name, (library, class_name) in pairs.items()]


def _is_component(value: Any) -> bool:
    """A component is a library and a class; one that was left out is [null, null]."""
    return isinstance(value, list) and [type(each) for each in value] == [str, str]


def _check_code(folder: Path, part: Part) -> None:
    """What diffusers would import for this part is diffusers' or transformers' own code."""
    has_own_file = (folder / part.name / f"{part.library}.py").exists()
    if has_own_file or not _is_known(part.library):
        raise _own_code(folder, f"{part.name} is {part.library}.{part.class_name}")


def _is_known(library: str) -> bool:
    if library in _LIBRARIES:
        return True
    # Components that live beside their pipeline, such as ltx2.LTX2Vocoder.
    return library.isidentifier() and find_spec(f"diffusers.pipelines.{library}") is not None


def _own_code(folder: Path, what: str) -> ModelLoadError:
    return ModelLoadError(
        f"Sol runs no code that comes with a model, and {folder} asks for it: {what}. Use a model "
        "whose parts are all classes of diffusers or transformers."
    )


def _no_index(folder: Path) -> ModelLoadError:
    if (folder / _MODULAR_FILE).is_file():
        return ModelLoadError(f"{folder} cannot be loaded: {MODULAR_ONLY}.")
    return ModelLoadError(
        f"{folder} is not a diffusers pipeline folder: it has no {_FILE} that names a pipeline "
        "class. Make one with pipeline.save_pretrained(folder)."
    )
