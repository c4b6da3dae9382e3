"""The spaces a projection searches: z, one w for all layers, or a w for each (W+), and where it starts.

Statistics of w as in StyleGAN2 (Karras et al. 2020, appendix D): the mean of mapped samples, and the square
root of their mean squared distance from it.
"""

import dataclasses
import functools

import numpy as np
import torch

SPACES = ('w', 'w+', 'z')


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What mapped latents look like."""
    mean: torch.Tensor          # [1, w_dim]
    std: float                  # root of the mean squared distance from the mean
    z: torch.Tensor             # [M, z_dim] that they were made of
    w: torch.Tensor             # [M, w_dim]

    def rarity(self, w: torch.Tensor) -> torch.Tensor:
        """How far w [N, w_dim] is from what is usual: the mean square of its coordinates along the principal
        axes of the samples, in their deviations; about 1 for a sample. [N].
        """
        return ((w - self.mean) @ self.whitening).square().mean(dim=1)

    @functools.cached_property
    def whitening(self) -> torch.Tensor:
        """[w_dim, w_dim]: the principal axes, each over its deviation, none below 3 % of the largest."""
        variances, axes = torch.linalg.eigh(torch.cov(self.w.double().t()))
        return (axes / variances.clamp(min=1e-3 * variances[-1]).sqrt()).to(self.w.dtype)


@torch.no_grad()
def statistics(G: torch.nn.Module, samples: int, seed: int = 123,
               labels: torch.Tensor | None = None) -> Statistics:
    """Maps that many random z, of one label [1, c_dim] if the network has classes. Uses no global random
    state.
    """
    first = next(G.parameters())
    z = torch.from_numpy(np.random.RandomState(seed).randn(samples, G.z_dim)).to(first)
    c = None if labels is None else labels.expand(samples, -1)
    w = G.mapping(z, c)[:, 0]
    mean = w.mean(dim=0, keepdim=True)
    # Over all numbers of a w, not per number: StyleGAN2's perturbation is of that size in each of them.
    std = float((w - mean).square().sum().div(samples).sqrt())
    return Statistics(mean, std, z, w)


@dataclasses.dataclass
class Latents:
    """N latents that are optimised, in one of SPACES."""
    space: str
    values: torch.Tensor        # [N, z_dim], [N, 1, w_dim] or [N, num_ws, w_dim]; requires gradients
    labels: torch.Tensor | None = None

    def ws(self, G: torch.nn.Module, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """ws [N, num_ws, w_dim]; `noise` is added to the values first."""
        values = self.values + noise
        if self.space == 'z':
            labels = None if self.labels is None else self.labels.expand(len(values), -1)
            return G.mapping(values, labels)
        return values.expand(-1, G.num_ws, -1)


def start_from_w(G: torch.nn.Module, space: str, w: torch.Tensor) -> Latents:
    """Latents that start at w [N, w_dim], or ws [N, num_ws, w_dim], in W or W+."""
    assert space in ('w', 'w+')
    w = w[:, None] if w.ndim == 2 else w
    w = w.mean(dim=1, keepdim=True) if space == 'w' else w.expand(-1, G.num_ws, -1)
    return Latents(space, w.detach().clone().requires_grad_())


def start_from_z(z: torch.Tensor, labels: torch.Tensor | None = None) -> Latents:
    """Latents that start at z [N, z_dim]."""
    return Latents('z', z.detach().clone().requires_grad_(), labels)
