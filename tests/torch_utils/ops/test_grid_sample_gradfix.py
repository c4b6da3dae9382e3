"""grid_sample against a loop over pixels in float64 and its derivatives against finite differences."""

import math

import numpy as np
import pytest
import torch

from torch_utils.ops import grid_sample_gradfix as ops


def tensors(channels=2, requires_grad=True):
    random = np.random.RandomState(5)
    x = torch.from_numpy(random.standard_normal((2, channels, 4, 5)))
    grid = torch.from_numpy(random.uniform(-1.3, 1.3, (2, 3, 2, 2)))  # some of it outside
    return x.requires_grad_(), grid.requires_grad_(requires_grad)


def definition(x, grid):
    n, c, height, width = x.shape
    y = np.zeros([n, c, *grid.shape[1:3]])
    for k, i, j in np.ndindex(n, *grid.shape[1:3]):
        px = (grid[k, i, j, 0] + 1) / 2 * width - 0.5
        py = (grid[k, i, j, 1] + 1) / 2 * height - 0.5
        for row in (math.floor(py), math.floor(py) + 1):
            for col in (math.floor(px), math.floor(px) + 1):
                if 0 <= row < height and 0 <= col < width:
                    y[k, :, i, j] += x[k, :, row, col] * (1 - abs(py - row)) * (1 - abs(px - col))
    return y


@pytest.mark.parametrize('enabled', [True, False])
def test_agrees_with_the_definition(enabled, monkeypatch):
    monkeypatch.setattr(ops, 'enabled', enabled)
    x, grid = tensors()
    expected = definition(x.detach().numpy(), grid.detach().numpy())
    np.testing.assert_allclose(ops.grid_sample(x, grid).detach(), expected, atol=1e-12)
    np.testing.assert_allclose(ops._explicit(x, grid).detach(), expected, atol=1e-12)


@pytest.mark.parametrize('grid_moves', [True, False])
def test_first_and_second_derivatives(grid_moves):
    x, grid = tensors(requires_grad=grid_moves)
    assert torch.autograd.gradcheck(ops.grid_sample, [x, grid])
    assert torch.autograd.gradgradcheck(ops.grid_sample, [x, grid])


def test_derivatives_where_only_the_grid_moves():
    x, grid = tensors()
    assert torch.autograd.gradcheck(lambda g: ops.grid_sample(x.detach(), g), [grid])
    assert torch.autograd.gradgradcheck(lambda g: ops.grid_sample(x.detach(), g), [grid])


def test_third_derivative():
    x, grid = tensors(requires_grad=False)

    def gradient(x):
        y = ops.grid_sample(x, grid)
        return torch.autograd.grad(y, [x], y ** 3, create_graph=True)

    assert torch.autograd.gradgradcheck(gradient, [x], fast_mode=True)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32])
def test_dtype_and_empty_batch(dtype):
    x, grid = (t.detach() for t in tensors(channels=1))
    y = ops.grid_sample(x.to(dtype).requires_grad_(), grid.float())
    assert y.dtype == dtype and y.shape == (2, 1, 3, 2) and y.requires_grad
    np.testing.assert_allclose(y.detach().float(), definition(x.numpy(), grid.numpy()), atol=0.05)
    assert ops.grid_sample(x[:0].to(dtype), grid[:0].to(dtype)).shape == (0, 1, 3, 2)
