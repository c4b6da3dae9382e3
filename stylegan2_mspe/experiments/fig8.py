"""Fig. 8: extrapolation. Pictures of other sizes and aspect ratios, by coordinates beyond the trained ones.

The world goes on to all sides of the trained picture (Sec. 4.3). Is the digit in it still what it was, and is
what has been drawn around it black, as all of the training's pictures are beside their digit?
"""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe.experiments import kept
from stylegan2_mspe.experiments.claims import Claim
from stylegan2_mspe.experiments.sheets import sheet
from stylegan2_mspe.experiments.views import Box, View
from stylegan2_mspe.framing import frame
from stylegan2_mspe.quality import Quality

ROLES = ('baseline', 'sspe', 'mspe', 'mspe-plus')
SCALES = ((1, 1.5), (1, 2), (1.5, 1), (2, 1), (2, 2),   # of height and width: how much of the world
          (1, 1.375), (1.375, 1))                       # the last two begin between cells
SHOWN = (0, 1, 2, 3)                                    # seeds in the picture


@dataclasses.dataclass(frozen=True)
class Around:
    """What one network draws on one canvas beside the quarter with the digit."""
    network: str
    view: str
    ink: float                          # part of the canvas's ink, mean over seeds

    def sentence(self) -> str:
        return f'{self.network}, {self.view}: {self.ink:.0%} of the ink is not in the quarter with the digit'


def views(G: torch.nn.Module) -> dict[str, View]:
    """More of the world, shared between both sides, by its size. The boxes: the trained digit, wherever its
    part of the world has come to; then the whole picture, for its ink.
    """
    resolution, found = G.img_resolution, {}
    side, cell = resolution // 2, resolution // 4
    for height, width in ((round(resolution * y), round(resolution * x)) for y, x in SCALES):
        canvas = frame(resolution, (height, width), wrap=False)
        top, left = (height - resolution) // 2, (width - resolution) // 2
        name = f'{height}x{width}{kept.BETWEEN if top % cell or left % cell else ""}'
        found[name] = View(canvas, [Box(top, left, side, side), Box(0, 0, height, width)])
    return found


def measure(networks: Mapping[str, torch.nn.Module], *how) -> tuple[list[kept.Kept], list[Around]]:
    """The digits, and what is around them; `how` as in `kept.measure`."""
    digits, around = [], []
    for each in kept.measure(networks, views, *how):
        digit, whole = ({field: getattr(each, field)[box:box + 1] for field in kept.BY_BOX}
                        for box in (0, 1))
        digits.append(dataclasses.replace(each, **digit))
        canvas = views(networks[each.network])[each.view]
        inside, total = (ink['ink'][0] * box.height * box.width
                         for ink, box in zip((digit, whole), canvas.boxes))
        around.append(Around(each.network, each.view, 1 - inside / total if total > 0 else 0.0))
    return digits, around


def claims(found: Sequence[kept.Kept], qualities: dict[str, Quality]) -> list[Claim]:
    return kept.claims("most of MS-PE's digits stay what they are on canvases of other sizes (Fig. 8)", found,
                       qualities)


def picture(networks: Mapping[str, torch.nn.Module]) -> Image.Image:
    """The same latents on the trained canvas and on larger ones."""
    return sheet(networks, SHOWN, lambda G: {
        'trained': None, **{name: view.canvas for name, view in views(G).items()}}, 'More of the world')
