"""Trains the digit classifier on MNIST: small shifts, uneven intensity, and patches that are no digit.

Trained on digits alone it would be sure of whatever it sees (noise was an 8, with a confidence of 1), and so
say nothing of legibility. A part of each batch is therefore none: two digits in one patch, of which it should
believe in both by half, and blobs, noise or black, of which it should believe nothing.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch.nn import functional

from stylegan2_mspe import digits
from stylegan2_mspe.classifier import SIDE, DigitClassifier
from stylegan2_mspe.digits import NUM_CLASSES
from stylegan2_mspe.similarity import grey

SHIFT = 2.0                     # pixels, the furthest a training digit is moved, each way
CONTRAST = (0.6, 1.6)           # exponents of its brightness, a thick or a thin pen
NOISE = 0.03                    # standard deviation of what is added, of its maximum
LIFT = 0.1                      # of its maximum, the brightest black of the background
MIXED, BLOBS = 1 / 8, 1 / 16    # parts of a batch that are two digits, and that are none
LR, WEIGHT_DECAY = 4e-3, 1e-3   # AdamW, one cycle


def patches_of(pictures: np.ndarray, seed: int = 0) -> torch.Tensor:
    """Grey patches [N, 32, 32] in [0, 1] of digits uint8 [N, 28, 28], as Color-MNIST shows them: each drawn
    in a random hue, then turned grey."""
    hues = digits.random_hues(len(pictures), np.random.RandomState(seed))
    drawn = [digits.draw_digit(*pair)[:SIDE, :SIDE] for pair in zip(pictures, hues)]
    coloured = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)
    return torch.cat([grey(part / 127.5 - 1) for part in coloured.split(4096)])


def augment(patches: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Patches [N, 1, 32, 32], each moved by a fraction of up to SHIFT pixels, of another intensity, noisy."""
    count = len(patches)
    shift = (torch.rand([count, 2], generator=random) * 2 - 1) * SHIFT * 2 / SIDE
    matrix = torch.cat([torch.eye(2).expand(count, 2, 2), shift[:, :, None]], dim=2)
    grid = functional.affine_grid(matrix, list(patches.shape), align_corners=False)
    moved = functional.grid_sample(patches, grid, align_corners=False)
    low, high = CONTRAST
    exponent = low + (high - low) * torch.rand([count, 1, 1, 1], generator=random)
    black = LIFT * torch.rand([count, 1, 1, 1], generator=random)
    black = black * (torch.rand([count, 1, 1, 1], generator=random) < 0.5)
    noise = torch.randn(moved.shape, generator=random) * NOISE
    return (black + (1 - black) * moved.clamp(0, 1).pow(exponent) + noise).clamp(0, 1)


def spoil(patches: torch.Tensor, targets: torch.Tensor,
          random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Makes the first patches of a batch [N, 1, 32, 32] two digits each, and the next ones none.

    targets [N, 10], the probabilities to be given, follow: half and half, and alike for all classes.
    """
    count = len(patches)
    mixed, blobs = int(count * MIXED), int(count * BLOBS)
    others = torch.randint(count, [mixed], generator=random)
    along = torch.arange(SIDE).reshape(1, 1, SIDE, 1).expand(mixed, 1, SIDE, SIDE).clone()
    along[::2] = along[::2].transpose(2, 3)                                     # cut upright or across
    upper = along < torch.randint(11, 22, [mixed, 1, 1, 1], generator=random)
    both = torch.where(upper, patches[:mixed], patches[others])
    both[::3] = torch.maximum(patches[:mixed], patches[others])[::3]            # or one over the other
    grain = torch.rand([blobs, 1, SIDE, SIDE], generator=random)
    for index, size in enumerate((4, 6, 8, 12)):
        coarse = torch.rand([len(grain[index::4]), 1, size, size], generator=random) * 2 - 0.5
        grain[index::4] = functional.interpolate(coarse, [SIDE, SIDE], mode='bicubic').clamp(0, 1)
    grain[::5] = torch.rand(grain[::5].shape, generator=random)
    grain[1::5] *= 0                                                            # nothing at all
    belief = torch.full([blobs, NUM_CLASSES], 1 / NUM_CLASSES)
    half = (targets[:mixed] + targets[others]) / 2
    rest = slice(mixed + blobs, None)
    return torch.cat([both, grain, patches[rest]]), torch.cat([half, belief, targets[rest]])


def train(pictures: np.ndarray, classes: np.ndarray, *, epochs: int, batch: int = 128, seed: int = 0,
          progress: Callable[[Iterable, int], Iterable] = lambda steps, count: steps) -> DigitClassifier:
    """A classifier trained on digits uint8 [N, 28, 28] with classes [N], ready to judge.

    `progress` wraps the loop over the steps, whose number it is told. The same on a CPU for the same seed.
    """
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    patches = patches_of(pictures, seed)[:, None]
    patches = patches / patches.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1 / 255)
    classes = torch.from_numpy(classes.astype(np.int64))
    classifier = DigitClassifier().train()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    per_epoch = max(len(patches) // batch, 1)
    total = epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=total, pct_start=0.2)
    for step in progress(range(total), total):
        if step % per_epoch == 0:
            order = torch.randperm(len(patches), generator=random)
        chosen = order[step % per_epoch * batch:][:batch]
        targets = functional.one_hot(classes[chosen], NUM_CLASSES).float()
        shown, targets = spoil(augment(patches[chosen], random), targets, random)
        loss = functional.cross_entropy(classifier(shown), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return classifier.eval().requires_grad_(False)


def accuracy(classifier: DigitClassifier, pictures: np.ndarray, classes: np.ndarray,
             seed: int = 0) -> tuple[float, float]:
    """The share of digits uint8 [N, 28, 28], in random hues, given their class; and the share above 0.9."""
    patches = patches_of(pictures, seed)
    found = [classifier.judge(part) for part in patches.split(1000)]
    right = torch.cat([each.classes for each in found]) == torch.from_numpy(classes.astype(np.int64))
    sure = torch.cat([each.confidence for each in found]) > 0.9
    return float(right.double().mean()), float(sure.double().mean())
