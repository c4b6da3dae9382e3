"""From what a person asks to see to a canvas: how much of the world, moved, repeated, zoomed into, how large.

Positions are in pixels of the trained picture, counted from its top left corner.
"""

from typing import NamedTuple

from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.pe.canvas import MAX_LENGTH
from stylegan2_mspe.rendering import axes_that_wrap, request_canvas

MAX_PIXELS = 1 << 36            # of one picture: six hours' work for two cores


class Repeat(NamedTuple):
    """What the world shows in [start, stop), `times` times in a row (Fig. 7); mirror turns every second."""
    start: int
    stop: int
    times: int
    mirror: bool = False

    def __str__(self):
        return f'{self.start}:{self.stop}x{self.times}'


def frame(resolution: int, box: tuple[int, int] | None = None, shift: tuple[float, float] = (0, 0),
          repeats: tuple[Repeat | None, Repeat | None] = (None, None),
          zoom: tuple[float, float, float, float] | None = None,
          size: tuple[int, int] | None = None, wrap: bool | None = None, border: str = 'zero') -> Canvas:
    """The canvas of a picture; each step is done to what the one before has left.

    box (height, width) of the world about the trained picture, content shifted and wrapped, and the border it
    will be drawn with, as in `rendering.request_canvas`; repeats of rows and of columns, which move content,
    too; zoom = (top, left, height, width), the part of that to show; size (height, width) in output pixels,
    by default the zoom enlarged until it fills the height or the width, else one to one. Raises ValueError in
    the words of generate's options.
    """
    _check_size('--canvas', box)
    _check_size('--size', size)
    wraps = axes_that_wrap(resolution, box, any(shift) or any(repeats), border) if wrap is None else wrap
    canvas = request_canvas(resolution, box, shift, wrap=wraps) or Canvas.identity(resolution)
    corner = [int((length - resolution) / 2) for length in box or (resolution, resolution)]
    for axis, repeat in zip('yx', repeats):
        canvas = _repeated(canvas, axis, repeat)
    if zoom is not None:
        canvas = _zoomed(canvas, corner, zoom, size)
    elif size is not None:
        canvas = canvas.resized(*size)
    _check_size('the picture', (canvas.height, canvas.width))
    return canvas


def _check_size(name: str, size: tuple[int, int] | None) -> None:
    if size is not None and (size[0] * size[1] > MAX_PIXELS or max(size) > MAX_LENGTH):
        raise ValueError(f'{name}={size[0]}x{size[1]}: expected at most {MAX_LENGTH} pixels along a side '
                         f'and {MAX_PIXELS} in all')


def _repeated(canvas: Canvas, axis: str, repeat: Repeat | None) -> Canvas:
    if repeat is None:
        return canvas
    try:
        stretch = {'rows' if axis == 'y' else 'cols': repeat[:3]}
        return canvas.repeated_world(**stretch, mirror=repeat.mirror)
    except ValueError as error:
        raise ValueError(f'--{"mirror" if repeat.mirror else "repeat"}-{axis}={repeat}: {error}') from error


def _zoomed(canvas: Canvas, corner: list[int], zoom: tuple, size: tuple[int, int] | None) -> Canvas:
    extents = zoom[2:]
    starts = [start + before for start, before in zip(zoom, corner)]
    lengths = canvas.height, canvas.width
    if not all(0 <= start < start + extent <= length
               for start, extent, length in zip(starts, extents, lengths)):
        box = f'{extents[0]:g}x{extents[1]:g}'
        inside = ', '.join(f'{-before}:{length - before}' for before, length in zip(corner, lengths))
        raise ValueError(f'--zoom={zoom[0]:g},{zoom[1]:g},{box}: found a box that is not in the picture, '
                         f'expected one inside rows and columns {inside}')
    scale = min(length / extent for length, extent in zip(lengths, extents))
    size = size or tuple(max(1, round(extent * scale)) for extent in extents)
    return canvas.magnified((*starts, *extents), *size)
