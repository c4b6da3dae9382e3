"""A network that draws in milliseconds, with pictures in about [-1, 1] that depend on latent and place."""

import torch

from stylegan2_mspe import networks
from stylegan2_mspe.inversion.place import Place
from tests.golden import fill


def make_generator(img_channels=3, c_dim=0, pe='mspe', seed=5, resolution=16):
    G = fill(networks.Generator(
        z_dim=8, c_dim=c_dim, w_dim=8, img_resolution=resolution, img_channels=img_channels,
        mapping_kwargs=dict(num_layers=2),
        synthesis_kwargs=dict(channel_base=8 * resolution, channel_max=8, pe=pe)), seed)
    with torch.no_grad():       # filled networks are louder than trained ones
        for block in G.synthesis.children():
            block.torgb.weight.mul_(0.15)
            block.torgb.bias.mul_(0.15)
    return G


def make_discriminator(img_channels=3, seed=6, resolution=16):
    return fill(networks.Discriminator(0, resolution, img_channels, channel_base=8 * resolution,
                                       channel_max=8), seed)


def psnr(found, wanted):
    """Of each picture [N, C, H, W] in [-1, 1]: [N] in dB."""
    error = (found.clamp(-1, 1) - wanted.clamp(-1, 1)).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4 / error)


def place_at(G, *shifts, zoom=1.0, size=None, wraps=(True, True)):
    size = size or (G.img_resolution, G.img_resolution)
    return Place.of(G.img_resolution, size, shifts, [zoom] * len(shifts), wraps)
