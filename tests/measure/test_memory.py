import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

from sol.errors import SolError
from sol.measure.memory import bytes_besides, require_same_weights, weights_bytes
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


def test_a_tensor_made_of_others_occupies_what_they_do():
    """As quantised weights of libraries are; such a tensor has no storage of its own."""
    linear = nn.Linear(8, 4, bias=False)
    parts = torch.zeros(4, 8, dtype=torch.int8), torch.zeros(4, 8, dtype=torch.int8)
    linear.weight = nn.Parameter(TwoTensor(*parts), requires_grad=False)
    other = nn.Linear(8, 4, bias=False)
    assert weights_bytes([linear, other]) == 2 * 4 * 8 + 4 * 8 * 4


def test_what_a_stack_does_not_use_is_kept_besides():
    kept, used = nn.Linear(8, 4), nn.Linear(4, 2)
    packed = Int8DynamicLinear(kept)
    assert bytes_besides([kept, used], [packed, used]) == weights_bytes([kept])
    assert bytes_besides([kept, used], [nn.Sequential(kept, used)]) == 0


def test_other_weights_after_undo_are_an_error():
    require_same_weights(10, 10)
    with pytest.raises(SolError, match="10 bytes before, 14 after"):
        require_same_weights(10, 14)
