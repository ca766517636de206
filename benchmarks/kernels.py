"""Each kernel against eager code, torch.compile and the memory's ceiling, at real sizes.

    python benchmarks/kernels.py --out benchmarks/results/kernels-cuda.md

All kernels are bound by memory: on CUDA the ceiling is what a copy reaches on the same card in the
same run, counting the bytes that a kernel must read and write once. Rivals take turns, and a
speed-up is the median, with quartiles, of the ratios of neighbouring timings. A timing replays a
CUDA graph over several sets of arguments, more than the card's cache holds, so that neither the
launch from Python nor the cache is measured. Results are compared before anything is timed. At
the largest size eager code holds several tensors of 3.6 GB: `--tokens-divisor` makes all smaller.

Without CUDA the references are timed, eager and compiled, at a fraction of the tokens: the kernels
are not, because the time of Triton's interpreter says nothing.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from kernel_cases import BATCH, KERNELS, SIZES, Arguments, Function, Kernel, Size

_WINS_FROM = 1.1
_BYTES_TIMED = 1 << 30
_GB = 1e9
# Of bfloat16, and of a stream rounded before its norm.
_TOLERANCE = 2**-5


@dataclass(frozen=True)
class Row:
    """A kernel at a size: milliseconds by rival, and ratios to torch.compile."""

    kernel: Kernel
    size: Size
    n_bytes: int
    times_ms: dict[str, list[float]]

    def ratios(self, slow: str, fast: str) -> tuple[float, float, float]:
        """Median and quartiles of how many times faster `fast` is."""
        ratios = [a / b for a, b in zip(self.times_ms[slow], self.times_ms[fast], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        return median, low, high

    def bandwidth(self, rival: str) -> float:
        """GB/s of the bytes that must be moved."""
        return self.n_bytes / _GB / (statistics.median(self.times_ms[rival]) / 1e3)


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="A Markdown file.")
    parser.add_argument("--rounds", type=int, default=20, help="Timings of each rival.")
    parser.add_argument("--tokens-divisor", type=int, help="Default: 1, on a CPU 32.")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    divisor = args.tokens_divisor or (1 if device == "cuda" else 32)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    ceiling = _copy_bandwidth(device)
    lines = [*_head(device, divisor, args.rounds, ceiling), *_table_head(device)]
    print("\n".join(lines), flush=True)
    for kernel in KERNELS:
        for size in SIZES:
            row = _measure(kernel, _scaled(size, divisor), device, args.rounds)
            if row is not None:
                lines.append(_line(row, ceiling, device))
                print(lines[-1], flush=True)
            if device == "cuda":
                torch.cuda.empty_cache()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scaled(size: Size, divisor: int) -> Size:
    return replace(size, tokens=math.ceil(size.tokens / divisor))


def _measure(kernel: Kernel, size: Size, device: str, n_rounds: int) -> Row | None:
    arguments = kernel.draw(size, device)
    if arguments is None:
        return None
    torch._dynamo.reset()
    rivals: dict[str, Function] = {
        "eager": kernel.reference,
        "compiled": torch.compile(kernel.reference, dynamic=False),
    }
    if device == "cuda":
        rivals["triton"] = kernel.operator
    n_bytes = _check(kernel, arguments, rivals)
    n_sets = 1 if device == "cpu" else math.ceil(_BYTES_TIMED / n_bytes)
    sets = [arguments, *(kernel.draw(size, device) or () for _ in range(n_sets - 1))]
    clock = _cuda_clock if device == "cuda" else _cpu_clock
    clocks = {name: clock(rival, sets) for name, rival in rivals.items()}
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for n in range(n_rounds):
        for name in list(rivals) if n % 2 == 0 else reversed(rivals):
            times[name].append(clocks[name]())
    return Row(kernel, size, n_bytes, times)


def _check(kernel: Kernel, arguments: Arguments, rivals: dict[str, Function]) -> int:
    """Holds every rival to the reference; gives the bytes that must be read and written."""
    expected = _as_tuple(kernel.reference(*arguments))
    for name, rival in rivals.items():
        for actual, wanted in zip(_as_tuple(rival(*arguments)), expected, strict=True):
            torch.testing.assert_close(
                actual, wanted, rtol=_TOLERANCE, atol=_TOLERANCE, msg=f"{kernel.name}, {name}"
            )
    tensors = [value for value in (*arguments, *expected) if isinstance(value, torch.Tensor)]
    return sum(tensor.nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())


def _cpu_clock(function: Function, sets: list[Arguments]) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        function(*sets[0])
        return (time.perf_counter() - started) * 1e3

    return measure


def _cuda_clock(function: Function, sets: list[Arguments]) -> Callable[[], float]:
    """Replays one graph of a call for each set, none of which writes over what another gave."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function(*sets[0])
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = [function(*arguments) for arguments in sets]

    def measure() -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / len(outputs)

    measure()
    return measure


def _copy_bandwidth(device: str) -> float:
    """GB/s, read and written, of a copy of more than any cache holds: the median of 20."""
    source = torch.empty(_BYTES_TIMED // (2 if device == "cuda" else 8), dtype=torch.uint8)
    source = source.to(device).fill_(1)
    target = torch.empty_like(source)
    clock = _cuda_clock if device == "cuda" else _cpu_clock
    measure = clock(target.copy_, [(source,)])
    measure()
    return 2 * source.nbytes / _GB / (statistics.median(measure() for _ in range(20)) / 1e3)


def _head(device: str, divisor: int, n_rounds: int, ceiling: float) -> list[str]:
    tokens = "all tokens" if divisor == 1 else f"one token in {divisor}"
    return [
        f"# Kernels, {_device_name(device)}",
        "",
        f"PyTorch {torch.__version__}, Triton {_triton_version()}, {_driver(device)}. "
        f"Activations in bfloat16, batch {BATCH}, {tokens}; {n_rounds} timings of each rival.",
        "",
        f"Copy bandwidth, read and written: {ceiling:.0f} GB/s.",
        "",
        *(
            ["No CUDA: the Triton kernels were not timed.", ""]
            if device == "cpu"
            else [f"A kernel wins from {_WINS_FROM}x torch.compile on.", ""]
        ),
    ]


def _table_head(device: str) -> list[str]:
    rivals = "eager ms | compiled ms"
    if device == "cpu":
        columns = f"{rivals} | compiled over eager | compiled, of copy bandwidth"
    else:
        columns = f"{rivals} | Triton ms | Triton over compiled | of copy bandwidth | target | "
        columns += "verdict"
    head = f"| kernel | size | {columns} |"
    return [head, "|---" * (head.count("|") - 1) + "|"]


def _line(row: Row, ceiling: float, device: str) -> str:
    medians = [f"{statistics.median(times):.3f}" for times in row.times_ms.values()]
    slow, fast = ("eager", "compiled") if device == "cpu" else ("compiled", "triton")
    median, low, high = row.ratios(slow, fast)
    share = row.bandwidth(fast) / ceiling
    cells = [row.kernel.name, row.size.name, *medians, f"{median:.2f}x [{low:.2f}, {high:.2f}]"]
    cells.append(f"{share:.0%}")
    if device == "cuda":
        cells += [_target(row.kernel, share), "wins" if median >= _WINS_FROM else "loses"]
    return f"| {' | '.join(cells)} |"


def _target(kernel: Kernel, share: float) -> str:
    if kernel.target is None:
        return ""
    return f"{kernel.target:.0%}, {'reached' if share >= kernel.target else 'missed'}"


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, 1 thread"


def _driver(device: str) -> str:
    if device == "cpu":
        return "no CUDA"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
    return f"CUDA {torch.version.cuda}, driver {done.stdout.splitlines()[0]}"


def _triton_version() -> str:
    try:
        import triton
    except ImportError:
        return "missing"
    return str(triton.__version__)


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


if __name__ == "__main__":
    main()
