"""Where a network is evaluated: axes and canvases in world pixels, and the coordinates they give a level.

A world pixel is one pixel of the image the network was trained on; (0, 0) is the top-left corner of that
image, y points down, x right. Everything the paper does at inference (shift, roll, other sizes,
extrapolation, repetition: Sec. 3.4, 4.2, 4.3) is a choice of world positions, and a Canvas is that choice.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

MAX_LENGTH = 2 ** 27            # output pixels along one axis; longer ones are typing errors


class Piece(NamedTuple):
    """One linear stretch of an axis: output position p >= start maps to world + slope * (p - start)."""
    start: float                # where the stretch begins, in output pixels
    world: float                # its world position there, in world pixels
    slope: float                # world pixels per output pixel; negative in a mirrored stretch


@dataclasses.dataclass(frozen=True)
class Axis:
    """A piecewise-linear map from output position to world position along one dimension.

    The first piece reaches back to minus infinity and the last one on to infinity, so an axis has a value
    outside its own length too. With a period, world positions are reduced to [0, period).
    """
    length: int                                         # output pixels
    pieces: tuple[Piece, ...] = (Piece(0.0, 0.0, 1.0),)
    period: float | None = None                         # world pixels, None = does not wrap

    def __post_init__(self):
        check_length(self.length)
        if not all(math.isfinite(number) for piece in self.pieces for number in piece):
            raise ValueError('a canvas at positions that are not finite: expected finite shifts and sizes')

    def world(self, position: torch.Tensor) -> torch.Tensor:
        """World positions [...] (float64) of output positions [...]; 0 = the near edge of the first pixel."""
        position = position.to(torch.float64)
        starts = torch.tensor([piece.start for piece in self.pieces[1:]], dtype=torch.float64)
        start, world, slope = torch.tensor(self.pieces, dtype=torch.float64).unbind(1)
        which = torch.bucketize(position, starts, right=True)
        result = world[which] + slope[which] * (position - start[which])
        return result if self.period is None else result.remainder(self.period)

    def shifted(self, distance: float) -> 'Axis':
        """Content moves by `distance` world pixels towards larger positions."""
        return self._with(lambda piece: piece._replace(world=piece.world - distance))

    def wrapped(self, period: float | None) -> 'Axis':
        """The same axis with world positions reduced modulo `period` (None: not reduced)."""
        return dataclasses.replace(self, period=None if period is None else float(period))

    def resized(self, length: int) -> 'Axis':
        """The same world stretch on another number of output pixels (Sec. 4.2)."""
        check_length(length)
        scale = length / self.length
        return self._with(lambda piece: Piece(piece.start * scale, piece.world, piece.slope / scale), length)

    def extended(self, before: int, after: int) -> 'Axis':
        """Adds output pixels before and after (Sec. 4.3); negative numbers crop."""
        return self._with(lambda piece: piece._replace(start=piece.start + before),
                          self.length + before + after)

    def zoomed(self, zoom: float, centre: float | None = None) -> 'Axis':
        """Magnifies about the output position `centre` (default: the middle), keeping the length."""
        if not (zoom > 0 and math.isfinite(zoom)):
            raise ValueError(f'a zoom of {zoom}: expected a positive number')
        centre = self.length / 2 if centre is None else centre
        return self._with(lambda piece: Piece((piece.start - centre) * zoom + centre,
                                              piece.world, piece.slope / zoom))

    def magnified(self, start: float, extent: float, length: int) -> 'Axis':
        """The output stretch [start, start + extent), fractions allowed, on `length` output pixels."""
        check_length(length)
        if not 0 <= start < start + extent <= self.length:
            raise ValueError(f'a zoom into {start:g}:{start + extent:g}: expected a part of 0:{self.length}')
        scale = length / extent
        return self._with(lambda piece: Piece((piece.start - start) * scale, piece.world,
                                              piece.slope / scale), length)

    def repeated(self, start: int, stop: int, times: int, mirror: bool = False) -> 'Axis':
        """Shows the output stretch [start, stop) `times` times in a row (Fig. 7).

        `mirror` turns every second copy round. Raises ValueError where the stretch is empty, is not whole
        pixels or is not inside the axis.
        """
        if times < 1 or start != int(start) or stop != int(stop) or not 0 <= start < stop <= self.length:
            raise ValueError(f'a repeat of {start}:{stop} x {times}: '
                             f'expected whole pixels inside 0:{self.length}, at least once')
        width = stop - start
        stretch = self._cut(start, stop)
        ends = [piece.start for piece in stretch[1:]] + [width]
        turned = [Piece(width - end, piece.world + piece.slope * (end - piece.start), -piece.slope)
                  for piece, end in zip(stretch, ends)][::-1]
        pieces = [piece for piece in self.pieces if piece.start < start]
        for n in range(times):
            copy = turned if mirror and n % 2 else stretch
            pieces += [piece._replace(start=piece.start + start + n * width) for piece in copy]
        if stop < self.length:
            rest = self._cut(stop, math.inf)
            pieces += [piece._replace(start=piece.start + start + times * width) for piece in rest]
        return dataclasses.replace(self, pieces=_joined(pieces),
                                   length=self.length + (times - 1) * int(width))

    def showing(self, start: float, stop: float) -> tuple[int, int]:
        """The output stretch (start, stop) that shows the world range [start, stop), the first of several.

        Raises ValueError where none shows it in one go, or it does not begin and end between pixels.
        """
        if not start < stop:
            raise ValueError(f'a world range of {start:g}:{stop:g}: expected its end after its beginning')
        ends = [piece.start for piece in self.pieces[1:]] + [self.length]
        for piece, end in zip(self.pieces, ends):
            first, last = max(piece.start, 0), min(end, self.length)
            edges = sorted(piece.world + piece.slope * (position - piece.start) for position in (first, last))
            turns = 0 if self.period is None else math.ceil((edges[0] - start) / self.period) * self.period
            if not edges[0] <= start + turns < stop + turns <= edges[1]:
                continue
            found = sorted(piece.start + (world + turns - piece.world) / piece.slope
                           for world in (start, stop))
            if max(abs(position - round(position)) for position in found) > 1e-6:
                raise ValueError(f'a world range of {start:g}:{stop:g} at {found[0]:g}:{found[1]:g}: '
                                 'expected it to begin and end between two pixels')
            return tuple(map(round, found))
        raise ValueError(f'a world range of {start:g}:{stop:g}: expected one that the canvas shows in one go')

    def _cut(self, start: float, stop: float) -> list[Piece]:
        """The pieces of the stretch [start, stop), with positions counted from its beginning."""
        ends = [piece.start for piece in self.pieces[1:]] + [math.inf]
        firsts = [max(piece.start, start) for piece in self.pieces]
        return [Piece(first - start, piece.world + piece.slope * (first - piece.start), piece.slope)
                for piece, first, end in zip(self.pieces, firsts, ends) if first < min(end, stop)]

    def _with(self, change, length: int | None = None) -> 'Axis':
        first, *rest = (Piece(*map(float, change(piece))) for piece in self.pieces)
        # The first piece has no beginning: anchored at output position 0, equal axes compare equal.
        first = Piece(0.0, first.world - first.slope * first.start, first.slope)
        length = self.length if length is None else length
        return dataclasses.replace(self, pieces=(first, *rest), length=length)


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The same map without pieces that only go on with the one before."""
    kept = pieces[:1]
    for piece in pieces[1:]:
        last = kept[-1]
        if piece != (piece.start, last.world + last.slope * (piece.start - last.start), last.slope):
            kept.append(piece)
    return tuple(kept)


def check_length(length: int) -> None:
    """Raises ValueError unless it is a whole number of pixels that an axis can have."""
    if not 1 <= length <= MAX_LENGTH or length != int(length):
        raise ValueError(f'a canvas of {length} pixels along one axis: expected a whole number, '
                         f'1 to {MAX_LENGTH}')


class Coordinates(NamedTuple):
    """Positions of one level's cells, counted in its cells: 0, 1, 2 ... on the trained canvas (Eq. 1)."""
    y: torch.Tensor             # [H], or [N, H] where samples differ; may require gradients
    x: torch.Tensor             # [W] or [N, W]
    wraps: tuple[bool, bool] = (False, False)


@dataclasses.dataclass(frozen=True)
class Canvas:
    """What to render: an axis of rows, an axis of columns, for a network trained at `resolution` pixels.

    Immutable, hashable and independent of any network. Every method returns a new canvas:

        canvas = Canvas.identity(256).shifted(16, 0).extended(0, 0, 128, 128)   # 256 x 512, moved down by 16
    """
    rows: Axis
    cols: Axis
    resolution: int

    @classmethod
    def identity(cls, resolution: int) -> 'Canvas':
        """The canvas the network was trained on."""
        return cls(Axis(resolution), Axis(resolution), resolution)

    @property
    def height(self) -> int:
        return self.rows.length

    @property
    def width(self) -> int:
        return self.cols.length

    def shifted(self, dy: float, dx: float, wrap: bool | tuple[bool, bool] = True) -> 'Canvas':
        """Content moves down by dy and right by dx world pixels (Sec. 3.4).

        Where it wraps, the period is the trained size.
        """
        return self._map(lambda axis, distance: axis.shifted(distance), (dy, dx)).wrapped(wrap)

    def wrapped(self, wrap: bool | tuple[bool, bool] = True) -> 'Canvas':
        """World positions wrap round at the trained size, on both axes or on those named; others stay."""
        which = (wrap, wrap) if isinstance(wrap, bool) else wrap
        return self._map(lambda axis, on: axis.wrapped(self.resolution) if on else axis, which)

    def resized(self, height: int, width: int) -> 'Canvas':
        """The same part of the world on height x width output pixels (Sec. 4.2)."""
        return self._map(Axis.resized, (height, width))

    def extended(self, top: int, bottom: int, left: int, right: int) -> 'Canvas':
        """Adds output pixels beyond each border (Sec. 4.3); negative numbers crop."""
        return self._map(lambda axis, pixels: axis.extended(*pixels), ((top, bottom), (left, right)))

    def zoomed(self, zoom: float, y: float | None = None, x: float | None = None) -> 'Canvas':
        """Magnifies about the output position (y, x), by default the middle, keeping the size."""
        return self._map(lambda axis, centre: axis.zoomed(zoom, centre), (y, x))

    def magnified(self, box: tuple[float, float, float, float], height: int, width: int) -> 'Canvas':
        """The box (top, left, height, width) of output pixels on height x width new ones."""
        stretches = zip(box[:2], box[2:], (height, width))
        return self._map(lambda axis, stretch: axis.magnified(*stretch), stretches)

    def repeated(self, rows: tuple | None = None, cols: tuple | None = None,
                 mirror: bool = False) -> 'Canvas':
        """Repeats stretches given as (start, stop, times) in output pixels (Fig. 7)."""
        repeat = lambda axis, stretch: axis.repeated(*stretch, mirror) if stretch else axis
        return self._map(repeat, (rows, cols))

    def repeated_world(self, rows: tuple | None = None, cols: tuple | None = None,
                       mirror: bool = False) -> 'Canvas':
        """Repeats the stretches that show world ranges, given as (start, stop, times) in world pixels.

        Raises ValueError where a range is not in sight in one go.
        """
        found = [stretch and (*axis.showing(*stretch[:2]), stretch[2])
                 for axis, stretch in ((self.rows, rows), (self.cols, cols))]
        return self.repeated(*found, mirror=mirror)

    def cells(self, resolution: int, coarsest: int = 4) -> tuple[int, int]:
        """Cells (rows, columns) of the level trained at `resolution`.

        They cover the canvas with whole cells of the coarsest level.
        """
        pixels = self.resolution // coarsest
        return tuple(-(-length // pixels) * resolution // coarsest for length in (self.height, self.width))

    def coordinates(self, resolution: int, coarsest: int = 4,
                    spans: Sequence[tuple[int, int]] | None = None) -> Coordinates:
        """Encoding coordinates (float64) of the level trained at `resolution`.

        A cell whose centre is at world position p has the coordinate p / c - 1/2, with c = R / resolution
        world pixels to a cell. spans: (start, stop) of the rows' and of the columns' cells, which may lie
        beyond the canvas; by default all that cover it.
        """
        size = self.resolution / resolution
        spans = spans or [(0, count) for count in self.cells(resolution, coarsest)]
        vectors = []
        for axis, span in zip((self.rows, self.cols), spans):
            centres = (torch.arange(*span, dtype=torch.float64) + 0.5) * size
            vectors.append(axis.world(centres) / size - 0.5)
        return Coordinates(*vectors, (self.rows.period is not None, self.cols.period is not None))

    def _map(self, change, arguments) -> 'Canvas':
        rows, cols = (change(axis, argument) for axis, argument in zip((self.rows, self.cols), arguments))
        return dataclasses.replace(self, rows=rows, cols=cols)


@functools.lru_cache(maxsize=256)
def stacked_coordinates(canvases: tuple[Canvas, ...], resolution: int, coarsest: int = 4,
                        spans: tuple[tuple[int, int], ...] | None = None) -> Coordinates:
    """Coordinates [N, H], [N, W] of one canvas per sample, as `Canvas.coordinates`.

    Raises ValueError where the canvases differ in size or in whether they wrap: such are rendered in batches
    of their own.
    """
    each = [canvas.coordinates(resolution, coarsest, spans) for canvas in canvases]
    sizes = {(canvas.height, canvas.width, one.wraps) for canvas, one in zip(canvases, each)}
    if len(sizes) != 1:
        raise ValueError(f'one batch holds canvases of {len(sizes)} kinds (size, wrapping): '
                         'expected all alike')
    y, x = torch.stack([one.y for one in each]), torch.stack([one.x for one in each])
    return Coordinates(y, x, each[0].wraps)
