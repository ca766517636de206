"""The kernels compile to machine code for a GPU that need not be there; nothing is launched."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton is not installed: it compiles the kernels.")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

if triton.knobs.runtime.interpret:
    pytest.skip("TRITON_INTERPRET is set: kernels are not compiled.", allow_module_level=True)

HOPPER = GPUTarget("cuda", 90, 32)


class NoDevice:
    """What triton asks of a driver in order to compile."""

    def get_current_target(self):
        return HOPPER

    def get_current_device(self):
        # Of no real device, for which triton would keep what it compiled here.
        return -1

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The kernels that a launch would have run."""
    kernels = []
    run = JITFunction.run

    def compile_only(self, *args, grid, warmup, **options):
        kernels.append(run(self, *args, grid=grid, warmup=True, **options))

    monkeypatch.setattr(JITFunction, "run", compile_only)
    driver.set_active(NoDevice())
    with triton.knobs.cache.scope():
        triton.knobs.cache.dir = str(tmp_path)
        yield kernels
    # As before: triton looks for a device when it is next asked.
    driver.set_active(None)


def half(*shape):
    return torch.empty(shape, dtype=torch.bfloat16)


def arguments(width):
    x, row, weight = half(2, 4, width), half(2, 6, width)[:, 1:2], half(width)
    columns, pairs = torch.empty(2, 4, width), torch.empty(1, 4, 1, width // 5)
    return [
        ("modulated_norm", (x, row, row, None, "rms", 1e-6)),
        ("modulated_norm", (x, row, row, weight, "layer", 1e-6)),
        ("gate_residual", (x, x, row)),
        ("gate_residual_norm", (x, x, row, row, row, None, "rms", 1e-6)),
        ("gate_residual_norm", (x, x, None, None, weight, weight, "layer", 1e-6)),
        ("qk_norm_rotary", (x, x, weight, weight, columns, columns, 1e-6)),
        ("qk_norm_rotary", (x, x, weight, weight, pairs, pairs, 1e-6)),
        ("gelu_tanh", (x, weight)),
    ]


@pytest.mark.parametrize("width", [2240, 30])
def test_kernels_compile(compiled, width):
    launches = arguments(width)
    for name, values in launches:
        import_module(f"sol.kernels.{name}.triton_kernel").launch(*values)
    assert len(compiled) == len(launches)
    assert all(kernel.asm["cubin"] for kernel in compiled)


def test_aligned_rows_move_sixteen_bytes_at_a_time(compiled):
    for name, values in arguments(2240):
        import_module(f"sol.kernels.{name}.triton_kernel").launch(*values)
    for kernel in compiled:
        stores = [line for line in kernel.asm["ptx"].splitlines() if "st.global" in line]
        assert stores
        assert all("st.global.v4.b32" in store for store in stores)


# What a program on a Hopper may have of it (CUDA's programming guide, compute capability 9.0).
HOPPER_SHARED_BYTES = 227 * 1024


@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("block", [64, 128])
def test_block_sparse_attention_compiles_and_fits(compiled, block, head_dim):
    n_tokens, n_blocks = 1_000, -(-1_000 // block)
    x = half(2, n_tokens, 3, head_dim).transpose(1, 2)
    blocks = torch.zeros(1, 3, n_blocks, n_blocks, dtype=torch.int32)
    launch = import_module("sol.kernels.block_sparse_attention.triton_kernel").launch
    for remainder in ("drop", "mean"):
        launch(x, x, x, blocks, blocks[..., 0], block, remainder, head_dim**-0.5)
    assert len(compiled) == len(("drop", "mean"))
    for kernel in compiled:
        assert kernel.asm["cubin"]
        assert kernel.metadata.shared <= HOPPER_SHARED_BYTES
        assert "wgmma" in kernel.asm["ptx"]
