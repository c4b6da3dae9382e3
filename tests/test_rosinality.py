"""Rosinality-style files: the authors' numbers come out, the baseline goes there and back."""

import argparse
import io
import os
import pickle

import numpy as np
import pytest
import torch

from stylegan2_mspe import rosinality
from stylegan2_mspe.network_file import NetworkFileError
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rosinality import load_rosinality, save_rosinality
from tests.authors import authors_file, authors_state
from tests.content import draw, judge, make_content, same
from tests.foreign_pickle import Calls
from tests.golden import golden


@pytest.mark.parametrize('position', ['none', 'sspe', 'mspe'])
def test_golden_authors_networks_come_out_through_the_import(position):
    numbers = golden('authors_generator16')
    args = argparse.Namespace(size=16, position=position, n_mlp=3)
    optimizer = dict(state={}, param_groups=[])
    G = load_rosinality(authors_file(position, numbers, args=args, g_optim=optimizer))['G_ema']
    assert (G.img_resolution, G.z_dim, G.mapping.num_layers, G.synthesis.pe) == (16, 48, 3, position)
    z = torch.from_numpy(numbers['z'])
    shifts = {(0, 0), (2, 0), (4, 8), (1, 0), (0, 3)}
    if position != 'none':      # 3 pixels are 1.5 cells at 8x8, where their rounding is a turn from our wrap
        shifts.remove((0, 3))
    for dy, dx in shifts:
        expected = numbers[f'{position}_img_{dy}_{dx}']
        picture = G(z, None, noise_mode='const', canvas=Canvas.identity(16).shifted(dy, dx))
        assert (picture - torch.from_numpy(expected)).abs().max() <= 1e-4 * expected.std()


def test_the_mean_latent_is_the_recorded_one_or_drawn():
    numbers = golden('authors_generator16')
    recorded = torch.arange(48.)[None]
    G = load_rosinality(authors_file('none', numbers, latent_avg=recorded))['G_ema']
    assert torch.equal(G.mapping.w_avg, recorded[0])
    first, second = (load_rosinality(authors_file('none', numbers))['G_ema'] for _ in range(2))
    assert torch.equal(first.mapping.w_avg, second.mapping.w_avg)
    w = first.mapping(torch.randn(4096, 48), None)[:, 0]
    assert ((w.mean(0) - first.mapping.w_avg) / w.std(0)).abs().max() < 0.1


def test_the_baseline_goes_to_rosinality_names_and_back(tmp_path):
    content = make_content()
    save_rosinality(tmp_path / 'a.pt', content)
    saved = torch.load(tmp_path / 'a.pt', weights_only=True)
    assert saved.keys() == {'g_ema', 'g', 'd', 'latent_avg'}
    found = load_rosinality(tmp_path / 'a.pt')
    same(draw(found['G_ema']), draw(content['G_ema']))
    same(judge(found['D']), judge(content['D']))
    assert torch.equal(found['G'].mapping.w_avg, content['G'].mapping.w_avg)


def test_names_and_shapes_are_those_of_the_authors(tmp_path):
    """Their own list of names and shapes, for the same size of network."""
    numbers = golden('authors_generator16')
    G = load_rosinality(authors_file('none', numbers))['G_ema']
    save_rosinality(tmp_path / 'a.pt', dict(G_ema=G))
    ours = torch.load(tmp_path / 'a.pt', weights_only=True)['g_ema']
    theirs = authors_state('none', numbers)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def plain_discriminator(d, x):
    """rosinality's residual discriminator, from its parameters by name, with PyTorch's own convolutions."""
    def layer(x, name, stride=1, padding=0):
        weight = d[f'{name}.weight'].double()
        weight = weight / np.sqrt(weight[0].numel())
        return torch.nn.functional.conv2d(x, weight, stride=stride, padding=padding)

    def activate(x, name):
        return torch.nn.functional.leaky_relu(x + d[f'{name}.bias'].double()[:, None, None], 0.2) * np.sqrt(2)

    def blur(x, name, padding):
        kernel = d[name].double().expand(x.shape[1], 1, 4, 4)
        x = torch.nn.functional.pad(x, [padding] * 4)
        return torch.nn.functional.conv2d(x, kernel, groups=x.shape[1])

    x = activate(layer(x, 'convs.0.0'), 'convs.0.1')
    for block in ('convs.1', 'convs.2', 'convs.3'):
        y = activate(layer(x, f'{block}.conv1.0', padding=1), f'{block}.conv1.1')
        y = layer(blur(y, f'{block}.conv2.0.kernel', 2), f'{block}.conv2.1', stride=2)
        y = activate(y, f'{block}.conv2.2')
        x = (y + layer(blur(x, f'{block}.skip.0.kernel', 1), f'{block}.skip.1', stride=2)) / np.sqrt(2)
    deviation = (x.var(dim=0, correction=0) + 1e-8).sqrt().mean()
    x = torch.cat([x, deviation.expand(len(x), 1, 4, 4)], dim=1)
    x = activate(layer(x, 'final_conv.0', padding=1), 'final_conv.1').flatten(1)
    for name in ('final_linear.0', 'final_linear.1'):
        weight = d[f'{name}.weight'].double()
        x = x @ weight.t() / np.sqrt(weight.shape[1]) + d[f'{name}.bias'].double()
        x = torch.nn.functional.leaky_relu(x, 0.2) * np.sqrt(2) if name.endswith('0') else x
    return x


def test_the_discriminator_means_the_same_there(tmp_path):
    content = make_content()
    save_rosinality(tmp_path / 'a.pt', content)
    state = torch.load(tmp_path / 'a.pt', weights_only=True)['d']
    pictures = torch.from_numpy(np.random.RandomState(1).randn(4, 3, 32, 32))
    expected = plain_discriminator(state, pictures)
    same(judge(content['D']).double(), expected, 1e-4 * float(expected.std()))


@pytest.mark.parametrize('content, asked', [
    (lambda: make_content(pe='mspe'), "G_ema: found pe = 'mspe'"), (lambda: make_content(c_dim=3), 'labels'),
    (lambda: make_content(architecture='resnet'), "architecture = 'resnet', expected 'skip'"),
    (lambda: make_content(border='plane'), "border = 'plane', expected 'zero'"),
])
def test_what_rosinality_has_no_place_for_is_refused(tmp_path, content, asked):
    with pytest.raises(ValueError, match=asked):
        save_rosinality(tmp_path / 'a.pt', content())
    assert not list(tmp_path.iterdir())


def torch_file(content, **options) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize('content, asked', [
    (lambda: torch_file(dict(g_ema=Calls(os.system, 'true'))), r'(posix|nt)\.system'),
    (lambda: torch_file(dict(g_ema=Calls(eval, '1'))), r'\beval\b'),
    (lambda: torch_file(Calls(os.system, 'true'), _use_new_zipfile_serialization=False), 'system|cannot'),
    (lambda: io.BytesIO(pickle.dumps(Calls(os.system, 'true'))), 'system|tensor data|damaged'),
    (lambda: torch_file(dict(g=1)), 'holds no g_ema'), (lambda: torch_file([1]), 'holds no g_ema'),
    (lambda: torch_file(dict(g_ema={'a': 1})), 'expected tensors by name'),
    (lambda: torch_file(dict(g_ema={'odd': torch.zeros(3)})), "'odd', which networks of stylegan2-pytorch"),
    (lambda: torch_file(dict(g_ema={})), 'expected a tensor of|max'),
    (lambda: io.BytesIO(b''), 'early|damaged|tensor data'), (lambda: io.BytesIO(b'PK\3\4junk'), 'damaged'),
])
def test_hostile_and_other_torch_files_are_refused(content, asked):
    with pytest.raises(NetworkFileError, match=asked) as caught:
        load_rosinality(content())
    assert '\n' not in str(caught.value)


def test_tensors_of_wrong_shapes_are_refused(tmp_path):
    save_rosinality(tmp_path / 'a.pt', make_content())
    saved = torch.load(tmp_path / 'a.pt', weights_only=True)
    for name, value in list(saved['g_ema'].items())[::3]:
        if name.endswith('kernel'):
            continue
        for other in (value.new_zeros(0), value.new_zeros(7, 7), value.new_zeros(2, 2, 2, 3)):
            with pytest.raises(NetworkFileError) as caught:
                load_rosinality(torch_file(dict(g_ema={**saved['g_ema'], name: other})))
            assert '\n' not in str(caught.value)


def test_rosinality_names_are_distinct():
    for names in (rosinality.generator_names(1024, 8), rosinality.discriminator_names(1024)):
        assert len(set(names.values())) == len(names)
