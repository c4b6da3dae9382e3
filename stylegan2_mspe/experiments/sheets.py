"""Sheets of pictures: the same latents of several networks on several canvases."""

from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image

from stylegan2_mspe import images, rendering
from stylegan2_mspe.pe import Canvas

Canvases = Callable[[torch.nn.Module], Mapping[str, Canvas | None]]     # of G: by the name of their column


def sheet(networks: Mapping[str, torch.nn.Module], seeds: Sequence[int], canvases: Canvases,
          title: str = '') -> Image.Image:
    """A row for each network and seed, a column for each canvas."""
    rows, labels, heads = [], [], []
    for name, G in networks.items():
        asked = canvases(G)
        rows += rows_of(G, rendering.seed_ws(G, seeds), asked)
        labels += [f'{name}, seed {seed}' for seed in seeds]
        heads = list(asked)
    return images.labelled_grid(rows, labels, heads, title)


def rows_of(G: torch.nn.Module, ws: torch.Tensor, canvases: Mapping[str, Canvas | None]) -> list[tuple]:
    """For each latent of ws [N, num_ws, w_dim], its pictures [C, H, W] on the canvases."""
    return list(zip(*(rendering.render(G, ws, canvas) for canvas in canvases.values())))
