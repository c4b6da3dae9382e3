"""grid_sample (bilinear, zeros outside, align_corners=False) with derivatives of every order.

torch's own stops at the first derivative. Sampling is linear in the picture, so while the grid needs no
gradient sampling and its adjoint, both torch's kernels, are each other's derivative; where the grid needs one
too, the second derivative goes through an explicit formula.
"""

import torch
import torch.nn.functional as F

enabled = True  # False hands every call to torch.nn.functional

_BILINEAR, _ZEROS, _ALIGN_CORNERS = 0, 0, False


def grid_sample(input: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """input [N, C, H, W], grid [N, H', W', 2] holding (x, y) in [−1, 1] between outer edges → [N, C, H',
    W']."""
    if not enabled:
        return F.grid_sample(input, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    grid = grid.to(input.dtype)
    if input.device.type == 'cpu' and input.dtype not in (torch.float32, torch.float64):  # no such CPU kernel
        return _Sample.apply(input.float(), grid.float()).to(input.dtype)
    return _Sample.apply(input, grid)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, grid):
        ctx.save_for_backward(x, grid)
        return torch.ops.aten.grid_sampler_2d(x, grid, _BILINEAR, _ZEROS, _ALIGN_CORNERS)

    @staticmethod
    def backward(ctx, gy):
        x, grid = ctx.saved_tensors
        for_x, for_grid = ctx.needs_input_grad
        if torch.is_grad_enabled() and for_grid:
            wanted = [tensor for tensor, needed in ((x, for_x), (grid, True)) if needed]
            grads = torch.autograd.grad(_explicit(x, grid), wanted, gy, create_graph=True)
            return (*grads,) if for_x else (None, *grads)
        if for_x and not for_grid:
            return _Splat.apply(gy, grid, x), None
        return _adjoint(gy, x, grid, [for_x, for_grid])


class _Splat(torch.autograd.Function):
    """The adjoint of sampling: spreads each value of `gy` over the four pixels around its place."""

    @staticmethod
    def forward(ctx, gy, grid, x):
        ctx.save_for_backward(grid)
        return _adjoint(gy, x, grid, [True, False])[0]

    @staticmethod
    def backward(ctx, ggx):
        return _Sample.apply(ggx, *ctx.saved_tensors), None, None


def _adjoint(gy, x, grid, mask: list[bool]):
    return torch.ops.aten.grid_sampler_2d_backward(gy, x, grid, _BILINEAR, _ZEROS, _ALIGN_CORNERS, mask)


def _explicit(x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """grid_sample written out with differentiable operators (Σ over the four neighbours of weight ·
    pixel)."""
    n, c, height, width = x.shape
    px = ((grid[..., 0] + 1) * width - 1) / 2  # pixel centres at whole numbers
    py = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = px.detach().floor(), py.detach().floor()
    total = None
    for row, weight_y in ((top, top + 1 - py), (top + 1, py - top)):
        for col, weight_x in ((left, left + 1 - px), (left + 1, px - left)):
            inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
            index = row.clamp(0, height - 1).long() * width + col.clamp(0, width - 1).long()
            index = index.flatten(1)[:, None].expand(-1, c, -1)
            pixel = x.flatten(2).gather(2, index).unflatten(2, grid.shape[1:3])
            term = pixel * (weight_y * weight_x * inside)[:, None]
            total = term if total is None else total + term
    return total
