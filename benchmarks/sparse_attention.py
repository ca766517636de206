"""Block-sparse attention against dense attention: time, and the error that sparsity makes.

    python benchmarks/sparse_attention.py --out benchmarks/results/sparse-attention-cpu

Both sides take turns in one process. The time of a path includes choosing the blocks by pooled
queries and keys, and whatever the path derives from the choice; beside it stands the time with a
layout that is used again, as it is when blocks are chosen every few steps. The error is against
dense attention, for queries and keys from smooth fields over the grid and for independent normal
ones: made-up data, which say how paths and remainders compare, not what a model's video loses.

On a CPU times are the processor's for one thread, which other processes do not lengthen by their
turns. On CUDA the sizes are those of real models in bfloat16, and dense attention is the fastest
of PyTorch's back-ends. Writes a JSON file and a Markdown table after every row.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from sparse_attention_cases import Case, Size, cases, draw_random, draw_smooth
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from sol.kernels.block_sparse_attention import (
    PATHS,
    REMAINDERS,
    BlockLayout,
    Remainder,
    block_sparse_attention,
    make_layout,
)
from sol.measure.hardware import probe, versions
from sol.measure.stats import Interval
from sol.measure.timing import PairedTiming, time_pairs
from sol.skills.sparse_attention.selection.topk import choose_top_blocks

_BACKENDS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
)
_PAIRS_OF_BACKENDS = 5

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """A path at a case, as it stands in the file.

    Attributes:
        density: Kept pairs of tokens over all.
        speedup: Over dense attention, the choice of blocks included.
        speedup_reused: With a layout that was used before.
        choice_ms: What the choice of blocks takes of `sparse_ms`.
        error_smooth: Relative L2 distance of the output from dense attention's.
    """

    size: Size
    remainder: Remainder
    path: str
    density: float
    speedup: Interval
    speedup_reused: Interval
    dense_ms: float
    sparse_ms: float
    choice_ms: float
    error_smooth: float
    error_random: float


@dataclass(frozen=True)
class Bench:
    """A case with its data, (query, key, value) each, and dense attention to compare with."""

    case: Case
    smooth: Sequence[Tensor]
    random: Sequence[Tensor]
    dense: Attention
    device: str
    n_pairs: int

    def choose(self, tensors: Sequence[Tensor]) -> BlockLayout:
        """The best-scored share of the blocks."""
        query, key, _ = tensors
        size = self.case.size
        mask = choose_top_blocks(query, key, size.block, self.case.density)
        return make_layout(mask, size.tokens, size.block)

    def time(self, run: Callable[[], object]) -> PairedTiming:
        """Dense attention, then `run`."""
        return _time(lambda: self.dense(*self.smooth), run, self.device, self.n_pairs)

    def find_error(
        self, tensors: Sequence[Tensor], run: Callable[[Sequence[Tensor], BlockLayout], Tensor]
    ) -> float:
        """Of a sparse attention on some data."""
        exact = self.dense(*tensors).float()
        return float((run(tensors, self.choose(tensors)).float() - exact).norm() / exact.norm())


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Without a suffix.")
    parser.add_argument("--pairs", type=int, default=31, help="Timings of each side.")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    rows: list[Row] = []
    for case in cases(device == "cuda"):
        # What was compiled for one case counts towards the recompilations of the next.
        torch.compiler.reset()
        # Garbage is collected before each reading: passing over what is there to stay would take
        # longer than a call does, and pull the two readings of a pair apart.
        gc.freeze()
        bench = _prepare(case, device, args.pairs)
        for remainder in REMAINDERS:
            for path in _paths(bench, remainder):
                rows.append(_measure(bench, remainder, path))
                print(_markdown_row(rows[-1]), flush=True)
                _write(args.out, rows, device)


def _prepare(case: Case, device: str, n_pairs: int) -> Bench:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    smooth, random = (draw(case.size, device, dtype) for draw in (draw_smooth, draw_random))
    dense = _fastest_backend(smooth) if device == "cuda" else scaled_dot_product_attention
    return Bench(case, smooth, random, dense, device, n_pairs)


def _fastest_backend(tensors: Sequence[Tensor]) -> Attention:
    """Dense attention in whichever way is fastest for these tensors."""

    def use(backend: SDPBackend) -> Attention:
        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            with sdpa_kernel(backend):
                return scaled_dot_product_attention(query, key, value)

        return attend

    def seconds(attend: Attention) -> float:
        timing = _time(
            lambda: scaled_dot_product_attention(*tensors),
            lambda: attend(*tensors),
            "cuda",
            _PAIRS_OF_BACKENDS,
        )
        return timing.accelerated.median

    return min((use(backend) for backend in _BACKENDS), key=seconds)


def _paths(bench: Bench, remainder: Remainder) -> Iterator[str]:
    """Those that can run, the best first: that one alone where not all are asked for."""
    layout, query = bench.choose(bench.smooth), bench.smooth[0]
    for name, path in PATHS.items():
        obstacle = path.find_obstacle(
            query.device, query.dtype, query.shape[-1], layout, remainder
        )
        # The reference computes all scores at once, which is no rival and may not fit.
        if obstacle is None and name != "reference":
            yield name
            if not bench.case.all_paths:
                return


def _measure(bench: Bench, remainder: Remainder, path: str) -> Row:
    def attend(tensors: Sequence[Tensor], layout: BlockLayout) -> Tensor:
        return block_sparse_attention(*tensors, layout, remainder=remainder, path=path)

    smooth = bench.smooth
    used = bench.choose(smooth)
    timing = bench.time(lambda: attend(smooth, bench.choose(smooth)))
    return Row(
        size=bench.case.size,
        remainder=remainder,
        path=path,
        density=used.density,
        speedup=timing.speedup,
        speedup_reused=bench.time(lambda: attend(smooth, used)).speedup,
        dense_ms=timing.baseline.median * 1e3,
        sparse_ms=timing.accelerated.median * 1e3,
        choice_ms=bench.time(lambda: bench.choose(smooth)).accelerated.median * 1e3,
        error_smooth=bench.find_error(smooth, attend),
        error_random=bench.find_error(bench.random, attend),
    )


def _time(
    baseline: Callable[[], object], run: Callable[[], object], device: str, n_pairs: int
) -> PairedTiming:
    return time_pairs(
        baseline,
        run,
        n_pairs=n_pairs,
        warmup=2,
        synchronize=torch.cuda.synchronize if device == "cuda" else lambda: None,
        # A call takes milliseconds, as does a turn that another process gets on the same core.
        clock=time.perf_counter if device == "cuda" else time.process_time,
        device=device,
    )


def _write(out: Path, rows: Sequence[Row], device: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    hardware, found = probe(device).name, versions()
    data = {"hardware": hardware, "versions": found, "rows": [asdict(row) for row in rows]}
    out.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    lines = [*_head(hardware, found["torch"], device), *map(_markdown_row, rows)]
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(hardware: str, torch_version: str, device: str) -> list[str]:
    how = "bfloat16" if device == "cuda" else "float32, processor time of one thread"
    columns = (
        "tokens | batch, heads, columns | block | density | remainder | path | speed-up | "
        "layout reused | ms | of which choosing | error, smooth | random"
    )
    return [
        f"# Block-sparse attention, {hardware}, torch {torch_version}",
        "",
        f"In {how}, over dense `scaled_dot_product_attention`. Speed-ups are medians with 95% "
        "bootstrap intervals of paired ratios, interleaved in one process; the first includes "
        "the choice of blocks, the second does not. Errors are relative L2 distances from dense "
        "attention, on made-up data.",
        "",
        f"| {columns} |",
        "|---" * (columns.count("|") + 1) + "|",
    ]


def _markdown_row(row: Row) -> str:
    size = row.size
    frames, height, width = size.grid
    cells = (
        f"{size.tokens:,} ({frames}x{height}x{width})",
        f"{size.batch}, {size.heads}, {size.head_dim}",
        str(size.block),
        f"{row.density:.3f}",
        row.remainder,
        row.path,
        _shown(row.speedup),
        _shown(row.speedup_reused),
        f"{row.dense_ms:.2f} -> {row.sparse_ms:.2f}",
        f"{row.choice_ms:.2f}",
        f"{row.error_smooth:.3f}",
        f"{row.error_random:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def _shown(ratio: Interval) -> str:
    return f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


if __name__ == "__main__":
    main()
