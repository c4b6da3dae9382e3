"""White noise that belongs to a seed, a time and a place of the world: the same in every batch and on every
canvas, so that a picture moves with its canvas.
"""

from collections.abc import Callable, Sequence

import torch

from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.pe.anchored import anchored


def noise_of(seeds: Sequence[int], channels: int, canvas: Canvas | Sequence[Canvas], coarsest: int,
             device: torch.device | str = 'cpu') -> Callable[[int], torch.Tensor]:
    """noise(t) -> [N, channels, H, W] of the seeds at time t, on the canvas's whole cells of `coarsest`.

    canvas: one, or one per seed.
    """
    canvases = [canvas] if isinstance(canvas, Canvas) else list(canvas)
    assert len(canvases) in (1, len(seeds))
    where = [each.coordinates(each.resolution, coarsest) for each in canvases]
    y = torch.stack([_cells(each.y) for each in where])
    x = torch.stack([_cells(each.x) for each in where])
    if len(canvases) == 1:
        y, x = y[0], x[0]
    seeds = torch.tensor(list(seeds), dtype=torch.int64, device=device)
    return lambda t: torch.cat([anchored(seeds, t * channels + channel, y, x, device=device)
                                for channel in range(channels)], dim=1)


def _cells(vector: torch.Tensor) -> torch.Tensor:
    """The whole world cell of each position [K]; where several would share one, the pixels are counted.

    Noise that is the same at several pixels would not be white.
    """
    cells = (vector + 0.5).floor()
    return cells if len(cells.unique()) == len(cells) else torch.arange(len(cells), dtype=torch.float64)
