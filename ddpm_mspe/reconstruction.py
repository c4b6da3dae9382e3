"""Stochastic reconstruction (Ho et al. 2020, Sec. 4.3; the paper's Fig. 9 and E).

A picture is encoded to time t by the forward process, and decoded by the learned reverse process. What is
kept of it at large t is what noise does not reach; where it is must come from the positional encoding.
"""

import torch

from ddpm_mspe import samplers
from ddpm_mspe.diffusion import Diffusion, Predict
from ddpm_mspe.samplers import Noise, Progress


def check_time(t: int, diffusion: Diffusion) -> None:
    """Raises ValueError for a number of noise steps that the schedule does not have."""
    if t != int(t) or not 0 <= t <= diffusion.steps:
        raise ValueError(f't = {t}: expected a whole number from 0 to {diffusion.steps}, '
                         "the steps of the network's schedule")


def reconstruct(predict: Predict, diffusion: Diffusion, pictures: torch.Tensor, t: int, noise: Noise, *,
                steps: int | None = None, sampler: str = 'ancestral', eta: float | None = None,
                progress: Progress = iter) -> torch.Tensor:
    """Pictures [N, C, H, W] in [-1, 1] after t steps of noise and their way back; t 0 leaves them alone.

    steps: of the way back, None or more than t = t. noise(t): as of the samplers; noise(T) goes in. Raises
    ValueError for a t outside the schedule.
    """
    check_time(t, diffusion)
    if t == 0:
        return pictures
    at = torch.full([len(pictures)], t - 1, dtype=torch.int64, device=pictures.device)
    x = diffusion.noised(pictures, at, noise(diffusion.steps))
    times = samplers.strided(t, min(steps or t, t))
    eta = samplers.ETA[sampler] if eta is None else eta
    return samplers.SAMPLERS[sampler](predict, diffusion, x, times, noise, eta=eta, progress=progress)
