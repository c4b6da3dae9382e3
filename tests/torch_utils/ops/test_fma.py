"""fma: values, broadcasting, derivatives."""

import pytest
import torch

from torch_utils.ops.fma import fma

SHAPES = [
    ([2, 3, 4, 5], [2, 3, 1, 1], [2, 1, 4, 5]),
    ([2, 3, 4, 5], [], [1]),
    ([3, 1], [2, 1, 4], [1, 3, 1]),
    ([0, 3], [1, 3], [0, 1]),
]


@pytest.mark.parametrize('shapes', SHAPES)
def test_values_and_derivatives(shapes):
    a, b, c = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    torch.testing.assert_close(fma(a, b, c), a * b + c)
    assert torch.autograd.gradcheck(fma, [a, b, c])
    assert torch.autograd.gradgradcheck(fma, [a, b, c])


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_layout_and_dtype_are_kept(dtype):
    a = torch.randn(2, 3, 4, 5).to(dtype).contiguous(memory_format=torch.channels_last)
    y = fma(a, torch.ones(2, 3, 1, 1, dtype=dtype), torch.ones(2, 1, 4, 5, dtype=dtype))
    assert y.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)
