"""What recipes and starting points have in common as files: how they are read and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from sol.errors import RecipeError
from sol.plain_yaml import MAX_BYTES, load_plain, shorten
from sol.validation import explain, validate_plain

T = TypeVar("T")


def read_mapping(path: Path, schema: str, remedy: str) -> Mapping[str, Any]:
    """The plain mapping in a file.

    Args:
        schema: What such a file says of itself, for the message where it is not a mapping.
        remedy: Where to get one, for the message where there is none.

    Raises:
        RecipeError: No such file, too long, not YAML, more than plain data, or no mapping.
    """
    text = _read_text(path, remedy)
    try:
        data = load_plain(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML that Sol reads: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} is not a recipe: expected a mapping with 'schema: {schema}'.")
    return data


def parse_mapping(adapter: TypeAdapter[T], data: Mapping[str, Any], schema: str, path: Path) -> T:
    """The record that the mapping in a file stands for.

    Raises:
        RecipeError: Another schema, an unknown or missing key, or a wrong type or value.
    """
    if data.get("schema") != schema:
        raise RecipeError(
            f"{path}: schema is {shorten(data.get('schema'))}, this version of Sol reads "
            f"{schema!r} here."
        )
    try:
        return validate_plain(adapter, data)
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error)}") from error


class _Dumper(yaml.SafeDumper):
    """Plain YAML, with a list of numbers in one line: a fitted table is not for reading."""


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    is_table = bool(items) and all(isinstance(item, int | float) for item in items)
    flow_style = True if is_table else None
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow_style)


_Dumper.add_representer(list, _represent_list)


def dump_plain(data: Mapping[str, Any]) -> str:
    """The YAML text of a mapping, its keys in their order.

    Raises:
        RecipeError: It holds what would not be read again: control characters, NaN, infinities.
    """
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)
    try:
        load_plain(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"This cannot be written as a recipe: {_one_line(error)}") from error
    return str(text)


def _read_text(path: Path, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RecipeError(f"{path} is too long: a recipe has at most {MAX_BYTES:,} bytes.")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise RecipeError(f"No recipe at {path}: {remedy}") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
