"""How much of a picture is left to the noise: the deviation of each pixel over many noise maps (Fig. 4)."""

import torch

from stylegan2_mspe import chance
from stylegan2_mspe.rendering import batch_that_fits, render
from stylegan2_mspe.similarity import grey

MAPS = 100                      # noise maps


@torch.no_grad()
def noise_deviation(G: torch.nn.Module, ws: torch.Tensor, maps: int, seed: int,
                    batch: int = 25) -> torch.Tensor:
    """Standard deviation of each grey pixel over `maps` random noise maps, float64 [R, R] in levels of 255.

    ws [1, num_ws, w_dim]; `seed` decides the noise: alike for every network of the same shape, on any device
    and however many maps fit at a time.
    """
    batch, drawn = batch_that_fits(G, (G.img_resolution,) * 2, '--network', batch), []
    for start in range(0, maps, batch):
        seeds = [chance.mixed(seed, index) for index in range(start, min(start + batch, maps))]
        with chance.each(seeds):
            drawn.append(grey(render(G, ws.expand(len(seeds), -1, -1), None, 'random')))
    return torch.cat(drawn).double().std(dim=0, correction=0) * 255
