"""Translation equivariance in dB (EQ-T): is what a shifted canvas shows the shifted picture?

As Karras et al. 2021 ("Alias-Free Generative Adversarial Networks", Sec. 3 and Appendix E) define it: the
peak signal to noise ratio between the two, over the pixels that both have, of shifts by up to an eighth of
the picture in every direction, whole pixels or fractions (then the picture is shifted by a Lanczos filter).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import render, seed_ws

FURTHEST = 1 / 8        # of the picture, in each direction
LOBES = 3               # of the Lanczos filter, on each side
PEAK = 2                # pictures are in [-1, 1]
CEILING = 150           # dB, of pictures that are the same: beyond float32, which ends near 140
CHANCE = 0x45515400     # besides the sample's seed, so that shifts have nothing to do with latents

# The shift of the paper goes round the picture, which ends as it did in training, and leaves the stored
# noise; on a plane nothing but coordinates tells one place from another.
PLACES = {'circle': dict(wrap=True, border=None, noise_mode='const'),
          'plane': dict(wrap=False, border='plane', noise_mode='anchored')}


def draw_shifts(seeds: Sequence[int], resolution: int, whole: bool) -> torch.Tensor:
    """A shift (dy, dx) in pixels for each seed, float64 [N, 2], each uniform within FURTHEST either way."""
    rows = [np.random.RandomState([seed, CHANCE]).uniform(-1, 1, size=2) for seed in seeds]
    shifts = torch.from_numpy(np.reshape(rows, [-1, 2])) * FURTHEST * resolution
    return shifts.round() if whole else shifts


def shifting(distances: torch.Tensor, length: int, wrap: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What moves pixels along an axis by each of the distances [N], in pixels, towards larger positions.

    Returns matrices [N, length, length] (float64; rows are new positions, columns old ones), and which new
    positions are known, bool [N, length]: those whose filter does not reach across the border of the picture,
    and, unless it goes round, not beyond it either. A whole distance moves pixels as they are.
    """
    sources = torch.arange(length, dtype=torch.float64) - distances.to(torch.float64)[:, None]
    taps = sources.floor()[:, :, None] + torch.arange(1 - LOBES, LOBES + 1)
    offsets = sources[:, :, None] - taps
    weights = torch.sinc(offsets) * torch.sinc(offsets / LOBES)
    weights = weights.where(weights.abs() > 1e-9, 0)
    weights = weights / weights.sum(dim=2, keepdim=True)
    used, turns = weights != 0, taps.div(length, rounding_mode='floor')
    first = turns.where(used, math.inf).amin(dim=2)
    known = first == turns.where(used, -math.inf).amax(dim=2)
    if not wrap:
        known &= first == 0
    matrices = torch.zeros([len(distances), length, length], dtype=torch.float64)
    return matrices.scatter_add(2, taps.remainder(length).long(), weights), known


def shifted(pictures: torch.Tensor, shifts: torch.Tensor, wrap: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [N, C, H, W] moved by (dy, dx), `shifts` [N, 2] in pixels: float64, and where they are known.

    What is known is bool [N, H, W], as `shifting` says of each axis.
    """
    (rows, known_rows), (cols, known_cols) = (
        shifting(shifts[:, axis].cpu(), pictures.shape[2 + axis], wrap) for axis in (0, 1))
    rows, cols = rows.to(pictures.device), cols.to(pictures.device)     # float64: TF32 would end at 66 dB
    moved = rows[:, None] @ pictures.double() @ cols[:, None].transpose(2, 3)
    return moved, (known_rows[:, :, None] & known_cols[:, None]).to(pictures.device)


def squared_errors(moved: torch.Tensor, still: torch.Tensor, shifts: torch.Tensor,
                   wrap: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """How far pictures `moved` [N, C, H, W] are from `still` ones shifted by (dy, dx), `shifts` [N, 2].

    Returns the sum of squared errors of each, float64 [N], and how many numbers it is of, float64 [N].
    """
    expected, known = shifted(still, shifts, wrap)
    errors = (moved.double() - expected).square().sum(dim=1) * known
    return errors.sum(dim=(1, 2)), known.sum(dim=(1, 2)).double() * still.shape[1]


@torch.no_grad()
def draw_pair(G: torch.nn.Module, ws: torch.Tensor, shifts: torch.Tensor, place: str,
              ) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [N, C, R, R] of ws [N, num_ws, w_dim], as they are and on shifted canvases, in one of
    PLACES.
    """
    wrap, border, noise_mode = PLACES[place].values()
    identity = Canvas.identity(G.img_resolution)
    canvases = [identity.shifted(dy, dx, wrap) for dy, dx in shifts.tolist()]
    still, moved = (render(G, ws, canvas, noise_mode, border=border)
                    for canvas in (identity.wrapped(wrap), canvases))
    return still, moved


@torch.no_grad()
def translation_errors(G: torch.nn.Module, seeds: Sequence[int], *, place: str, whole: bool) -> torch.Tensor:
    """(sum of squared errors, count) of each seed's picture and a shift of its own, float64 [N, 2].

    place: of PLACES. All are drawn at once. Conditional networks get class seed mod c_dim.
    """
    shifts = draw_shifts(seeds, G.img_resolution, whole)
    still, moved = draw_pair(G, seed_ws(G, seeds), shifts, place)
    return torch.stack(squared_errors(moved, still, shifts, PLACES[place]['wrap']), dim=1)


def decibels(errors: torch.Tensor) -> float:
    """EQ-T of `translation_errors` [N, 2], all numbers alike; at most CEILING, NaN where there are none."""
    total, count = errors.sum(dim=0).tolist()
    if count == 0:
        return math.nan
    return min(CEILING, -10 * math.log10(max(total / count, 1e-30) / PEAK ** 2))
