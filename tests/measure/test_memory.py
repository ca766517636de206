from torch import nn

from sol.measure.memory import weights_bytes
from sol.skills.quantization.int8_dynamic import Int8DynamicLinear


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


def test_modules_that_hide_their_weights_count_what_they_say():
    linear = nn.Linear(16, 8)
    packed = Int8DynamicLinear(linear)
    assert weights_bytes([nn.Sequential(packed), packed]) == packed.packed_bytes
    assert 16 * 8 < packed.packed_bytes < 16 * 8 * 4 + 8 * 4
