"""Options of how a model is loaded."""

from __future__ import annotations

from typing import Annotated

import typer

Revision = Annotated[
    str | None,
    typer.Option(help="Branch, tag or commit of a Hub repository; by default its main branch."),
]
OffloadName = Annotated[
    str | None,
    typer.Option(
        "--offload",
        help="model, sequential or group: keep weights on the host until the GPU needs them.",
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Load pickled weights where there are no safetensors: they can run code.",
    ),
]
