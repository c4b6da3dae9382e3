"""A generator small enough to draw in milliseconds, what it should draw, and what a program has drawn."""

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import images, legacy, networks
from tests.golden import fill


def make_generator(img_channels=3, c_dim=0, pe='mspe'):
    return fill(networks.Generator(
        z_dim=8, c_dim=c_dim, w_dim=8, img_resolution=16, img_channels=img_channels,
        mapping_kwargs=dict(num_layers=2),
        synthesis_kwargs=dict(channel_base=64, channel_max=8, num_fp16_res=1, conv_clamp=256, pe=pe)))


def save(path, **kwargs):
    G = make_generator(**kwargs)
    with torch.no_grad():   # filled networks are louder than trained ones: bring pictures into [-1, 1]
        for block in G.synthesis.children():
            block.torgb.weight.mul_(0.2)
            block.torgb.bias.mul_(0.2)
    legacy.save_network_pkl(path, G=G, D=None, G_ema=G, training_set_kwargs=None)
    return G


def read(path):
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def expected(G, seed, canvas=None, noise_mode='const', psi=1, c=None):
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, G.z_dim))
    return images.to_uint8(G(z, c, truncation_psi=psi, noise_mode=noise_mode, canvas=canvas)[0])


def assert_alike(found, wanted):
    """Equal but for the rounding of a level here and there: batches of other sizes add up in another
    order.
    """
    assert found.shape == wanted.shape and wanted.std() > 10
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
