"""Every kernel against its reference: odd shapes, all dtypes, any strides, inputs unchanged.

On a CPU the kernels run in Triton's interpreter, on CUDA compiled: one table for both.
"""

from __future__ import annotations

import pytest
import torch

from sol.kernels.gate_residual import gate_residual_reference
from sol.kernels.gate_residual_norm import gate_residual_norm_reference
from sol.kernels.gelu_tanh import gelu_tanh_reference
from sol.kernels.modulated_norm import modulated_norm_reference
from sol.kernels.qk_norm_rotary import qk_norm_rotary_reference

REFERENCES = {
    "modulated_norm": modulated_norm_reference,
    "gate_residual": gate_residual_reference,
    "gate_residual_norm": gate_residual_norm_reference,
    "qk_norm_rotary": qk_norm_rotary_reference,
    "gelu_tanh": gelu_tanh_reference,
}

# Relative and absolute. One unit in the last place of a half type, because the interpreter cuts
# bfloat16 off where PyTorch rounds; the absolute part is that of a stream cut off before its norm.
TOLERANCES = {
    torch.float32: (1e-5, 1e-5),
    torch.float16: (2**-10, 2**-10),
    torch.bfloat16: (2**-7, 2**-5),
}
SHAPES = [(1, 7, 30), (2, 3, 64), (2, 5, 258)]


class Draw:
    """Random tensors in the layouts that transformers hand over."""

    def __init__(self, shape, dtype, device):
        self.shape, self.dtype, self.device = shape, dtype, device
        self.random = torch.Generator().manual_seed(0)

    def normal(self, *shape, dtype=None):
        drawn = torch.randn(shape, generator=self.random)
        return drawn.to(self.device, dtype or self.dtype)

    def x(self):
        return self.normal(*self.shape) * 3

    def channels_first(self):
        """As after a convolution: columns are far apart."""
        batch, tokens, width = self.shape
        return self.normal(batch, width, tokens).transpose(1, 2)

    def part_of_wider(self):
        """As one chunk of a fused projection."""
        batch, tokens, width = self.shape
        return self.normal(batch, tokens, 3 * width)[..., width : 2 * width]

    def modulation(self, n_tokens=1, dtype=None):
        """One of six rows, as scale_shift_table + temb gives them."""
        batch, _, width = self.shape
        return self.normal(batch, n_tokens, 6, width, dtype=dtype).unbind(2)[1]

    def each_token(self):
        return self.modulation(self.shape[1])

    def weight(self, dtype=None):
        return 1 + 0.1 * self.normal(self.shape[-1], dtype=dtype)

    def columns(self):
        """LTX's tables: a value for each column, other ones for each video."""
        angles = self.normal(*self.shape, dtype=torch.float32)
        return angles.cos(), angles.sin()

    def shared_columns(self):
        cos, sin = self.columns()
        return cos[:1], sin[:1]

    def pairs(self):
        """Wan's tables, shared by all heads."""
        n_heads = 3 if self.shape[-1] % 3 == 0 else 2
        shape = (1, self.shape[1], 1, self.shape[-1] // n_heads)
        angles = self.normal(*shape, dtype=torch.float32)
        return angles.cos(), angles.sin()


F32 = torch.float32
CASES = {
    "rms": (
        "modulated_norm",
        lambda d: (d.x(), d.modulation(), d.modulation(), None, "rms", 1e-6),
    ),
    "layer": (
        "modulated_norm",
        lambda d: (d.x() + 5, d.modulation(), d.modulation(), None, "layer", 1e-6),
    ),
    "rms with weight, each token its own": (
        "modulated_norm",
        lambda d: (d.x(), d.each_token(), d.each_token(), d.weight(), "rms", 1e-5),
    ),
    "layer with weight, columns apart, modulation in float32": (
        "modulated_norm",
        lambda d: (
            d.channels_first(),
            d.modulation(dtype=F32),
            d.modulation(dtype=F32),
            d.weight(F32),
            "layer",
            1e-5,
        ),
    ),
    "gate": ("gate_residual", lambda d: (d.x(), d.x(), d.modulation())),
    "gate of each token": ("gate_residual", lambda d: (d.x(), d.x(), d.each_token())),
    "gate in float32, strided": (
        "gate_residual",
        lambda d: (d.channels_first(), d.part_of_wider(), d.modulation(dtype=F32)),
    ),
    "gate, then rms": (
        "gate_residual_norm",
        lambda d: (*(d.x(), d.x()), *(d.modulation() for _ in range(3)), None, "rms", 1e-6),
    ),
    "gate, then layer with weight and bias": (
        "gate_residual_norm",
        lambda d: (d.x(), d.x(), d.modulation(), None, d.weight(), d.weight(), "layer", 1e-6),
    ),
    "no gate, then layer, strided": (
        "gate_residual_norm",
        lambda d: (
            *(d.channels_first(), d.part_of_wider(), None),
            *(d.each_token(), d.each_token(), None, "layer", 1e-6),
        ),
    ),
    "nothing but the norm": (
        "gate_residual_norm",
        lambda d: (d.x(), d.x(), None, None, None, None, "rms", 1e-6),
    ),
    "rotary by columns": (
        "qk_norm_rotary",
        lambda d: (d.x(), d.x(), d.weight(), d.weight(), *d.columns(), 1e-5),
    ),
    "rotary by columns, one table for all videos, strided": (
        "qk_norm_rotary",
        lambda d: (
            *(d.part_of_wider(), d.channels_first(), d.weight(F32), d.weight()),
            *(*d.shared_columns(), 1e-5),
        ),
    ),
    "rotary by pairs": (
        "qk_norm_rotary",
        lambda d: (d.x(), d.x(), d.weight(), d.weight(), *d.pairs(), 1e-6),
    ),
    "gelu": ("gelu_tanh", lambda d: (d.x() * 4, d.weight())),
    "gelu, strided": ("gelu_tanh", lambda d: (d.channels_first(), d.weight(F32))),
}

in_every_case = pytest.mark.parametrize("case", CASES)
in_every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
in_every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@in_every_case
@in_every_dtype
@in_every_shape
def test_interpreted_kernel_equals_its_reference(run_interpreted, case, dtype, shape):
    name, build = CASES[case]
    arguments = build(Draw(shape, dtype, "cpu"))
    outputs, arguments_after = run_interpreted(name, arguments)
    assert_close(outputs, REFERENCES[name](*arguments), dtype)
    assert_unchanged(arguments_after, arguments)


@pytest.mark.gpu
@in_every_case
@in_every_dtype
@in_every_shape
def test_compiled_kernel_equals_its_reference(case, dtype, shape):
    name, build = CASES[case]
    arguments = build(Draw(shape, dtype, "cuda"))
    outputs = getattr(torch.ops.sol, name)(*arguments)
    assert_close(outputs, REFERENCES[name](*arguments), dtype)
    assert_unchanged(arguments, build(Draw(shape, dtype, "cuda")))


@pytest.mark.gpu
@pytest.mark.parametrize("width", [1536, 2048, 2240, 5120])
@in_every_dtype
def test_compiled_kernels_take_real_widths(width, dtype):
    for case in ("rms", "gate, then rms", "rotary by pairs", "gelu"):
        name, build = CASES[case]
        arguments = build(Draw((2, 129, width), dtype, "cuda"))
        outputs = getattr(torch.ops.sol, name)(*arguments)
        assert_close(outputs, REFERENCES[name](*arguments), dtype)


def assert_close(outputs, expected, dtype):
    rtol, atol = TOLERANCES[dtype]
    torch.testing.assert_close(_as_tuple(outputs), _as_tuple(expected), rtol=rtol, atol=atol)
    assert all(output.is_contiguous() for output in _as_tuple(outputs))


def assert_unchanged(after, before):
    for one, other in zip(after, before, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def _as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)
