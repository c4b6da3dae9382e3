"""The hook: evaluates an encoding where a canvas says, and adds it to a feature map (Eq. 3).

The GAN's synthesis blocks and the U-Net's residual blocks call the same two functions,
`encode` and then `inject`.
"""

import functools
from collections.abc import Mapping, Sequence

import torch

from .anchored import anchored
from .canvas import Canvas, Coordinates, stacked_coordinates
from .encodings import Separable
from .registry import get_encoding
from .window import Patch, Window

# What networks take as a canvas: nothing (the trained one), a canvas, one canvas per sample, a window of
# either, or for every level resolution its coordinate vectors as tensors, which may require gradients. A
# network hands a window to its levels as patches.
Place = Canvas | Sequence[Canvas] | Window | Patch | Mapping[int, tuple[torch.Tensor, ...]] | None


def bordered(place: Place, border: str, img_resolution: int) -> Place:
    """The canvas, or one per sample, with that border; a window has its own. None is the trained picture,
    which on a plane goes round: beyond it is its other side.

    Raises ValueError for an unknown border, and for coordinates, which do not say how they go on.
    """
    if isinstance(place, Window):
        return place
    if isinstance(place, Mapping):
        raise ValueError(f'coordinates of every level on a border {border!r}: expected a canvas or a window')
    canvases = _canvases(place, img_resolution)
    if place is None and border == 'plane':
        canvases = (canvases[0].wrapped(True),)
    return Window.whole(canvases[0] if len(canvases) == 1 else canvases, border)


def coordinates(place: Place, resolution: int, img_resolution: int, coarsest: int = 4) -> Coordinates:
    """Level coordinates of the level trained at `resolution`, for a network trained at img_resolution pixels.

    coarsest: resolution of the network's coarsest level, whose cells a canvas is rounded up to. Raises
    ValueError where the canvas was made for a network of another resolution.
    """
    if isinstance(place, Mapping):
        return Coordinates(*place[resolution])
    if isinstance(place, Patch):
        return place.coordinates()
    canvases = _canvases(place, img_resolution)
    if any(canvas.resolution != img_resolution for canvas in canvases):
        raise ValueError(f'a canvas of a {canvases[0].resolution}-pixel world: '
                         f'expected {img_resolution}, the size the network was trained at')
    if len(canvases) == 1:
        return canvases[0].coordinates(resolution, coarsest)
    return stacked_coordinates(canvases, resolution, coarsest)


def cells(place: Place, resolution: int, img_resolution: int, coarsest: int = 4) -> tuple[int, int]:
    """Height and width of the feature map of the level trained at `resolution`."""
    if isinstance(place, Mapping):
        y, x, *_ = place[resolution]
        return y.shape[-1], x.shape[-1]
    return _canvases(place, img_resolution)[0].cells(resolution, coarsest)


def output_size(place: Place, img_resolution: int) -> tuple[int, int]:
    """Height and width of the picture, to which the finest level is cropped at the bottom and right."""
    if isinstance(place, Mapping):
        return cells(place, img_resolution, img_resolution)
    if isinstance(place, Window):
        return place.height, place.width
    canvas = _canvases(place, img_resolution)[0]
    return canvas.height, canvas.width


def encode(place: Place, name: str, channels: int, resolution: int, img_resolution: int, options: dict,
           dtype: torch.dtype, device: torch.device, coarsest: int = 4) -> Separable | torch.Tensor:
    """The encoding `name` at the level trained at `resolution`: Separable, or dense [N or 1, C, H, W].

    Evaluated in float64 and rounded once to `dtype`; kept for the next call unless the place is tensors.
    """
    if _of_tensors(place):
        where = coordinates(place, resolution, img_resolution, coarsest)
        return _cast(get_encoding(name)(where, channels, resolution, **options), dtype, device)
    if place is not None and not isinstance(place, Patch):      # None needs no canvas to be looked up
        place = _canvases(place, img_resolution)
    options = tuple(sorted(options.items()))
    return _encode_once(place, name, channels, resolution, img_resolution, options, dtype, device,
                        coarsest)


def check_place(place: Place, count: int) -> None:
    """Raises ValueError where there are several canvases, but not one for each of `count` samples."""
    place = place.canvas if isinstance(place, Window) else place
    if isinstance(place, Sequence) and len(place) not in (1, count):
        raise ValueError(f'{len(place)} canvases for {count} samples: expected one, or one each')


def noise(place: Place, seed: int | torch.Tensor, layer: int, shape: tuple[int, int], resolution: int,
          device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Noise that belongs to the world [N or 1, 1, H, W], of `layer` at the level trained at `resolution`.

    seed: a whole number, or one for each sample, int64 [N]. shape: (H, W), the cells of a place of None.
    """
    if place is None:
        y, x, wraps = (*(torch.arange(length, dtype=torch.float64) for length in shape), (False, False))
    else:
        of_levels = isinstance(place, Mapping | Patch)
        trained = None if of_levels else _canvases(place, 0)[0].resolution
        y, x, wraps = coordinates(place, resolution, trained)
    periods = tuple(resolution if wrap else None for wrap in wraps)
    return anchored(seed, layer, y, x, periods, dtype, device)


def check_options(name: str, channels: int, options: dict) -> None:
    """Raises ValueError for an encoding that is not registered, or takes no such channels or options."""
    where = Canvas.identity(4).coordinates(4)
    try:
        hash(tuple(options.values()))
        get_encoding(name)(where, channels, 4, **options)
    except TypeError as error:
        raise ValueError(f'options {options} of the positional encoding {name!r}: {error}') from None


def inject(x: torch.Tensor, encoding: Separable | torch.Tensor,
           gamma: torch.Tensor | None = None) -> torch.Tensor:
    """x + gamma * encoding (Eq. 3); x [N, C, H, W], gamma [] (None = 1)."""
    dense = (encoding.dense() if isinstance(encoding, Separable) else encoding).to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):  # two layouts in one sum take far longer
        dense = dense.contiguous(memory_format=torch.channels_last)
    return x + dense if gamma is None else torch.addcmul(x, dense, gamma.to(x.dtype))


@functools.lru_cache(maxsize=64)
def _encode_once(place, name, channels, resolution, img_resolution, options, dtype, device,
                 coarsest):
    # Outside inference mode, because a training step may use the kept tensors later.
    with torch.inference_mode(False), torch.no_grad():
        where = coordinates(place, resolution, img_resolution, coarsest)
        return _cast(get_encoding(name)(where, channels, resolution, **dict(options)), dtype, device)


def _of_tensors(place: Place) -> bool:
    """Whether its coordinates may require gradients, or change: all but canvases."""
    return isinstance(place, Mapping) or (
        isinstance(place, Patch) and not isinstance(place.window.canvas, Canvas | tuple))


def _cast(encoding: Separable | torch.Tensor, dtype: torch.dtype,
          device: torch.device) -> Separable | torch.Tensor:
    if isinstance(encoding, Separable):
        return encoding._replace(rows=encoding.rows.to(device, dtype), cols=encoding.cols.to(device, dtype))
    return encoding.to(device, dtype)


def _canvases(place: Place, img_resolution: int) -> tuple[Canvas, ...]:
    if place is None:
        return (Canvas.identity(img_resolution),)
    return (place,) if isinstance(place, Canvas) else tuple(place)
