"""What scripts written for StyleGAN2-ADA-PyTorch do: its names, and network files opened by pickle itself."""

import copy
import importlib
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import dnnlib
from stylegan2_mspe import augment, dataset, loss, networks
from stylegan2_mspe.pe import Canvas
from tests.golden import fill

ROOT = pathlib.Path(__file__).parents[1]

# What objects of StyleGAN2-ADA-PyTorch know besides parameters, buffers and parts: nothing of positions.
ATTRIBUTES = {
    'Generator': 'z_dim c_dim w_dim img_resolution img_channels num_ws',
    'MappingNetwork': 'z_dim c_dim w_dim num_ws num_layers w_avg_beta',
    'FullyConnectedLayer': 'activation weight_gain bias_gain',
    'SynthesisNetwork': 'w_dim img_resolution img_resolution_log2 img_channels block_resolutions num_ws',
    'SynthesisBlock': 'in_channels w_dim resolution img_channels is_last architecture use_fp16 channels_last '
                      'num_conv num_torgb',
    'SynthesisLayer': 'resolution up use_noise activation conv_clamp padding act_gain',
    'ToRGBLayer': 'conv_clamp weight_gain',
    'Conv2dLayer': 'activation up down conv_clamp padding weight_gain act_gain',
    'Discriminator': 'c_dim img_resolution img_resolution_log2 img_channels block_resolutions',
    'DiscriminatorBlock': 'in_channels resolution img_channels first_layer_idx architecture use_fp16 '
                          'channels_last num_layers',
    'DiscriminatorEpilogue': 'in_channels cmap_dim resolution img_channels architecture',
    'MinibatchStdLayer': 'group_size num_channels',
}

SCRIPT = '''
import pickle, sys
import numpy as np
import torch
with open(sys.argv[1], 'rb') as file:
    content = pickle.load(file)
G, D = content['G_ema'], content['D']
z = torch.from_numpy(np.random.RandomState(0).randn(2, G.z_dim))
picture = G(z, None, truncation_psi=0.7, noise_mode='const')
np.savez(sys.argv[2], picture=picture, logits=D(picture, None))
'''


def as_theirs(module):
    """A copy of a network without what StyleGAN2-ADA's lack."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    for part in module.modules():
        known = ATTRIBUTES[type(part).__name__].split()
        for name in [name for name in vars(part) if not name.startswith('_')]:
            if name not in [*known, 'training']:
                delattr(part, name)
    return module


@pytest.fixture(scope='module')
def pair():
    options = dict(channel_base=64, channel_max=8, num_fp16_res=1, conv_clamp=256)
    G = networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=options)
    D = networks.Discriminator(0, 16, 3, **options)
    return fill(G).eval().requires_grad_(False), fill(D).eval().requires_grad_(False)


@pytest.fixture
def network_file(pair, tmp_path):
    G, D = map(as_theirs, pair)
    path = tmp_path / 'network.pkl'
    path.write_bytes(pickle.dumps(dict(G=G, D=D, G_ema=G, training_set_kwargs=None, augment_pipe=None)))
    return path


def test_pickle_opens_a_network_file_of_theirs_where_nothing_is_imported(pair, network_file, tmp_path):
    command = [sys.executable, '-c', SCRIPT, str(network_file), str(tmp_path / 'out.npz')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    G, D = pair
    z = torch.from_numpy(np.random.RandomState(0).randn(2, 8))
    picture = G(z, None, truncation_psi=0.7, noise_mode='const')
    with np.load(tmp_path / 'out.npz') as out:
        np.testing.assert_array_equal(out['picture'], picture)
        np.testing.assert_array_equal(out['logits'], D(picture, None))


def test_it_is_drawn_and_pickled_as_ours_then(pair, network_file):
    G = pickle.loads(network_file.read_bytes())['G_ema']
    z = torch.from_numpy(np.random.RandomState(0).randn(2, 8))
    canvas = Canvas.identity(16).extended(0, 0, 8, 8).shifted(3, -2)
    expected = pair[0](z, None, canvas=canvas, noise_mode='const')
    for each in (G, copy.deepcopy(G), pickle.loads(pickle.dumps(G))):
        torch.testing.assert_close(each(z, None, canvas=canvas, noise_mode='const'), expected, rtol=0, atol=0)


def test_blocks_are_drawn_one_after_another(pair):
    G, _ = pair
    ws = G.mapping(torch.from_numpy(np.random.RandomState(0).randn(2, 8)), None)
    x, picture, index = None, None, 0
    for resolution in G.synthesis.block_resolutions:
        block = getattr(G.synthesis, f'b{resolution}')
        own = ws.narrow(1, index, block.num_conv + block.num_torgb)
        x, picture = block(x, picture, own, noise_mode='const', force_fp32=True)
        index += block.num_conv
    expected = G.synthesis(ws, noise_mode='const', force_fp32=True)
    torch.testing.assert_close(picture, expected, rtol=0, atol=0)


def test_noise_maps_and_latents_have_gradients(pair):
    """As projectors of its users take them: buffers found by name, filled in place."""
    G = copy.deepcopy(pair[0])
    maps = {name: value for name, value in G.synthesis.named_buffers() if 'noise_const' in name}
    for each in maps.values():
        each[:] = torch.randn_like(each)
        each.requires_grad = True
    w = G.mapping.w_avg.repeat(1, 1, 1).requires_grad_(True)
    G.synthesis(w.repeat([1, G.mapping.num_ws, 1]), noise_mode='const').square().sum().backward()
    assert len(maps) == 5 and all(each.grad.any() for each in [w, *maps.values()])


def test_modules_have_their_names_there():
    for name, module in dict(networks=networks, dataset=dataset, loss=loss, augment=augment).items():
        assert importlib.import_module(f'training.{name}') is module
    made = dnnlib.util.construct_class_by_name(
        class_name='training.networks.Generator', z_dim=4, c_dim=0, w_dim=4, img_resolution=8, img_channels=1)
    assert type(made) is networks.Generator
