"""Small filled networks as the dictionary that a network file holds, and what they draw and judge."""

import numpy as np
import torch

from stylegan2_mspe import networks
from tests.golden import fill

CONTENT = ('training_set_kwargs', 'G', 'D', 'G_ema', 'augment_pipe')


def make_content(seed=1, c_dim=0, **synthesis):
    options = dict(channel_base=128, channel_max=16)
    G = networks.Generator(8, c_dim, 8, 32, 3, mapping_kwargs=dict(num_layers=2),
                           synthesis_kwargs=dict(options, **synthesis))
    D = networks.Discriminator(c_dim, 32, 3, **options)
    return dict(dict.fromkeys(CONTENT), G=fill(G, seed), G_ema=fill(G, seed), D=fill(D, seed))


def draw(G, **options):
    z = torch.from_numpy(np.random.RandomState(0).randn(2, G.z_dim))
    return G(z, torch.eye(G.c_dim)[:2] if G.c_dim else None, noise_mode='const', **options)


def judge(D):
    pictures = torch.from_numpy(np.random.RandomState(1).randn(4, D.img_channels, 32, 32)).float()
    return D(pictures, torch.eye(4)[:, :D.c_dim] if D.c_dim else None)


def same(first, second, tolerance=0.0):
    torch.testing.assert_close(first, second, rtol=0, atol=tolerance)
