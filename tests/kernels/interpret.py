"""Runs operators of `sol.kernels` for a test that sent them; see `run_interpreted` in conftest.

A process of its own: triton decides when it is imported whether it interprets its kernels, and
the other tests need it to compile. Requests and answers are pickles, one after the other.
"""

from __future__ import annotations

import pickle
import sys
import warnings

import torch

from sol.kernels.operator.launching import IS_INTERPRETED


def main() -> None:
    if not IS_INTERPRETED:
        sys.exit("TRITON_INTERPRET=1 must be set before this process starts.")
    torch.set_num_threads(1)
    # exp of a large number is inf in a kernel too, where nobody warns.
    warnings.filterwarnings("ignore", "overflow encountered in exp", RuntimeWarning)
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        outputs = getattr(torch.ops.sol, name)(*arguments)
        pickle.dump((outputs, arguments), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    # The operators are registered by importing them.
    import sol.kernels.block_sparse_attention
    import sol.kernels.gate_residual
    import sol.kernels.gate_residual_norm
    import sol.kernels.gelu_tanh
    import sol.kernels.modulated_norm
    import sol.kernels.qk_norm_rotary  # noqa: F401

    main()
