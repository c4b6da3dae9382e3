"""How much of a picture is left to the noise: the deviation of each pixel over many noise maps (Fig. 4)."""

import torch

from stylegan2_mspe import chance
from stylegan2_mspe.rendering import batch_that_fits, render
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
        drawn = [drawn_with_noise(G, ws, count) for count in counts]
    return torch.cat(drawn).double().std(dim=0, correction=0) * 255


def drawn_with_noise(G: torch.nn.Module, ws: torch.Tensor, count: int) -> torch.Tensor:
    """Grey pictures [count, R, R] of ws [1, num_ws, w_dim], as if drawn in one batch with torch's own noise,
    however few of them fit at a time.
    """
    most = batch_that_fits(G, (G.img_resolution,) * 2, '--network', count)
    generator = torch.cuda.default_generators[ws.device.index or 0] if ws.is_cuda else torch.default_generator
    state, drawn = generator.get_state(), []
    for start in range(0, count, most):
        generator.set_state(state)
        some = range(start, min(start + most, count))
        with chance.some(some, count):
            drawn.append(grey(render(G, ws.expand(len(some), -1, -1), None, 'random')))
    return torch.cat(drawn)
