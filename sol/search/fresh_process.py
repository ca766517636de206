"""Measuring in a process of its own: one that has no history, and takes none with it.

A worker cannot say everything of itself: it holds both pipelines, its allocator keeps what earlier
trials freed, and what was compiled once is compiled no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sol.target import Workload
from sol.technique import Stack, StackItem

_LIMIT_S = 500.0
"""Less than a job may take, so that what did not end in time is no measurement, and no failure."""


@dataclass(frozen=True)
class Question:
    """What a process of its own is to load, and the video that it is to make.

    Attributes:
        model: As it was asked for when the worker was started.
        pair: Prompt and seed.
    """

    model: str
    device: str
    workload: Workload
    stack: Stack
    pair: tuple[str, int]
    threads: int


def ask(module: str, question: Question) -> Any:
    """What `python -m module` answers, as plain data; None where it failed or took too long."""
    try:
        result = subprocess.run(
            [sys.executable, "-m", module],
            input=json.dumps(asdict(question)),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(result.stdout) if result.returncode == 0 else None


def read_question(text: str) -> Question:
    """The question that a process of its own was asked on its stdin."""
    from pydantic import TypeAdapter

    from sol.validation import validate_plain

    data: Mapping[str, Any] = json.loads(text)
    prompt, seed = data["pair"]
    return Question(
        **{
            **data,
            "workload": Workload(**data["workload"]),
            "stack": validate_plain(TypeAdapter(tuple[StackItem, ...]), data["stack"]),
            "pair": (prompt, seed),
        }
    )


def load(question: Question) -> Any:
    """The pipeline, with the question's number of threads."""
    import torch

    from sol.models.loading import load_model

    torch.set_num_threads(question.threads)
    return load_model(question.model, question.device, question.workload.dtype).pipeline
