"""How much of a picture is left to the noise: the deviation of each pixel over many noise maps (Fig. 4)."""

import torch

from stylegan2_mspe.rendering import render
from stylegan2_mspe.similarity import grey

MAPS = 100                      # noise maps


@torch.no_grad()
def noise_deviation(G: torch.nn.Module, ws: torch.Tensor, maps: int = MAPS, seed: int = 0,
                    batch: int = 25) -> torch.Tensor:
    """Standard deviation of each grey pixel over `maps` random noise maps, float64 [R, R] in levels of 255.

    ws [1, num_ws, w_dim]; `seed` decides the noise, alike for every network of the same shape on a device.
    """
    device = ws.device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        torch.manual_seed(seed)
        counts = [min(batch, maps - start) for start in range(0, maps, batch)]
        drawn = [grey(render(G, ws.expand(count, -1, -1), None, 'random')) for count in counts]
    return torch.cat(drawn).double().std(dim=0, correction=0) * 255
