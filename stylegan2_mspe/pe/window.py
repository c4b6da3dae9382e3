"""A part of a canvas, and the cells that every level has to compute for it.

From the picture down to the coarsest level, what a layer reads around each of its outputs makes the needed
rectangle grow. Where that ends at the border of the canvas, the layer pads with zeros, as it does on the
whole canvas; where it ends inside, or the canvas has no border, its input reaches farther than its output and
it pads with nothing. So a window is that part of the whole, to rounding, wherever it begins.
"""

import dataclasses
from typing import NamedTuple

from .canvas import Canvas, Coordinates, stacked_coordinates

BORDERS = ('zero', 'plane')


class Span(NamedTuple):
    """Cells start ... stop - 1 of one level along one axis, counted from the beginning of the canvas."""
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Window:
    """The box [top, top + height) x [left, left + width) of a canvas, in output pixels.

    border: 'zero' = beyond the canvas are zeros, as in training; 'plane' = the canvas goes on for ever, so
    that no padding is seen. Raises ValueError for a box that is not inside the canvas.
    """
    canvas: Canvas | tuple[Canvas, ...]     # or one per sample, alike in size; or what answers like one
    top: int
    left: int
    height: int
    width: int
    border: str = 'zero'

    def __post_init__(self):
        canvas = self.canvases[0]
        if self.border not in BORDERS:
            raise ValueError(f'a border {self.border!r}: expected {" or ".join(BORDERS)}')
        for start, length, extent in ((self.top, self.height, canvas.height),
                                      (self.left, self.width, canvas.width)):
            if not 0 <= start < start + length <= extent:
                raise ValueError(f'a window of {self.height}x{self.width} pixels at {self.top},{self.left}: '
                                 f'expected one inside the canvas of {canvas.height}x{canvas.width}')

    @classmethod
    def whole(cls, canvas: Canvas | tuple[Canvas, ...], border: str = 'zero') -> 'Window':
        """All of a canvas, or of one per sample."""
        first = canvas if isinstance(canvas, Canvas) else canvas[0]
        return cls(canvas, 0, 0, first.height, first.width, border)

    @property
    def canvases(self) -> tuple[Canvas, ...]:
        return self.canvas if isinstance(self.canvas, tuple) else (self.canvas,)

    def patch(self, img_resolution: int) -> 'Patch':
        """The window itself, at the finest level of a network trained at img_resolution pixels.

        Raises ValueError where the canvas was made for a network of another resolution.
        """
        found = {canvas.resolution for canvas in self.canvases}
        if found != {img_resolution}:
            raise ValueError(f'a canvas of a {min(found)}-pixel world: '
                             f'expected {img_resolution}, the size the network was trained at')
        return Patch(self, img_resolution, Span(self.top, self.top + self.height),
                     Span(self.left, self.left + self.width))


@dataclasses.dataclass(frozen=True)
class Patch:
    """A rectangle of the cells of one level: what one layer computes of a window."""
    window: Window
    resolution: int
    rows: Span
    cols: Span

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    def grown(self, reach: int) -> 'Patch':
        """With the cells up to `reach` away: what a convolution reads to fill this patch."""
        spans = [Span(start - reach, stop + reach) for start, stop in (self.rows, self.cols)]
        return self._limited(self.resolution, spans)

    def coarser(self, before: int, after: int) -> 'Patch':
        """The cells of the next coarser level that a layer which doubles the size reads to fill this patch.

        Cell i is at position 2i among stuffed zeros, of which output o reads o - before ... o + after.
        """
        spans = [Span(-((before - start) // 2), (stop - 1 + after) // 2 + 1)
                 for start, stop in (self.rows, self.cols)]
        return self._limited(self.resolution // 2, spans)

    def padding(self, source: 'Patch', reach: int) -> list[int]:
        """[x0, x1, y0, y1] of zeros (negative: crops) with which a layer makes this patch from `source`.

        reach: the padding with which it keeps the size, or doubles it.
        """
        up = self.resolution // source.resolution
        return [reach - distance for own, other in ((self.cols, source.cols), (self.rows, source.rows))
                for distance in (own.start - up * other.start, up * other.stop - own.stop)]

    def coordinates(self) -> Coordinates:
        """Encoding coordinates (float64) of these cells: [H] and [W], or [N, ...] of a canvas per sample."""
        spans = (self.rows, self.cols)
        if isinstance(self.window.canvas, tuple):
            return stacked_coordinates(self.window.canvas, self.resolution, spans=spans)
        return self.window.canvas.coordinates(self.resolution, spans=spans)

    def _limited(self, resolution: int, spans: list[Span]) -> 'Patch':
        if self.window.border == 'zero':
            cells = self.window.canvases[0].cells(resolution)
            spans = [Span(max(start, 0), min(stop, count)) for (start, stop), count in zip(spans, cells)]
        return Patch(self.window, resolution, *spans)
