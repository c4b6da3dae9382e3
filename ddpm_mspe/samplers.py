"""From noise to pictures: the ancestral sampler (Ho et al. 2020, Alg. 2) and DDIM (Song et al. 2021, Eq. 12).

Both have one signature:

    sampler(predict, diffusion, x, times, noise, eta=…, clip=True, progress=iter) -> pictures, as x

x: [N, C, H, W] at times[0]. times: falling, from `strided`; the last step leads to the picture. noise(t):
standard normal, shaped as x, for the step that leaves time t. clip: bring the estimate of the picture into
[-1, 1] at every step. progress: wraps the loop over the steps. eta 0 … 1: how much noise the steps draw;
the ancestral sampler knows 1 only, since any less would leave its pictures with too little variance.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch

from ddpm_mspe.diffusion import Diffusion, Predict

Noise = Callable[[int], torch.Tensor]
Progress = Callable[[Iterable], Iterable]


def strided(start: int, steps: int | None = None) -> list[int]:
    """`steps` times (None: all) that fall evenly from start - 1, where `start` steps of noise are, to 0.

    Raises ValueError for more steps than there are.
    """
    steps = start if steps is None else steps
    if not 1 <= steps <= start:
        raise ValueError(f'{steps} steps from t = {start}: expected 1 to {start}')
    if steps == 1:
        return [start - 1]
    return [round(index * (start - 1) / (steps - 1)) for index in reversed(range(steps))]


def ancestral(predict: Predict, diffusion: Diffusion, x: torch.Tensor, times: Sequence[int], noise: Noise, *,
              eta: float = 1., clip: bool = True, progress: Progress = iter) -> torch.Tensor:
    """Draws from q(x_to | x_t, x0) with the predicted x0, with the diffusion's choice of variance."""
    if eta != 1:
        raise ValueError(f'eta {eta}: expected 1 for the ancestral sampler, or ddim')

    def step(x, x0, predicted, t, to):
        of_x0, of_x, variance = diffusion.posterior(t, to)
        if diffusion.variance == 'beta':
            variance = 1 - diffusion.kept_at(t) / diffusion.kept_at(to)
        return of_x0 * x0 + of_x * x, math.sqrt(variance)
    return _walk(step, predict, diffusion, x, times, noise, eta, clip, progress)


def ddim(predict: Predict, diffusion: Diffusion, x: torch.Tensor, times: Sequence[int], noise: Noise, *,
         eta: float = 0., clip: bool = True, progress: Progress = iter) -> torch.Tensor:
    """Steps that keep every x_t's distribution: eta 0 draws nothing, 1 is ancestral with the posterior's
    variance.
    """
    def step(x, x0, predicted, t, to):
        deviation = eta * math.sqrt(diffusion.posterior(t, to)[2])
        kept = diffusion.kept_at(to)
        return math.sqrt(kept) * x0 + math.sqrt(max(1 - kept - deviation ** 2, 0)) * predicted, deviation
    return _walk(step, predict, diffusion, x, times, noise, eta, clip, progress)


SAMPLERS = dict(ancestral=ancestral, ddim=ddim)
ETA = dict(ancestral=1., ddim=0.)       # their defaults


@torch.no_grad()
def _walk(step, predict, diffusion, x, times, noise, eta, clip, progress) -> torch.Tensor:
    """`step` gives mean and standard deviation at the next time; the last one adds no noise."""
    if not 0 <= eta <= 1:
        raise ValueError(f'eta {eta}: expected 0 to 1')
    falling = all(before > after for before, after in zip(times, times[1:]))
    if not times or not falling or times[0] >= diffusion.steps or times[-1] < 0:
        raise ValueError(f'times {list(times)[:3]} …: expected falling ones, {diffusion.steps - 1} to 0')
    for t, to in progress(list(zip(times, [*times[1:], -1]))):
        at = torch.full([len(x)], t, dtype=torch.int64, device=x.device)
        predicted = predict(x, at).to(x.dtype)
        x0 = diffusion.x0_from_noise(x, at, predicted)
        if clip:
            x0 = x0.clamp(-1, 1)
            kept = diffusion.kept_at(t)
            predicted = (x - math.sqrt(kept) * x0) / math.sqrt(1 - kept)
        x, deviation = step(x, x0, predicted, t, to)
        if to >= 0 and deviation:
            x = x + deviation * noise(t)
    return x
