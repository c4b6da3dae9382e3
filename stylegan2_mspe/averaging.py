"""Averaged weights: what is drawn from while the trained ones still jump about."""

import torch


def decay(batch: int, nimg: int, half_life: float, ramp: float | None = None) -> float:
    """What is kept of an average at a step of `batch` pictures, when `nimg` have been shown.

    half_life: in pictures; of a difference. It is at most the share `ramp` of the pictures so far.
    """
    if ramp is not None:
        half_life = min(half_life, nimg * ramp)
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def move(average: torch.nn.Module, current: torch.nn.Module, kept: float) -> None:
    """Moves the parameters of `average` to those of `current`, but for the share kept; copies its buffers."""
    for target, value in zip(average.parameters(), current.parameters()):
        target.lerp_(value, 1 - kept)
    for target, value in zip(average.buffers(), current.buffers()):
        target.copy_(value)
