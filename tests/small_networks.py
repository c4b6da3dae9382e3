"""Networks small enough to be written and read a hundred times, filled, and what one of them draws."""


import numpy as np
import torch

from stylegan2_mspe import networks
from tests.golden import fill


def make_generator(seed=1, **kwargs):
    synthesis = dict(channel_base=64, channel_max=8, num_fp16_res=1, conv_clamp=256, pe='mspe')
    options = dict(z_dim=8, c_dim=0, w_dim=8, img_resolution=16, img_channels=3,
                   mapping_kwargs=dict(num_layers=2), synthesis_kwargs=synthesis)
    return fill(networks.Generator(**{**options, **kwargs}), seed)


def make_discriminator(**kwargs):
    return fill(networks.Discriminator(**{**dict(c_dim=0, img_resolution=16, img_channels=3, channel_base=64,
                                                 channel_max=8), **kwargs}))


def draw(G, canvas=None):
    z = torch.from_numpy(np.random.RandomState(0).randn(2, G.z_dim))
    c = torch.eye(G.c_dim)[:2] if G.c_dim else None
    return G(z, c, noise_mode='const', canvas=canvas)
