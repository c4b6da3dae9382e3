"""Noise maps that are optimised together with a latent (Karras et al. 2020, appendix D).

Every synthesis layer that uses noise gets a map of its own for each sample, of the size of its level on the
canvas; kept from carrying the picture by a penalty on what neighbours have in common, at every scale.
"""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch

from stylegan2_mspe import pe

Maps = dict[str, torch.Tensor]      # name of a layer, such as b8.conv0 -> [N, 1, H, W]
SMALLEST = 8                        # the pyramid ends at maps of this many cells


def noise_layers(synthesis: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The layers that use noise, by name. Asked for at every step, so it looks at nothing else."""
    layers = {}
    for resolution in synthesis.block_resolutions:
        block = getattr(synthesis, f'b{resolution}')
        for name in ('conv0', 'conv1'):
            layer = getattr(block, name, None)          # the coarsest block has no conv0
            if layer is not None and layer.use_noise:
                layers[f'b{resolution}.{name}'] = layer
    return layers


def random_maps(synthesis: torch.nn.Module, place: pe.Place, count: int, seed: int) -> Maps:
    """Standard normal maps for `count` samples, which require gradients; the same on every device."""
    source, own = np.random.RandomState(seed), synthesis.b4.conv1.weight
    maps = {}
    for name, layer in noise_layers(synthesis).items():
        cells = pe.cells(place, layer.resolution, synthesis.img_resolution)
        values = torch.from_numpy(source.standard_normal([count, 1, *cells])).to(own)
        maps[name] = values.requires_grad_()
    return maps


@contextlib.contextmanager
def injected(synthesis: torch.nn.Module, maps: Maps | None) -> Iterator[None]:
    """Inside, the layers take these maps, times their strengths, for their noise."""
    layers = noise_layers(synthesis) if maps else {}
    for name, layer in layers.items():
        layer.noise = functools.partial(_of_map, maps[name], layer.noise_strength)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.noise


def _of_map(map: torch.Tensor, strength: torch.Tensor, mode: str, count: int, height: int, width: int,
            place=None, seed=0) -> torch.Tensor:
    """In place of SynthesisLayer.noise. Past its edges, which a window sees, a map goes on periodically."""
    if isinstance(place, pe.Patch):
        rows, cols = (torch.arange(*span, device=map.device) % length
                      for span, length in zip((place.rows, place.cols), map.shape[2:]))
        map = map[:, :, rows][:, :, :, cols]
    return map * strength


def penalty(maps: Maps) -> torch.Tensor:
    """What neighbours have in common, squared, over all maps and scales: [N].

    Every scale halves the one before by adding 2 x 2 cells and dividing by 2, so that independent noise keeps
    its variance. Maps of one size are treated together, finest first.
    """
    sizes: dict[tuple[int, int], list[torch.Tensor]] = {}
    for map in maps.values():
        sizes.setdefault(tuple(map.shape[2:]), []).append(map)
    total = 0
    while sizes:
        size = max(sizes)
        each = torch.cat(sizes.pop(size), dim=1)        # [N, maps, H, W]
        for dimension in (2, 3):
            total = total + (each * each.roll(1, dimension)).mean(dim=(2, 3)).square().sum(dim=1)
        if min(size) > SMALLEST:
            smaller = torch.nn.functional.avg_pool2d(each, 2) * 2
            sizes.setdefault(tuple(smaller.shape[2:]), []).append(smaller)
    return total


@torch.no_grad()
def normalise(maps: Maps) -> None:
    """Gives every map a mean of 0 and a mean square of 1, in place."""
    for map in maps.values():
        variance, mean = torch.var_mean(map, dim=(1, 2, 3), correction=0, keepdim=True)
        map.sub_(mean).mul_(variance.add_(1e-8).rsqrt_())
