"""The application that commands register with, its exit codes, and how errors end a command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from sol.errors import SolError
from sol.terminal import print_error, print_json

EXIT_REJECTED, EXIT_USER, EXIT_NOTHING, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="sol",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tunes the inference of video diffusion models and applies the recipes it found.",
)
P = ParamSpec("P")


def reporting(command: Callable[P, None]) -> Callable[P, None]:
    """Errors that a user can fix print their message and end with exit code 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SolError as error:
            fail(str(error), EXIT_USER, bool(kwargs.get("json_output")))
        except KeyboardInterrupt:
            fail("Interrupted.", EXIT_INTERRUPTED, bool(kwargs.get("json_output")))

    return run


def fail(message: str, code: int, as_json: bool) -> NoReturn:
    """Says what was wrong and ends the command."""
    if as_json:
        print_json({"error": message})
    print_error(message)
    raise typer.Exit(code)
