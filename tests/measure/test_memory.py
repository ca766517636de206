import sys

import pytest
import torch
from torch import nn
from torch.ao.nn.quantized import dynamic

from sol.measure import memory
from sol.measure.memory import PeakMemory, weights_bytes

MIB = 1024**2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="VmHWM is Linux's")
def test_peak_sees_what_is_freed_before_the_block_ends_and_resets():
    with PeakMemory() as idle:
        pass
    with PeakMemory() as busy:
        torch.ones(64 * MIB, dtype=torch.uint8)
    with PeakMemory() as idle_again:
        pass
    if idle.peak_bytes is None:
        pytest.skip("this kernel does not reset VmHWM")
    assert busy.peak_bytes - idle.peak_bytes > 60 * MIB
    assert busy.peak_bytes - idle_again.peak_bytes > 60 * MIB


def test_peak_is_none_where_the_kernel_cannot_say(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    with PeakMemory() as peak:
        pass
    assert peak.peak_bytes is None


def test_parameters_and_buffers_count_once_across_modules():
    linear, norm = nn.Linear(8, 4), nn.BatchNorm1d(4)
    expected = 4 * (8 * 4 + 4) + 4 * 4 * 4 + 8
    assert weights_bytes([linear, norm, linear, nn.Sequential(linear)]) == expected


def test_tied_and_sliced_weights_share_storage():
    a, b = nn.Linear(8, 8, bias=False), nn.Linear(8, 4, bias=False)
    b.weight = nn.Parameter(a.weight.data[:4])
    assert weights_bytes([a, b]) == 8 * 8 * 4


def test_half_precision_halves():
    linear = nn.Linear(8, 4)
    full = weights_bytes([linear])
    assert weights_bytes([linear.half()]) * 2 == full


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize(("dtype", "width"), [(torch.qint8, 1), (torch.float16, 2)])
def test_packed_linears_count_their_hidden_weight(dtype, width):
    packed = dynamic.Linear(16, 8, dtype=dtype)
    assert weights_bytes([nn.Sequential(packed), packed]) == 16 * 8 * width + 8 * 4
