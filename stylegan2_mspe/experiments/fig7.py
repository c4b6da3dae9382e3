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
from stylegan2_mspe.quality import Quality

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
TIMES = ((1, 3), (3, 1), (2, 2))        # copies in a column, in a row
STRETCHES = (1 / 2, 5 / 8)              # of the trained size, from its top or left: 2 and 2.5 of its 4 cells
SHOWN = (0, 1, 2, 3)                    # seeds in the picture


def views(G: torch.nn.Module) -> dict[str, View]:
    """Every stretch repeated, with all of its copies: by rows, and in a row from the left."""
    resolution, found = G.img_resolution, {}
    side = resolution // 2
    for length in (round(resolution * share) for share in STRETCHES):
        for down, right in TIMES:
            stretches = tuple(Repeat(0, length, times) if times > 1 else None for times in (down, right))
            boxes = [Box(y * length, x * length, side, side) for y in range(down) for x in range(right)]
            name = f'{down}x{right} of {length} px{kept.BETWEEN if length % (resolution // 4) else ""}'
            found[name] = View(frame(resolution, repeats=stretches), boxes)
    return found


def claims(found: Sequence[kept.Kept], qualities: dict[str, Quality]) -> list[Claim]:
    return kept.claims("most of MS-PE's digits stay what they are in every copy (Fig. 7)", found,
                       qualities)


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """The same latents, unrepeated and repeated."""
    return sheet(networks, SHOWN, lambda G: {
        'trained': None, **{name: view.canvas for name, view in views(G).items()}},
        'The stretch with the digit, repeated')
