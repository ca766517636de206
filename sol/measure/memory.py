"""Bytes: the peak of a block of code, and what a pipeline's weights occupy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import torch
from torch import nn
from torch.ao.nn import quantized

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
_KIB = 1024


class PeakMemory:
    """Measures the peak between entering and leaving a `with` block.

    CUDA: the allocator's peak on that device. CPU on Linux: the whole process's resident peak
    (`VmHWM`, reset on entry), so it includes what was resident before.

    Attributes:
        peak_bytes: Set on leaving; None where the platform cannot say.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._is_reset = False
        self.peak_bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        self.peak_bytes = None
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._is_reset = _reset_resident_peak()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(self._device)
        elif self._is_reset:
            self.peak_bytes = _find_resident_peak()


def weights_bytes(modules: Iterable[nn.Module]) -> int:
    """Bytes of all parameters, buffers and packed int8 or fp16 linears, shared storage once."""
    seen: dict[object, int] = {}
    for root in modules:
        for tensor in (*root.parameters(), *root.buffers()):
            storage = tensor.untyped_storage()
            seen[(tensor.device, storage.data_ptr())] = storage.nbytes()
        for module in root.modules():
            if isinstance(module, quantized.Linear):
                seen[id(module)] = _packed_bytes(module)
    return sum(seen.values())


def _packed_bytes(linear: quantized.Linear) -> int:
    """A packed linear hides its weight in a script object: no parameter, no buffer."""
    weight: torch.Tensor = linear.weight()  # type: ignore[no-untyped-call]
    bias: torch.Tensor | None = linear.bias()  # type: ignore[no-untyped-call]
    dtype: torch.dtype = linear._packed_params.dtype
    return weight.numel() * dtype.itemsize + (0 if bias is None else bias.nbytes)


def _reset_resident_peak() -> bool:
    """Whether the kernel accepted the reset (Linux, proc(5), `clear_refs`)."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _find_resident_peak() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) * _KIB for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else None
