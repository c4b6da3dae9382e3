"""Draws a picture of any size into a PNG file, a band of tiles at a time, in the memory of a band.

    G = legacy.load_network_pkl('network.pkl')['G_ema']
    canvas = Canvas.identity(G.img_resolution).extended(0, 0, 8000, 8000)
    large_picture.draw('wide.png', G, rendering.seed_ws(G, [0]), canvas)

An interrupted picture is gone on with (`resume`), to the same bytes on the same machine.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from stylegan2_mspe import images, streaming
from stylegan2_mspe.growing_png import finished_recipe, growing_png, is_finished, unfinished_recipe
from stylegan2_mspe.pe import Canvas, Window

BAND_COPIES = 4                 # of a band's bytes: as it is filled, in order, as differences, packed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """How a canvas is drawn; the words of `streaming.tiles`."""
    noise_mode: str = 'const'
    noise_seed: int = 0
    border: str | None = None               # None: as the network was trained
    window: streaming.Box | None = None     # (top, left, height, width), the part of the canvas to draw


def draw(path: str | os.PathLike, G: torch.nn.Module, ws: torch.Tensor, canvas: Canvas, look: Look = Look(),
         tile: int | None = None, resume: bool = False,
         progress: Callable[[Iterable, int], Iterable] = lambda tiles, total: tiles) -> bool:
    """Draws ws [1, num_ws, w_dim] on the canvas, or on the window of it, as PNG of mode L, RGB or RGBA.

    tile: side in pixels; None = as of `streaming.tiles`. resume: goes on with the picture begun at `path`,
    and leaves one that is complete as it is, which returns False. progress passes through the tiles, given
    how many are left. Raises ValueError for fresh noise, a window outside the canvas, a tile smaller than the
    halo, and where another picture is begun; OSError where the disk is full, and the rows so far are kept.
    """
    tile = streaming.checked_tile(G, tile)
    top, left, height, width = checked_box(canvas, look)
    shape = (height, width, G.img_channels)
    recipe = describe(G, ws, canvas, look, tile)
    if resume and is_finished(path, shape, recipe):
        return False
    with growing_png(path, shape, recipe, resume) as png:
        rest = (top + png.rows, left, height - png.rows, width)
        if png.rows < height:
            tiles = streaming.tiles(G, ws, canvas, tile, look.noise_mode, look.noise_seed, look.border, rest)
            for band in bands(progress(tiles, streaming.count(G, canvas, tile, rest)), width):
                png.add(band)
    return True


def checked_box(canvas: Canvas, look: Look) -> streaming.Box:
    """(top, left, height, width) of what is drawn. Raises ValueError for what can't be drawn in tiles."""
    if look.noise_mode == 'random':
        raise ValueError('--noise-mode=random: expected const, anchored or none for a picture drawn in '
                         'tiles, which all have to see the same noise')
    box = look.window or (0, 0, canvas.height, canvas.width)
    try:
        Window(canvas, *box)
    except ValueError as error:
        raise ValueError(f'--window: {error}') from error
    return box


def bands(tiles: Iterable[tuple[int, int, torch.Tensor]], width: int) -> Iterator[np.ndarray]:
    """Puts tiles (top, left, pixels [C, h, w]) of a row side by side: 8-bit bands [C, h, width]."""
    band = None
    for _, left, pixels in tiles:
        if left == 0:
            band = np.empty([*pixels.shape[:2], width], np.uint8)
        stop = left + pixels.shape[2]
        band[:, :, left:stop] = images.to_uint8(pixels)
        if stop == width:
            yield band


def describe(G: torch.nn.Module, ws: torch.Tensor, canvas: Canvas, look: Look, tile: int) -> dict:
    """What a picture shows, in plain values, written into its file; the network and latents as digests."""
    weight = next(G.parameters())
    look = dataclasses.replace(look, border=look.border or G.synthesis.border)
    return dict(network=_digest(G.synthesis.state_dict().values()), latent=_digest([ws]), canvas=repr(canvas),
                precision=str(weight.dtype), device=weight.device.type, tile=tile, **dataclasses.asdict(look))


def recorded_tile(path: str | os.PathLike) -> int | None:
    """The tile of the picture that is begun, or complete, at `path`; None where none is."""
    return (unfinished_recipe(path) or finished_recipe(path) or {}).get('tile')


def tile_within(G: torch.nn.Module, width: int, count: int) -> int:
    """Side of a tile with which a picture of that width is drawn in about `count` bytes.

    The default one where it fits, for larger ones are no faster. Raises ValueError where none fits.
    """
    fits = streaming.tile_that_fits(G, count, BAND_COPIES * width * G.img_channels)
    return min(fits, streaming.checked_tile(G, None))


def _digest(tensors: Iterable[torch.Tensor]) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.detach().cpu().contiguous().view(-1).numpy())
    return total.hexdigest()[:16]
