"""The canvas that a step of training draws its pictures on, and the way back to what the discriminator sees.

Drawn elsewhere than they are judged, pictures teach the generator what the trained canvas alone never shows
it: other sizes (the paper's random resizing, Sec. 4.2 and C.3), content that lies across the border and at
fractional positions of the coarse levels (random shifts, which are not the paper's), and pictures without a
border, as the inside of a large canvas is (margins, not the paper's either).
"""

import dataclasses

import numpy as np
import torch
from torch.nn.functional import interpolate

from stylegan2_mspe.config import TrainingConfig
from stylegan2_mspe.pe import Canvas, Window
from stylegan2_mspe.rendering import axes_that_wrap

SHIFTED = 0.75          # part of the steps that shift, where a run does


@dataclasses.dataclass(frozen=True)
class StepCanvas:
    """One step's canvas: the trained picture, its content moved by `shift`, on `size` × `size` pixels.

    The first part of a batch, `margin` of it, is drawn with a margin that is not shown: in plane mode, in
    which the world goes round as it does for generate.
    """
    resolution: int                     # of the trained picture
    size: int                           # pixels
    shift: tuple[int, int] = (0, 0)     # (dy, dx), world pixels, round the trained size
    margin: float = 0                   # part of the pictures, 0 ... 1
    border: str = 'zero'                # the network's

    @property
    def canvas(self) -> Canvas:
        wraps = axes_that_wrap(self.resolution, None, self.shift != (0, 0), self.border)
        canvas = Canvas.identity(self.resolution).shifted(*self.shift, wrap=wraps)
        return canvas if self.size == self.resolution else canvas.resized(self.size, self.size)

    def draw(self, synthesis: torch.nn.Module, ws: torch.Tensor) -> torch.Tensor:
        """Pictures [N, C, R, R], as the trained canvas would show them, of ws [N, num_ws, w_dim]."""
        count = round(self.margin * len(ws))
        places = ((ws[:count], Window.whole(self.canvas.wrapped(), 'plane')), (ws[count:], self.canvas))
        return self.back(torch.cat([synthesis(part, canvas=place) for part, place in places if len(part)]))

    def back(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [N, C, size, size] of this canvas as the trained one would show them [N, C, R, R]: resized
        (antialiased bilinear), then rolled."""
        if self.size != self.resolution:
            pictures = interpolate(pictures, (self.resolution, self.resolution), mode='bilinear',
                                   antialias=True)
        dy, dx = self.shift
        return pictures if self.shift == (0, 0) else pictures.roll((-dy, -dx), dims=(2, 3))


def step_canvas(config: TrainingConfig, step: int) -> StepCanvas | None:
    """The canvas of a step, None = the trained one: a function of the run's seed and the step.

    So it is the same in every process, and after a run has gone on.
    """
    random = np.random.RandomState([config.seed, step])
    size, shift = config.resolution, (0, 0)
    if config.random_resize:
        size = config.random_resize[random.randint(len(config.random_resize))]
    if config.random_shift and random.random_sample() < SHIFTED:
        shift = tuple(random.randint(config.resolution, size=2).tolist())
    if size == config.resolution and shift == (0, 0) and not config.random_margin:
        return None
    return StepCanvas(config.resolution, size, shift, config.random_margin, config.border)
