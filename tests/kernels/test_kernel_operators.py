"""The kernels as operators of PyTorch: what they refuse, and that torch.compile can hold them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from sol.kernels.gate_residual import gate_residual
from sol.kernels.gate_residual_norm import gate_residual_norm
from sol.kernels.gelu_tanh import gelu_tanh
from sol.kernels.modulated_norm import modulated_norm
from sol.kernels.operator.arguments import KernelArgumentError
from sol.kernels.qk_norm_rotary import qk_norm_rotary

X = torch.ones(2, 5, 12)
ROW = torch.ones(2, 1, 12)
WEIGHT = torch.ones(12)
TABLE = torch.ones(2, 5, 12)
META = torch.ones(2, 5, 12, device="meta")

MISFITS = [
    (modulated_norm, (X[0], ROW, ROW), r"x must be \(batch, tokens, width\), got \(5, 12\)"),
    (
        modulated_norm,
        (X.double(), ROW, ROW),
        "x must be one of torch.float32, .* got torch.float64",
    ),
    (modulated_norm, (X, ROW[..., :3], ROW), r"scale must broadcast to .*, got \(2, 1, 3\)"),
    (modulated_norm, (X, ROW, torch.ones(3, 1, 12)), r"shift must .* got \(3, 1, 12\): give"),
    (modulated_norm, (X, ROW, ROW, WEIGHT[:4]), r"weight must be \(12,\), one factor a column"),
    (modulated_norm, (X, ROW, ROW, None, "group"), "norm must be one of rms, layer, got 'group'"),
    (modulated_norm, (X, META, ROW), "scale must be on cpu as the first argument is, got meta"),
    (gate_residual, (X, ROW, ROW), r"output must have the shape \(2, 5, 12\) .* got \(2, 1, 12\)"),
    (gate_residual, (X, X, X[None]), r"gate must broadcast to \(2, 5, 12\)"),
    (gate_residual_norm, (X, X, None, X[:, :2], None), r"scale must .* got \(2, 2, 12\)"),
    (qk_norm_rotary, (X, X[:, :4], WEIGHT, WEIGHT, TABLE, TABLE), "k must have the shape"),
    (qk_norm_rotary, (X, X, WEIGHT, WEIGHT, TABLE, TABLE[:1]), "sin must have the shape"),
    (qk_norm_rotary, (X, X, WEIGHT, WEIGHT, TABLE[0], TABLE[0]), r"cos must .*; got \(5, 12\)"),
    (qk_norm_rotary, (X, X, WEIGHT, WEIGHT, META, META), "cos must be on cpu as q is, got meta"),
    *(
        (qk_norm_rotary, (X, X, WEIGHT, WEIGHT, table, table), "cos must be")
        for table in (
            torch.ones(1, 5, 1, 8),
            torch.ones(1, 5, 1, 3),
            torch.ones(1, 5, 3, 4),
            torch.ones(1, 4, 1, 4),
        )
    ),
    (gelu_tanh, (X, ROW), r"bias must be \(12,\)"),
]


@pytest.mark.parametrize(("kernel", "arguments", "message"), MISFITS)
def test_what_does_not_fit_is_refused(kernel, arguments, message):
    with pytest.raises(KernelArgumentError, match=message):
        kernel(*arguments)


GOOD = {
    "modulated_norm": (X, ROW, ROW, None, "rms", 1e-6),
    "gate_residual": (X, X, ROW),
    "gate_residual_norm": (X, X, ROW, None, WEIGHT, WEIGHT, "layer", 1e-6),
    "qk_norm_rotary": (X, X, WEIGHT, WEIGHT, TABLE, TABLE, 1e-6),
    "gelu_tanh": (X, WEIGHT),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("is_transposed", [False, True])
def test_pytorch_accepts_the_operator(name, is_transposed):
    """Schema, fake implementation and tracing, as PyTorch checks them."""
    x = X.transpose(0, 1).contiguous().transpose(0, 1) if is_transposed else X
    arguments = tuple(x if argument is X else argument for argument in GOOD[name])
    torch.library.opcheck(getattr(torch.ops.sol, name).default, arguments)


def test_torch_compile_holds_an_operator_in_one_graph():
    random = torch.Generator().manual_seed(0)
    x, row = torch.randn(X.shape, generator=random), torch.randn(ROW.shape, generator=random)

    def block(x, row):
        return gate_residual(x, modulated_norm(x.transpose(0, 1).transpose(0, 1), row, row), row)

    graphs = []

    def backend(graph, inputs):
        graphs.append({node.target for node in graph.graph.nodes})
        return graph.forward

    expected = block(x, row)
    assert torch.equal(torch.compile(block, backend=backend, fullgraph=True)(x, row), expected)
    operators = torch.ops.sol
    assert graphs[0] >= {operators.gate_residual.default, operators.modulated_norm.default}


def test_without_triton_the_kernels_run_their_references():
    """Nor is triton imported to find that out."""
    script = """
import sys
sys.modules["triton"] = None
import torch
from sol.kernels.gelu_tanh import gelu_tanh, gelu_tanh_reference
x, bias = torch.ones(1, 2, 4), torch.ones(4)
assert torch.equal(gelu_tanh(x, bias), gelu_tanh_reference(x, bias))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_importing_kernels_imports_neither_triton_nor_the_rest_of_sol():
    modules = ", ".join(f"sol.kernels.{name}" for name in GOOD)
    script = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert "triton" not in loaded
    assert {name for name in loaded if name.startswith("sol.")} == {
        name for name in loaded if name.startswith("sol.kernels")
    }
