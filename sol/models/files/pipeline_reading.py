"""Reading a pipeline from its folder with diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from sol.errors import ModelLoadError


def read_pipeline(folder: Path, dtype: torch.dtype, allow_pickle: bool) -> Any:
    """The pipeline on the host, its weights in `dtype`; code that comes with it is never run.

    Raises:
        ModelLoadError: diffusers cannot read it.
    """
    from diffusers import DiffusionPipeline

    try:
        with _quiet_loading():
            return DiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                # None: safetensors where there are any.
                use_safetensors=None if allow_pickle else True,
                # diffusers warns where it is asked for and accelerate is missing.
                low_cpu_mem_usage=find_spec("accelerate") is not None,
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(
            f"{folder} is not a diffusers pipeline folder with safetensors weights: "
            f"{_first_line(error)} Make one with pipeline.save_pretrained(folder)."
        ) from error


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Without the progress bars of a load that takes a second; errors are still raised."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    shown = [library for library in libraries if library.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".") + "."
