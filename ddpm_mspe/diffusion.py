"""The forward process of Ho, Jain and Abbeel (2020), what is known of its reverse, and the loss (Sec. 2, 3).

Times are 0 … T - 1, as the entries of the schedule; at time t a picture has taken t + 1 steps of noise, and
time -1 is the picture itself. Pictures are [N, C, H, W], or of any shape that begins with N.
"""

import dataclasses
import functools
from collections.abc import Callable

import torch

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]      # (x_t, t [N]) -> `output`, as x_t
Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]      # (x_t, t [N]) -> ε, shaped as x_t

VARIANCES = ('beta', 'posterior')
OUTPUTS = ('noise', 'velocity')


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """A schedule of `steps` noise levels whose β go linearly from `first` to `last`."""
    steps: int = 1000                   # T
    first: float = 1e-4
    last: float = .02
    variance: str = 'beta'              # of the ancestral sampler: beta or posterior, the two of Sec. 3.2
    output: str = 'noise'               # of the network: noise (ε) or velocity (v), see `predicted`

    def __post_init__(self):
        if not (type(self.steps) is int and 1 <= self.steps <= 1_000_000 and 0 < self.first <= self.last < 1):
            raise ValueError(f'a schedule of {self.steps} steps with β from {self.first} to {self.last}: '
                             'expected at least 1 step and 0 < β < 1 that does not fall')
        if self.variance not in VARIANCES:
            raise ValueError(f'a variance {self.variance!r}: expected one of {", ".join(VARIANCES)}')
        if self.output not in OUTPUTS:
            raise ValueError(f'an output {self.output!r}: expected one of {", ".join(OUTPUTS)}')

    @functools.cached_property
    def betas(self) -> torch.Tensor:
        """β_t, float64 [T]."""
        return torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)

    @functools.cached_property
    def alphas_cumprod(self) -> torch.Tensor:
        """ā_t, float64 [T]: the share of the picture's variance that is left at time t."""
        return (1 - self.betas).cumprod(0)

    def kept(self, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """ā_t of the times t [N] (-1: 1) as [N, 1, …], to be multiplied with `like`."""
        table = _kept_table(self, like.device, torch.promote_types(like.dtype, torch.float32))
        return table[t.to(like.device) + 1].reshape([-1] + [1] * (like.ndim - 1))

    def noised(self, x0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """x_t of pictures x0 (Eq. 4): √ā x0 + √(1 - ā) ε."""
        kept = self.kept(t, x0)
        return kept.sqrt() * x0 + (1 - kept).sqrt() * noise

    def x0_from_noise(self, x: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The picture x0 of which x is x_t with that ε."""
        kept = self.kept(t, x)
        return (x - (1 - kept).sqrt() * noise) / kept.sqrt()

    def posterior(self, t: int, to: int) -> tuple[float, float, float]:
        """q(x_to | x_t, x0) for to < t (Eq. 6, 7): the coefficients of x0 and x_t in its mean, its variance.

        Between neighbouring times it is Ho et al.'s; between others, that of a schedule of only these.
        """
        kept, before = self.kept_at(t), self.kept_at(to)
        left = kept / before            # of x_to's signal in x_t: α_t between neighbours
        of_x0 = before ** .5 * (1 - left) / (1 - kept)
        of_x = left ** .5 * (1 - before) / (1 - kept)
        return of_x0, of_x, (1 - left) * (1 - before) / (1 - kept)

    def kept_at(self, t: int) -> float:
        """ā_t of one time; 1 at -1."""
        return 1. if t < 0 else float(self.alphas_cumprod[t])

    def predicted(self, network: Network, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """ε in x at the times t [N], as a network says it: itself, or by v = √ā ε - √(1 - ā) x0.

        v (Salimans and Ho 2022, App. D) is of the same size at every time. Where x is nearly all noise, ε is
        nearly x, and what a picture adds is too little for a small network to say it beside that; v is x0.
        """
        output = network(x, t)
        if self.output == 'noise':
            return output
        kept = self.kept(t, x)
        return kept.sqrt() * output + (1 - kept).sqrt() * x

    def noise_to_signal(self, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """√((1 - ā) / ā) of the times t [N], [N]: how far x0 is off for each unit that ε is."""
        kept = self.kept(t, like).flatten()
        return ((1 - kept) / kept).sqrt()

    def losses(self, predict: Predict, x0: torch.Tensor, t: torch.Tensor,
               noise: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the predicted ε, one a picture: [N] (Eq. 14)."""
        predicted = predict(self.noised(x0, t, noise), t)
        return (predicted.to(noise.dtype) - noise).square().flatten(1).mean(1)


@functools.lru_cache(maxsize=8)
def _kept_table(diffusion: Diffusion, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """ā of the times -1 … T - 1, [T + 1], on the device: nobody waits for a GPU to say a time."""
    with torch.inference_mode(False):
        return torch.cat([torch.ones(1, dtype=torch.float64), diffusion.alphas_cumprod]).to(device, dtype)
