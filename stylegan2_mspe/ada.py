"""Adaptive augmentation: as strong as it takes to keep D from knowing its training pictures by heart.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", Sec. 3.2.
"""

import math

import torch

from stylegan2_mspe.augment import AugmentPipe
from stylegan2_mspe.augpipes import PIPES
from stylegan2_mspe.config import TrainingConfig
from torch_utils import training_stats

SIGNS = 'Loss/signs/real'       # of D's logits of training pictures, as the loss reports them


def make_pipe(config: TrainingConfig, device: torch.device | str = 'cpu') -> AugmentPipe | None:
    """The pipe a run begins with, None with --aug=noaug. Its p stays on the CPU, where every pass reads it
    without waiting for a GPU.
    """
    if config.aug == 'noaug':
        return None
    pipe = AugmentPipe(**PIPES[config.augpipe]).train().requires_grad_(False).to(device)
    pipe.p = torch.tensor(float(config.augment_p))
    return pipe


class AdaptiveStrength:
    """Moves a pipe's p, after every `ada_interval` steps, so that the mean sign of D's logits of training
    pictures stays at a target.

    Where the mean is above the target p grows, else it shrinks, by what would take it from 0 to 1 in
    `ada_kimg`.
    """

    def __init__(self, pipe: AugmentPipe, config: TrainingConfig):
        self.pipe, self.target, self.interval = pipe, config.ada_target, config.ada_interval
        self.change = config.batch * config.ada_interval / (config.ada_kimg * 1000)
        self.collector = training_stats.Collector(regex=SIGNS, keep_previous=False)
        self.count, self.total = 0, 0.      # signs since the last move, and their sum

    def after_step(self, step: int) -> None:
        """`step`: how many there have been."""
        if step % self.interval:
            return
        self.collect()
        if self.count:
            p = float(self.pipe.p) + self.change * _sign(self.total / self.count - self.target)
            self.pipe.p.fill_(min(max(p, 0), 1))
        self.count, self.total = 0, 0.

    def collect(self) -> None:
        """Takes over what has been reported; every process has to call it."""
        self.collector.update()
        count, mean = self.collector.num(SIGNS), self.collector.mean(SIGNS)
        if count and math.isfinite(mean):
            self.count += count
            self.total += round(count * mean)       # signs are whole numbers

    def state(self) -> list:
        """Of plain numbers, p not among them; every process has to call it."""
        self.collect()
        return [self.count, self.total]

    def restore(self, state: list) -> None:
        self.count, self.total = state


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
