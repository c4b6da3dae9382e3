"""Fig. 6 and D: one network at several sizes, though it was trained at one (Sec. 4.2).

The same part of the world on more pixels: is each digit still what it is at the trained size? It is looked
for in its part of the picture, reduced to the trained size. D asks for more sizes, other aspect ratios among
them, and shows more latents; the supplement's own choice of sizes is not known here.
"""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe.experiments import kept
from stylegan2_mspe.experiments.claims import Claim
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.experiments.views import Box, View
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.quality import Quality
from stylegan2_mspe.rendering import trained_canvas

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-resize', 'mspe-plus')
SCALES = ((1.5, 1.5), (2, 2))           # of height and width: 384 and 512 pixels of a network of 256
MORE = ((0.75, 0.75), (1.25, 1.25), (1.75, 1.75), (1, 1.5), (1.5, 1), (1, 2), (2, 1))
SHOWN, SHOWN_MORE = (0, 1, 2), tuple(range(6))      # seeds in the pictures

Scales = Sequence[tuple[float, float]]


def resized(G: torch.nn.Module, scales: Scales) -> dict[str, Canvas]:
    """The whole trained world at each scale, by its size."""
    sizes = [(round(G.img_resolution * y), round(G.img_resolution * x)) for y, x in scales]
    return {f'{height}x{width}': trained_canvas(G).resized(height, width) for height, width in sizes}


def views(G: torch.nn.Module) -> dict[str, View]:
    return quarters(resized(G, SCALES))


def more_views(G: torch.nn.Module) -> dict[str, View]:
    return quarters(resized(G, MORE))


def quarters(canvases: Mapping[str, Canvas]) -> dict[str, View]:
    """The upper left one of each."""
    return {name: View(canvas, [Box(0, 0, canvas.height // 2, canvas.width // 2)])
            for name, canvas in canvases.items()}


def claims(found: Sequence[kept.Kept], qualities: dict[str, Quality]) -> list[Claim]:
    """The order of Table 1, as what becomes of digits."""
    sizes = list(dict.fromkeys(each.view for each in found))
    return [kept.more("at other sizes more of MS-PE's digits stay what they are than of the others' (Fig. 6)",
                      found, 'mspe', ['baseline', 'sspe'], sizes, qualities),
            kept.most("most of MS-PE's digits do at every size", found, 'mspe', sizes, qualities),
            kept.more('training at random sizes makes that more (Sec. 4.2)', found, 'mspe-resize', ['mspe'],
                      sizes, qualities),
            kept.more('training without a border does more than that', found, 'mspe-plus', ['mspe-resize'],
                      sizes, qualities)]


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    return side_by_side(networks, SCALES, SHOWN)


def more_pictures(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    return side_by_side(networks, MORE, SHOWN_MORE)


def side_by_side(networks: Mapping[str, torch.nn.Module], scales: Scales,
                 seeds: Sequence[int]) -> Image.Image:
    """The same latents at the trained size and at the others, pixel by pixel."""
    return sheet(networks, seeds, lambda G: {'trained size': None, **resized(G, scales)},
                 'The same latents at other sizes')
