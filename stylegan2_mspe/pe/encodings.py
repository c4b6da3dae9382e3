"""Positional encodings: functions of the level coordinates, without parameters of their own.

A separable encoding is a pair, half of the channels depending on y only and half on x only, so nothing needs
to hold [C, H, W]. The learned constant of StyleGAN2 is dense, and occurs at the coarsest level only.
"""

import math
from typing import NamedTuple

import torch

from .canvas import Coordinates
from .registry import register_encoding


class Separable(NamedTuple):
    """An encoding whose row half depends on y only and whose column half on x only.

    Its halves are [1, ...] where all samples share them.
    """
    rows: torch.Tensor          # [N or 1, C/2, H]
    cols: torch.Tensor          # [N or 1, C/2, W]
    rows_first: bool = True     # whether the row half takes the first channels (Eq. 1)

    def dense(self) -> torch.Tensor:
        """The same as one tensor [N or 1, C, H, W]."""
        count = max(self.rows.shape[0], self.cols.shape[0])
        rows = self.rows[:, :, :, None].expand(count, -1, -1, self.cols.shape[-1])
        cols = self.cols[:, :, None, :].expand(count, -1, self.rows.shape[-1], -1)
        return torch.cat([rows, cols] if self.rows_first else [cols, rows], dim=1)


def check_channels(channels: int) -> None:
    if channels <= 0 or channels % 4:
        raise ValueError(f'a positional encoding of {channels} channels: '
                         'expected a multiple of 4 (a sine and a cosine for rows and columns)')


@register_encoding('sinusoidal')
def sinusoidal(coordinates: Coordinates, channels: int, resolution: int, *,
               base: float = 100.0, rows_first: bool = True) -> Separable:
    """Eq. 1 and 2: pe(i, 2k) = sin(i / base^(k/d)), pe(i, 2k+1) = cos(i / base^(k/d)), d = channels / 4.

    The paper's 10000^(k/2d) is base 100; its authors' code uses base 10000 and the column half first.
    Raises ValueError where channels is not a multiple of 4.
    """
    return _waves(coordinates, _frequencies(coordinates, channels, base), rows_first)


@register_encoding('periodic')
def periodic(coordinates: Coordinates, channels: int, resolution: int, *,
             base: float = 100.0, rows_first: bool = True) -> Separable:
    """Eq. 1 and 2 with every frequency at the nearest that fits the trained picture once, twice, ...

    The opposite edges of the trained picture are then neighbours at every level: on a plane it tiles. Raises
    ValueError where channels is not a multiple of 4.
    """
    turn = 2 * math.pi / resolution
    turns = (_frequencies(coordinates, channels, base) / turn).round().clamp(min=1)
    return _waves(coordinates, turns * turn, rows_first)


def _frequencies(coordinates: Coordinates, channels: int, base: float) -> torch.Tensor:
    """Radians a cell of Eq. 2, [channels / 4]."""
    check_channels(channels)
    d = channels // 4
    return base ** (-torch.arange(d, dtype=coordinates.y.dtype, device=coordinates.y.device) / d)


def _waves(coordinates: Coordinates, frequencies: torch.Tensor, rows_first: bool) -> Separable:
    """A sine and a cosine of each frequency for rows and columns."""
    halves = []
    for vector in (coordinates.y, coordinates.x):
        angles = torch.atleast_2d(vector)[:, None, None, :] * frequencies[:, None, None]    # [N, d, 1, H]
        # Flattening [N, d, 2, H] interleaves them: sin, cos, sin ...
        halves.append(torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1, 2))
    return Separable(*halves, rows_first)


@register_encoding('cartesian')
def cartesian(coordinates: Coordinates, channels: int, resolution: int, *,
              rows_first: bool = True) -> Separable:
    """Cartesian grid: every row channel is y and every column channel x; the trained image spans [-1, 1].

    The edges of the trained image are at exactly -1 and 1 at every level; cell centres lie between.
    Raises ValueError where channels is not a multiple of 4.
    """
    check_channels(channels)
    halves = [(torch.atleast_2d(vector)[:, None, :] * 2 + 1) / resolution - 1
              for vector in (coordinates.y, coordinates.x)]
    return Separable(*(half.expand(-1, channels // 2, -1) for half in halves), rows_first)


def learned_constant(const: torch.Tensor, coordinates: Coordinates) -> torch.Tensor:
    """The baseline's constant [C, h, w] at other coordinates, bilinearly (Fig. G) -> [N or 1, C, H, W].

    Circular where the axis wraps, clamped to the edge otherwise; differentiable in constant and coordinates.
    """
    rows, cols = (interpolation_weights(vector, size, wraps).to(const.dtype)
                  for vector, size, wraps in zip(coordinates, const.shape[1:], coordinates.wraps))
    return torch.einsum('nyi,cij,nxj->ncyx', rows, const, cols)


def interpolation_weights(vector: torch.Tensor, size: int, wraps: bool) -> torch.Tensor:
    """Linear interpolation as a matrix [N or 1, H, size]: each sample's weight at every coordinate."""
    vector = torch.atleast_2d(vector)[:, :, None]
    samples = torch.arange(size, dtype=vector.dtype, device=vector.device)
    if wraps:
        distance = (vector - samples + size / 2).remainder(size) - size / 2
    else:
        distance = vector.clamp(0, size - 1) - samples
    return (1 - distance.abs()).clamp(min=0)
