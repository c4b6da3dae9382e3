"""What moves in a film: latents along a closed smooth curve, and the view along a path over the world."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from stylegan2_mspe.pe import Axis, Canvas, Piece
from stylegan2_mspe.rendering import axes_that_wrap


class Stop(NamedTuple):
    """Where a path passes: content moved by `shift` (dy, dx), a box of `box` (height, width) in sight.

    In world pixels, the box about the trained picture; None for the trained size.
    """
    shift: tuple[float, float]
    box: tuple[int, int] | None = None


def looped_latents(ws: torch.Tensor, frames: int) -> torch.Tensor:
    """ws [frames, num_ws, w_dim] on the periodic cubic spline through ws [K, num_ws, w_dim].

    Keyframe k is frame k · frames / K; the frame after the last would be the first again, so that the film
    can be repeated without a jump.
    """
    from scipy.interpolate import CubicSpline

    points = ws.detach().cpu().double().numpy()
    if len(points) == 1:
        return ws.expand(frames, -1, -1)
    curve = CubicSpline(range(len(points) + 1), np.concatenate([points, points[:1]]), bc_type='periodic')
    return torch.from_numpy(curve(np.arange(frames) * len(points) / frames)).to(ws)


def travelled_canvases(stops: Sequence[Stop], frames: int, resolution: int,
                       size: tuple[int, int] | None = None, wrap: bool | None = None,
                       border: str = 'zero') -> list[Canvas]:
    """A canvas per frame of a straight, even way through the stops: the first frame at the first, the last at
    the last.

    `size` (height, width) in pixels, by default the first stop's box. A frame at a stop is the canvas that
    `rendering.request_canvas` makes of it, except that an axis wraps in all frames or in none: by default
    where all boxes have the trained length and any stop moves content, or there is no border.
    """
    boxes = [stop.box or (resolution, resolution) for stop in stops]
    size = size or boxes[0]
    moved = any(any(stop.shift) for stop in stops)
    each = [axes_that_wrap(resolution, box, moved, border) for box in boxes]
    wraps = [all(axis) if wrap is None else wrap for axis in zip(*each)]
    places = np.arange(frames) * (len(stops) - 1) / max(frames - 1, 1)
    axes = []
    for axis in (0, 1):
        starts = [-int((box[axis] - resolution) / 2) - stop.shift[axis] for box, stop in zip(boxes, stops)]
        start = np.interp(places, range(len(stops)), starts)
        length = np.interp(places, range(len(stops)), [box[axis] for box in boxes])
        period = float(resolution) if wraps[axis] else None
        axes.append([Axis(size[axis], (Piece(0.0, float(at), float(extent / size[axis])),), period)
                     for at, extent in zip(start, length)])
    return [Canvas(rows, cols, resolution) for rows, cols in zip(*axes)]
