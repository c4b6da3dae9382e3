"""What the package itself offers to a program: opening a network and drawing a picture with it."""

import os

import torch

from stylegan2_mspe import legacy, rendering, streaming
from stylegan2_mspe.default_network import bundled_network
from stylegan2_mspe.pe import Canvas


def load(path: str | os.PathLike | None = None, device: str = 'auto',
         precision: str = 'fp32') -> torch.nn.Module:
    """The generator (the averaged one) of a network file or URL, by default of the network in the box.

    device: 'auto' is CUDA where there is some. precision: fp32, fp16, bf16 or fp64. Reading a file runs no
    code from it. Raises ValueError or OSError for a file that is no network.
    """
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    path = bundled_network() if path is None else os.fspath(path)
    return rendering.prepare(legacy.load_network_pkl(path)['G_ema'], device, precision)


def render(G: torch.nn.Module, canvas: Canvas | None = None, seed: int = 0, **look) -> torch.Tensor:
    """The picture [C, H, W] of a seed on a canvas, by default the trained one, on the CPU, about [-1, 1].

    look: tile, noise_mode, noise_seed, border and window, as of `streaming.tiles`, which also gives the
    picture in parts, and takes any latents. Memory is that of a tile and of the picture.
    """
    return streaming.render(G, rendering.seed_ws(G, [seed]), canvas, **look)
