"""Renders a canvas, or a window of one, tile by tile: any size, in the memory of a tile.

    for top, left, pixels in streaming.tiles(G, ws, canvas):        # row by row of tiles
        ...

A tile is a window of the canvas (`pe.Window`): every level computes what the tile needs of it and nothing is
kept between tiles, so the assembled tiles are the whole picture to rounding, however it is cut.
"""

from collections.abc import Iterator

import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.free_memory import in_gigabytes
from stylegan2_mspe.pe import Canvas, Window

TILES = {'cpu': 1024, 'cuda': 512}      # pixels; on a CPU as fast as a whole picture, of 512 a tenth slower
LARGEST_TILE = 4096

Box = tuple[int, int, int, int]         # top, left, height, width in output pixels


def tiles(G: torch.nn.Module, ws: torch.Tensor, canvas: Canvas | None = None, tile: int | None = None,
          noise_mode: str = 'const', noise_seed: int = 0, border: str | None = None,
          window: Box | None = None) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Yields (top, left, pixels [C, h, w]), about [-1, 1], row by row of tiles and from left to right.

    ws [1, num_ws, w_dim]. canvas: by default the trained one. tile: side in pixels, by default 1024 (on CUDA
    512), or the network's halo if that is more. noise_seed: of noise_mode 'anchored'. border: 'zero', padding
    beyond the canvas, 'plane', a picture without a border, or None, as the network was trained. window: (top,
    left, height, width), the part of the canvas to draw; top and left of the tiles are counted from its
    corner. Raises ValueError for a window that is not inside the canvas, a tile smaller than the halo and
    fresh noise in several tiles, and MemoryError.
    """
    if len(ws) != 1:
        raise ValueError(f'found the latents of {len(ws)} pictures, expected one: tiles are of a single one')
    canvas, (top, left, height, width) = _request(G, canvas, window, border)
    tile, border = checked_tile(G, tile), border or G.synthesis.border
    windows = [(y, x, Window(canvas, top + y, left + x, min(tile, height - y), min(tile, width - x), border))
               for y in range(0, height, tile) for x in range(0, width, tile)]
    if noise_mode == 'random' and len(windows) > 1:
        raise ValueError(f'fresh noise in {len(windows)} tiles, each of which would see its own: expected '
                         'the noise mode const, anchored or none')
    return ((y, x, rendering.render(G, ws, part, noise_mode, noise_seed)[0]) for y, x, part in windows)


def render(G: torch.nn.Module, ws: torch.Tensor, canvas: Canvas | None = None, tile: int | None = None,
           noise_mode: str = 'const', noise_seed: int = 0, border: str | None = None,
           window: Box | None = None) -> torch.Tensor:
    """The picture [C, H, W] on the CPU, about [-1, 1], assembled from its tiles; arguments as of `tiles`."""
    canvas, box = _request(G, canvas, window, border)
    picture = torch.empty([G.img_channels, *box[2:]], dtype=next(G.parameters()).dtype)
    for top, left, pixels in tiles(G, ws, canvas, tile, noise_mode, noise_seed, border, window):
        picture[:, top:top + pixels.shape[1], left:left + pixels.shape[2]] = pixels
    return picture


def count(G: torch.nn.Module, canvas: Canvas | None = None, tile: int | None = None,
          window: Box | None = None) -> int:
    """How many tiles there are; arguments as of `tiles`."""
    (_, _, height, width), tile = _request(G, canvas, window)[1], checked_tile(G, tile)
    return -(-height // tile) * -(-width // tile)


def halo(G: torch.nn.Module) -> int:
    """How far beyond a border the coarsest level has to be computed, in pixels: the trained size."""
    coarsest = G.synthesis.block_resolutions[0]
    patch = _patches(G, G.img_resolution // coarsest)[coarsest]
    return -patch.rows.start * G.img_resolution // coarsest


def checked_tile(G: torch.nn.Module, tile: int | None) -> int:
    """The tile's side in pixels, where it is None the default one. Raises ValueError for one too small."""
    smallest = halo(G)
    if tile is not None and tile < smallest:
        raise ValueError(f'a tile of {tile} pixels: expected at least {smallest}, as far as this network '
                         'computes beyond a border of a tile')
    if tile is None:
        return max(TILES.get(next(G.parameters()).device.type, TILES['cuda']), smallest)
    return tile


def tile_that_fits(G: torch.nn.Module, count: int, row_bytes: int = 0) -> int:
    """Side of the largest tile (of whole coarsest cells) that is rendered in about `count` bytes.

    row_bytes: what a row of pixels of all tiles side by side takes besides. Raises ValueError where even the
    smallest one takes more.
    """
    cell, tile = G.img_resolution // G.synthesis.block_resolutions[0], halo(G)
    needed = lambda tile: tile_bytes(G, tile) + tile * row_bytes
    if needed(tile) > count:
        raise ValueError(f'{in_gigabytes(count)} of memory: expected at least '
                         f'{in_gigabytes(needed(tile))} for a tile of {tile} pixels')
    while tile + cell <= max(LARGEST_TILE, halo(G)) and needed(tile + cell) <= count:
        tile += cell
    return tile


def tile_bytes(G: torch.nn.Module, tile: int) -> int:
    """About how much memory rendering a tile takes at its peak, in bytes."""
    patches = _patches(G, tile).values()
    return max(rendering.level_bytes(G, patch.resolution, patch.shape[0] * patch.shape[1])
               for patch in patches)


def _patches(G: torch.nn.Module, tile: int) -> dict:
    """What each level's second convolution reads for a tile, the most it computes, by resolution."""
    canvas = Canvas.identity(G.img_resolution).resized(tile, tile)
    places = G.synthesis.places(Window.whole(canvas, 'plane'))
    return {resolution: getattr(G.synthesis, f'b{resolution}').sources(place)[0]
            for resolution, place in places.items()}


def _request(G: torch.nn.Module, canvas: Canvas | None, window: Box | None,
             border: str | None = None) -> tuple[Canvas, Box]:
    canvas = canvas or rendering.trained_canvas(G, border)
    window = window or (0, 0, canvas.height, canvas.width)
    Window(canvas, *window)     # raises where it is not inside
    return canvas, window
