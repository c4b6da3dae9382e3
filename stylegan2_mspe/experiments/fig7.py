"""Fig. 7: expansion by repetition. The coordinates of a stretch are shown several times in a row.

Each copy of the stretch that holds the digit should hold the digit, whatever is beside it.
"""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe.experiments import kept
from stylegan2_mspe.experiments.claims import Claim
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.experiments.views import Box, View
from stylegan2_mspe.framing import Repeat, frame
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.quality import Quality

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
TIMES = dict(right=(1, 3), down=(3, 1), both=(2, 2))    # copies in a column, in a row
SHOWN = (0, 1, 2, 3)                                    # seeds in the picture


def repeated(resolution: int) -> dict[str, Canvas]:
    """The half with the digit, `TIMES` times in a row."""
    def canvas(times: tuple[int, int]) -> Canvas:
        return frame(resolution, repeats=tuple(Repeat(0, resolution // 2, count) if count > 1 else None
                                               for count in times))
    return {f'{name}, {down}x{right}': canvas((down, right)) for name, (down, right) in TIMES.items()}


def views(resolution: int) -> dict[str, View]:
    """Every copy: by rows, and in a row from the left."""
    side = resolution // 2
    copies = [[Box(y * side, x * side, side, side) for y in range(down) for x in range(right)]
              for down, right in TIMES.values()]
    return {name: View(canvas, boxes) for (name, canvas), boxes in zip(repeated(resolution).items(), copies)}


def claims(found: Sequence[kept.Kept], qualities: dict[str, Quality]) -> list[Claim]:
    """What the figure shows of MS-PE, and that it is its doing."""
    all_of_them = list(dict.fromkeys(each.view for each in found))
    return [kept.most("most of MS-PE's digits stay what they are in every copy (Fig. 7)", found, 'mspe',
                      all_of_them, qualities),
            kept.more("more of MS-PE's digits do than of the baseline's", found, 'mspe', ['baseline'],
                      all_of_them, qualities)]


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """The same latents, unrepeated and repeated."""
    return sheet(networks, SHOWN, lambda size: {'trained': None, **repeated(size)},
                 'The half with the digit, repeated')
