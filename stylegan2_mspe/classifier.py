"""Which digit a patch shows, and how surely: a small convolutional network, trained here, in the box.

It sees 32x32 grey patches in [0, 1] (`similarity.grey`), each divided by its own maximum, so that a digit's
colour does not matter. Its last features serve to compare sets of digits (FID, precision and recall).
"""

import os
import pathlib
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from stylegan2_mspe.digits import DIGIT_SIZE, MARGIN, NUM_CLASSES
from stylegan2_mspe.safe_pickle import Refused
from stylegan2_mspe.safetensors_file import read_tensors, write_tensors

BUNDLED = pathlib.Path(__file__).parent / 'pretrained' / 'digit-classifier.safetensors'
SIDE = DIGIT_SIZE + 2 * MARGIN  # of a patch
NUM_FEATURES = 64
DARKEST = 0.05                  # a patch without any brighter pixel is not brightened further
WIDTHS = (24, 48, 64)           # channels


class Judgement(NamedTuple):
    """What the classifier says of N patches."""
    classes: torch.Tensor       # int64 [N], 0 … 9
    confidence: torch.Tensor    # float32 [N] in [0.1, 1], the probability it gives that class


class DigitClassifier(nn.Module):
    """Grey patches [N, 32, 32] or [N, 1, 32, 32] in [0, 1] → logits [N, 10]."""

    def __init__(self):
        super().__init__()
        first, second, third = WIDTHS
        self.maps = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(second), nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1, bias=False), nn.BatchNorm2d(third), nn.ReLU(),
            nn.AvgPool2d(2), nn.Flatten())      # 16x16, 8x8, 8x8 and 4x4
        self.last = nn.Sequential(nn.Linear(third * 4 * 4, NUM_FEATURES), nn.ReLU())
        self.classes = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def features(self, patches: torch.Tensor) -> torch.Tensor:
        """Features [N, 64] ≥ 0, the layer before the classes. Raises ValueError for other shapes."""
        if patches.ndim == 3:
            patches = patches[:, None]
        if patches.ndim != 4 or patches.shape[1:] != (1, SIDE, SIDE):
            raise ValueError(f'the digit classifier takes grey patches [N, {SIDE}, {SIDE}], '
                             f'not {list(patches.shape)}')
        return self.last(self.maps(patches / patches.amax(dim=(1, 2, 3), keepdim=True).clamp(min=DARKEST)))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.classes(self.features(patches))

    @torch.no_grad()
    def judge(self, patches: torch.Tensor) -> Judgement:
        """The class of each patch [N, 32, 32] and the confidence in it."""
        confidence, classes = self(patches).softmax(dim=1).max(dim=1)
        return Judgement(classes, confidence)


def as_patches(greys: torch.Tensor) -> torch.Tensor:
    """Grey pictures [N, H, W] of one digit each, at the classifier's size [N, 32, 32] (bilinear)."""
    if greys.shape[1:] == (SIDE, SIDE):
        return greys
    return functional.interpolate(greys[:, None], [SIDE, SIDE], mode='bilinear', antialias=True)[:, 0]


def save_classifier(path: str | os.PathLike, classifier: DigitClassifier, card: dict[str, str]) -> None:
    """Writes the weights as safetensors, with the card (texts by name) among its metadata. Raises OSError."""
    tensors = {name: tensor for name, tensor in classifier.state_dict().items()
               if not name.endswith('num_batches_tracked')}
    write_tensors(path, tensors, {'format': 'pt', **card})


def load_classifier(path: str | os.PathLike = BUNDLED,
                    device: torch.device | str = 'cpu') -> DigitClassifier:
    """The classifier of a file that `save_classifier` wrote, by default the bundled one, ready to judge.

    Raises OSError, and ValueError in one sentence for another file.
    """
    data = pathlib.Path(path).read_bytes()
    classifier = DigitClassifier()
    wanted = {name: tensor for name, tensor in classifier.state_dict().items()
              if not name.endswith('num_batches_tracked')}
    try:
        tensors, _ = read_tensors(data)
    except Refused as error:
        raise ValueError(f'{path} {error}') from error
    for name in sorted(wanted.keys() | tensors.keys()):
        found, expected = (list(side[name].shape) if name in side else 'nothing'
                           for side in (tensors, wanted))
        if found != expected:
            raise ValueError(f'{path} is no digit classifier: found {found} as {name[:80]}, '
                             f'expected {expected}')
    classifier.load_state_dict(tensors, strict=False)
    return classifier.eval().requires_grad_(False).to(device)
