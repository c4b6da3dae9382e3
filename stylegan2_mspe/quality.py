"""How good a network of digits is: does it draw all ten classes, about alike often, and so that they can be
read? The digit classifier says; a network that collapsed, or draws what is no digit, is found by two numbers.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch

from stylegan2_mspe.classifier import DigitClassifier, Judgement, as_patches
from stylegan2_mspe.digits import NUM_CLASSES
from stylegan2_mspe.rendering import render, seed_ws
from stylegan2_mspe.similarity import grey

SEEDS = 1000                    # that a network is judged by
SHARES = (0.04, 0.20)           # that every class has to have
SURE = 0.9                      # a digit counts as legible above this confidence
LEGIBLE, GOAL = 0.70, 0.85      # the part of the digits that has to be; and that should be


@dataclasses.dataclass(frozen=True)
class Quality:
    """What the classifier says of the pictures of many seeds."""
    seeds: int
    shares: list[float]         # of the ten classes, 0 … 9
    confident: float            # the part with a confidence above SURE
    mean_confidence: float
    entropy: float              # of the classes, bits: 0 = one class, log2(10) = 3.32 = all alike often

    @property
    def varied(self) -> bool:
        return all(SHARES[0] <= share <= SHARES[1] for share in self.shares)

    @property
    def good(self) -> bool:
        return self.varied and self.confident >= LEGIBLE

    def brief(self) -> str:
        return (f'{self.confident:.0%} surely a digit, '
                f'classes {min(self.shares):.1%} to {max(self.shares):.1%}')

    def sentence(self) -> str:
        classes = ' '.join(f'{label}:{share:.1%}' for label, share in enumerate(self.shares))
        return (f'{"good" if self.good else "not good"}; {self.confident:.1%} surely a digit, '
                f'classes {classes} (entropy {self.entropy:.2f} of 3.32 bits, {self.seeds} seeds)')

    def as_dict(self) -> dict:
        """For JSON, with the verdict."""
        return {**dataclasses.asdict(self), 'varied': self.varied, 'good': self.good}


def of_judgement(judgement: Judgement) -> Quality:
    """The quality of pictures that have been judged, at least one."""
    shares = torch.bincount(judgement.classes, minlength=NUM_CLASSES).double() / len(judgement.classes)
    return Quality(len(judgement.classes), shares.tolist(),
                   confident=float((judgement.confidence > SURE).double().mean()),
                   mean_confidence=float(judgement.confidence.double().mean()),
                   entropy=float(torch.special.entr(shares).sum() / torch.tensor(2.).log()))


@torch.no_grad()
def judge(G: torch.nn.Module, seeds: Sequence[int], classifier: DigitClassifier, *, batch: int = 32,
          progress: Callable[[Iterable], Iterable] = iter) -> Judgement:
    """What each seed's picture (psi 1, stored noise) shows where the trained digits are, the upper left
    quarter. `progress` wraps the loop over batches."""
    found, size = [], G.img_resolution // 2
    for start in progress(range(0, len(seeds), batch)):
        pictures = render(G, seed_ws(G, seeds[start:start + batch]), None)
        found.append(classifier.judge(as_patches(grey(pictures)[:, :size, :size])))
    return Judgement(*(torch.cat(parts) for parts in zip(*found)))


def measure(G: torch.nn.Module, seeds: Sequence[int], classifier: DigitClassifier, **how) -> Quality:
    """The quality of a network by the pictures of these seeds; `how` as in `judge`."""
    return of_judgement(judge(G, seeds, classifier, **how))
