"""Where a target is seen, as tensors: shift and zoom with gradients, and the coordinates that they give.

Output position p shows world position p / zoom - shift: content moves by `shift` world pixels and is then
magnified about the top-left corner, as Canvas.identity(R).zoomed(zoom, 0, 0).shifted(*shift) does. Everything
is smooth in both; where an axis wraps, world positions are reduced by `remainder`, whose slope is 1.
"""

import dataclasses
import functools

import torch

from stylegan2_mspe.pe import Canvas, Coordinates


@dataclasses.dataclass(frozen=True)
class Place:
    """Shifts and zooms of N samples on a canvas of one size, for a network of `resolution` pixels."""
    shift: torch.Tensor                         # [N, 2] float64: down, right, in world pixels
    zoom: torch.Tensor                          # [N, 1] float64: output pixels per world pixel
    size: tuple[int, int]                       # (height, width) in output pixels
    resolution: int
    wraps: tuple[bool, bool] = (True, True)
    origin: tuple[float, float] = (0.0, 0.0)    # output position (y, x) of the trained corner before both

    @classmethod
    def of(cls, resolution: int, size: tuple[int, int], shift, zoom, wraps: tuple[bool, bool],
           device: torch.device | str = 'cpu') -> 'Place':
        """The place of shifts [N, 2] and zooms [N]; a larger canvas shares what it adds between both sides.
        """
        shift = torch.as_tensor(shift, dtype=torch.float64, device=device).reshape(-1, 2)
        zoom = torch.as_tensor(zoom, dtype=torch.float64, device=device).reshape(-1, 1)
        origin = tuple(float(int((length - resolution) / 2)) for length in size)
        return cls(shift, zoom, tuple(size), resolution, tuple(wraps), origin)

    def with_values(self, shift: torch.Tensor, zoom: torch.Tensor) -> 'Place':
        return dataclasses.replace(self, shift=shift, zoom=zoom)

    def __getitem__(self, which) -> 'Place':
        """The place of some of the samples."""
        return self.with_values(self.shift[which], self.zoom[which])

    def levels(self, coarsest: int = 4) -> dict[int, tuple[torch.Tensor, torch.Tensor, tuple[bool, bool]]]:
        """Resolution -> (y [N, H], x [N, W], wraps), what networks take in place of a canvas.

        They cover the canvas with whole cells of the coarsest level: a picture has to be cropped to `size`.
        """
        result, resolution = {}, coarsest
        while resolution <= self.resolution:
            result[resolution] = tuple(self.coordinates(resolution, coarsest))
            resolution *= 2
        return result

    @property
    def height(self) -> int:
        return self.size[0]

    @property
    def width(self) -> int:
        return self.size[1]

    def cells(self, resolution: int, coarsest: int = 4) -> tuple[int, int]:
        """Height and width of the level trained at `resolution`."""
        pixels = self.resolution // coarsest
        return tuple(-(-length // pixels) * resolution // coarsest for length in self.size)

    def coordinates(self, resolution: int, coarsest: int = 4, spans=None) -> Coordinates:
        """As of a canvas, but with gradients: y [N, H], x [N, W] of all cells, or of spans (rows, columns).

        With this and its size a place can be drawn as a `pe.Window`, without a border.
        """
        spans = spans or [None, None]
        y, x = (self.vector(axis, resolution, coarsest, span) for axis, span in enumerate(spans))
        return Coordinates(y, x, self.wraps)

    def vector(self, axis: int, resolution: int, coarsest: int = 4, span=None) -> torch.Tensor:
        """Encoding coordinates [N, cells] of the level trained at `resolution`, along one axis (0: rows).

        span: (first, end) of the cells, also beyond the canvas; None: its own.
        """
        cell = self.resolution / resolution
        first, end = span or (0, self.cells(resolution, coarsest)[axis])
        centres = torch.arange(first, end, dtype=torch.float64, device=self.shift.device)
        centres = (centres + 0.5) * cell - self.origin[axis]
        world = centres / self.zoom - self.shift[:, axis:axis + 1]
        if self.wraps[axis]:
            world = world.remainder(self.resolution)
        return world / cell - 0.5

    def canvases(self) -> list[Canvas]:
        """The same places as canvases, one a sample."""
        borders = []
        for length, origin in zip(self.size, self.origin):
            borders += [int(origin), length - self.resolution - int(origin)]
        canvas = Canvas.identity(self.resolution).extended(*borders)
        return [canvas.zoomed(zoom, *self.origin).shifted(dy, dx, wrap=self.wraps)
                for (dy, dx), (zoom,) in zip(*self._numbers)]

    @functools.cached_property
    def _numbers(self) -> tuple[list, list]:
        """Shifts and zooms, for which a GPU is waited once, and not at every step at a place that stays."""
        return self.shift.tolist(), self.zoom.tolist()

    def canvas(self) -> Canvas | list[Canvas] | None:
        """The same for a network: one canvas where all are alike, so that their encodings are shared, and
        None, which costs least, for the trained one.
        """
        first, *others = canvases = self.canvases()
        if any(other != first for other in others):
            return canvases
        return None if first == Canvas.identity(self.resolution).wrapped(self.wraps) else first


def check_in_sight(place: Place) -> None:
    """Raises ValueError where a canvas that does not wrap shows nothing of the trained picture."""
    for sample in range(len(place.shift)):
        one = place[sample:sample + 1]
        for axis, name in enumerate(('down', 'right')):
            vector = one.vector(axis, one.resolution)
            if not place.wraps[axis] and (vector.max() < 0 or vector.min() > place.resolution - 1):
                raise ValueError(f'--shift: found {one.shift[0, axis].item():g} {name}, where nothing of the '
                                 f'trained picture is in sight; expected less than {place.size[axis]}, or '
                                 '--wrap')
