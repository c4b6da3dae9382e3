"""What a metric sees pictures with: StyleGAN2's Inception and VGG16, a file of the user's, or the classifier
of digits that is in the box.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from stylegan2_mspe import classifier, detector_file
from stylegan2_mspe.similarity import grey

DIGITS = 'digits'               # the classifier in the box: a kind, and a choice in place of the others
DIGIT_FILTER = f'upper left quarter, bilinear with antialiasing to {classifier.SIDE}x{classifier.SIDE}'
OWN_FILTER = "the detector's own"
FILTERS = {     # of files, by their hash, of which it is known
    'f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4':     # inception-2015-12-05.pt
        f'{OWN_FILTER}: bilinear without antialiasing to 299x299'}
ATTEMPTS = 3                    # of a download: a training is waiting


class Detector(NamedTuple):
    """A network that sees pictures, uint8 [N, C, H, W] with 1, 3 or 4 channels, of any size."""
    name: str                   # of its file
    sha256: str                 # of that
    filter: str                 # how pictures of other sizes are brought to its own
    features: Callable[[torch.Tensor], torch.Tensor]                # -> [N, D]
    probabilities: Callable[[torch.Tensor], torch.Tensor]           # -> [N, classes]
    network: torch.nn.Module

    def card(self) -> dict:
        """What tells it from others."""
        return dict(detector=self.name, sha256=self.sha256, filter=self.filter)


def open_detector(kind: str, given: dict[str, str], device: torch.device) -> Detector:
    """The detector of a kind, from the file given for the kind, or for all (''), if any.

    `digits` in place of a file is the classifier in the box. Raises ValueError where it can't be had.
    """
    place = DIGITS if kind == DIGITS else given.get(kind) or given.get('')
    if place == DIGITS:
        return _digits(device)
    return _torchscript(kind, detector_file.source(kind, place), device, given=bool(place))


@functools.lru_cache(maxsize=4)
def _torchscript(kind: str, place: str, device: torch.device, given: bool) -> Detector:
    name = os.path.basename(place)
    try:
        network, sha256 = detector_file.open_torchscript(place, device, attempts=ATTEMPTS)
    except ValueError as error:
        if given:
            raise
        cause = error.__cause__
        unread = isinstance(cause, OSError)
        reason = str(cause).rstrip('.') if unread else f'{place} is no TorchScript network'
        raise ValueError(f'{kind}, which a metric needs, can not be had ({reason}), expected a connection, '
                         f'{name} in the folder that {detector_file.FOLDER} names in the environment, or '
                         'calc_metrics.py with --detector=FILE') from error
    seen = detector_file.options_of(network, return_features=True)
    read = detector_file.options_of(network, no_output_bias=True)
    return Detector(name, sha256, FILTERS.get(sha256, OWN_FILTER),
                    lambda pictures: network(as_rgb(pictures), **seen).flatten(1),
                    lambda pictures: network(as_rgb(pictures), **read), network)


@functools.lru_cache(maxsize=2)
def _digits(device: torch.device) -> Detector:
    network = classifier.load_classifier(device=device)
    sha256 = hashlib.sha256(classifier.BUNDLED.read_bytes()).hexdigest()
    return Detector('digit classifier', sha256, DIGIT_FILTER,
                    lambda pictures: network.features(digit_patches(pictures)),
                    lambda pictures: network(digit_patches(pictures)).softmax(dim=1), network)


def as_rgb(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W]: grey ones are repeated; transparent ones lie on black."""
    if pictures.shape[1] == 4:
        opacity = pictures[:, 3:].float() / 255
        return (pictures[:, :3] * opacity).round().to(torch.uint8)
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures


def digit_patches(pictures: torch.Tensor) -> torch.Tensor:
    """What the classifier of digits sees: the grey upper left quarter, where they are in training."""
    height, width = (max(1, length // 2) for length in pictures.shape[2:])
    return classifier.as_patches(grey(pictures[:, :, :height, :width].float() / 127.5 - 1))
