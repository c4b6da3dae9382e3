"""What becomes of a network's digits on other canvases: they are looked for where each should have them.

Similarity (Eq. C) rewards blur, so beside it is what the classifier reads, and how surely.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from stylegan2_mspe.classifier import DigitClassifier, Judgement, as_patches
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.quality import SURE
from stylegan2_mspe.rendering import render, seed_ws
from stylegan2_mspe.similarity import grey, patch_at, similarity

BATCH = 32


class Box(NamedTuple):
    """A part of a picture, in its pixels; it goes round at the borders."""
    top: int
    left: int
    height: int
    width: int


class View(NamedTuple):
    """A canvas (None: the trained picture), and the boxes of its picture to look at."""
    canvas: Canvas | None
    boxes: Sequence[Box]


class Seen(NamedTuple):
    """What is in every box of every view, in their order, for N seeds."""
    similarity: np.ndarray      # float64 [boxes, N], to the digit of the trained picture (Eq. C)
    ink: np.ndarray             # float64 [boxes, N], mean grey in [0, 1]
    classes: np.ndarray         # int64 [boxes, N], 0 … 9
    confidence: np.ndarray      # float64 [boxes, N]
    standard: Judgement         # of the digits of the trained picture [N]

    @property
    def kept(self) -> np.ndarray:
        """Whether the digit has the class it has in the trained picture: bool [boxes, N]."""
        return self.classes == self.standard.classes.cpu().numpy()

    @property
    def sure(self) -> np.ndarray:
        """Whether that is surely a digit, whichever: bool [boxes, N]."""
        return self.confidence > SURE


def trained_box(resolution: int) -> Box:
    """Where the digits of the training set are: the quarter at the top left."""
    return Box(0, 0, resolution // 2, resolution // 2)


def shifted_view(resolution: int, dy: int, dx: int, *more: Box) -> View:
    """The paper's circular shift, and where it should have the digit; more boxes to look at."""
    side = resolution // 2
    return View(Canvas.identity(resolution).shifted(dy, dx), (Box(dy, dx, side, side), *more))


@torch.no_grad()
def look(G: torch.nn.Module, views: Sequence[View], seeds: Sequence[int], classifier: DigitClassifier,
         progress: Callable[[Iterable], Iterable] = iter) -> Seen:
    """Every view of every seed, at psi 1 with the stored noise; `progress` wraps the loop over batches.

    Boxes of another size than the trained digit's are resized to it (bilinear, antialiased).
    """
    parts, home = [], trained_box(G.img_resolution)
    for start in progress(range(0, len(seeds), BATCH)):
        ws = seed_ws(G, seeds[start:start + BATCH])
        standard = patch_at(grey(render(G, ws)), *home)
        patches = []
        for view in views:
            greys = grey(render(G, ws, view.canvas))
            patches += [as_size(patch_at(greys, *box), home) for box in view.boxes]
        judged = [classifier.judge(as_patches(each)) for each in patches]
        parts.append((torch.stack([similarity(standard, each) for each in patches]),
                      torch.stack([each.double().mean(dim=(1, 2)) for each in patches]),
                      torch.stack([each.classes for each in judged]),
                      torch.stack([each.confidence.double() for each in judged]),
                      classifier.judge(as_patches(standard))))
    *values, judgements = zip(*parts)
    found = [torch.cat(each, dim=1).cpu().numpy() for each in values]
    return Seen(*found, Judgement(*map(torch.cat, zip(*judgements))))


def as_size(patches: torch.Tensor, box: Box) -> torch.Tensor:
    """Grey patches [N, h, w] at the box's height and width, as they are where they have it already."""
    size = [box.height, box.width]
    if list(patches.shape[1:]) == size:
        return patches
    return torch.nn.functional.interpolate(patches[:, None], size, mode='bilinear', antialias=True)[:, 0]
