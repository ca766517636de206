"""Makes an operator of PyTorch from a reference and a Triton kernel.

The operator is functional (it returns new, contiguous tensors and writes into no argument), so
that torch.compile can hold it in a graph. On CUDA it launches the kernel. Elsewhere it runs the
reference, or, in a process whose triton interprets its kernels, the interpreted kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

Arguments = Callable[..., None]
Function = Callable[..., Any]


def register(name: str, check: Arguments, reference: Function, kernel: str) -> Function:
    """The operator `sol::name`, as it stands in a graph: `torch.ops.sol.name.default`.

    Args:
        name: Of the operator.
        check: Takes the arguments and raises where they break a rule.
        reference: The plain PyTorch function; its annotations make the operator's schema.
        kernel: The module with `launch`, of the same signature; it imports triton, and is
            imported when it is first needed.
    """

    def run(*args: Any) -> Any:
        check(*args)
        return (_interpreted(kernel) or reference)(*args)

    def run_on_cuda(*args: Any) -> Any:
        check(*args)
        # Triton launches on the current device, which need not be the one of the tensors.
        with torch.cuda.device(args[0].device):
            return import_module(kernel).launch(*args)

    def infer(*args: Any) -> Any:
        check(*args)
        return reference(*args)

    schema = torch.library.infer_schema(reference, mutates_args=())
    operator = torch.library.custom_op(f"sol::{name}", run, mutates_args=(), schema=schema)
    operator.register_kernel("cuda")(run_on_cuda)
    operator.register_fake(infer)
    registered: Function = getattr(torch.ops.sol, name).default
    return registered


@cache
def _interpreted(kernel: str) -> Function | None:
    """The launch of a kernel that triton interprets; None where it compiles or is missing."""
    if find_spec("triton") is None:
        return None
    if not import_module("sol.kernels.operator.launching").IS_INTERPRETED:
        return None
    launch: Function = import_module(kernel).launch
    return launch
