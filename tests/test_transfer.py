"""Starting from another network: what is copied, resized, new and left; how near the first pictures are."""

import copy

import numpy as np
import pytest
import torch

from stylegan2_mspe import networks, transfer
from stylegan2_mspe.legacy import save_network_pkl
from tests.golden import fill


def make(resolution=16, pe='none', labels=0, channels=3, cbase=64, cmax=8, layers=2, seed=None):
    """G, D and G_ema; filled where there is a seed."""
    options = dict(channel_base=cbase, channel_max=cmax)
    G = networks.Generator(8, labels, 8, resolution, channels, mapping_kwargs=dict(num_layers=layers),
                           synthesis_kwargs=dict(options, pe=pe))
    models = dict(G=G, D=networks.Discriminator(labels, resolution, channels, **options),
                  G_ema=copy.deepcopy(G))
    for index, module in enumerate(models.values()):
        module.eval().requires_grad_(False)
        if seed is not None:
            fill(module, seed + index)
    return models


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('networks')


def saved(folder, **options):
    """(path, networks) of a file."""
    models = make(**options, seed=5)
    path = str(folder / f'{"-".join(map(str, options.values())) or "plain"}.pkl')
    save_network_pkl(path, **models, training_set_kwargs=None)
    return path, models


def pictures(G, count=3, **options):
    z = torch.randn([count, G.z_dim], generator=torch.Generator().manual_seed(1))
    return G(z, torch.zeros([count, G.c_dim]), noise_mode='const', force_fp32=True, **options)


def same(first, second, names):
    return all(torch.equal(first[name], second[name]) for name in names)


def test_an_mspe_network_from_a_baseline(folder):
    path, source = saved(folder)
    models = make(pe='mspe')
    lines = transfer.start_from(path, models)
    gammas = {f'synthesis.b{resolution}.gamma' for resolution in (8, 16)}
    for name, module in models.items():
        ours, theirs = module.state_dict(), source[name].state_dict()
        assert ours.keys() - theirs.keys() == (gammas if 'G' in name else set())
        assert theirs.keys() - ours.keys() == ({'synthesis.b4.const'} if 'G' in name else set())
        assert same(ours, theirs, ours.keys() & theirs.keys())
    # G and G_ema start at the same γ, that of the two whose pictures are nearer.
    apart = {}
    for value in (0, 1):
        for name, parameter in models['G_ema'].named_parameters():
            if name in gammas:
                assert float(parameter) == float(models['G'].state_dict()[name]) or value
                parameter.fill_(value)
        apart[value] = transfer.difference(source['G_ema'], models['G_ema'])
    assert lines[0] == f'Starting from {path}: 16x16, 3 channels, pe none'
    assert lines[-1] == (
        f'First pictures differ from its pictures by {apart[0]:.3f} with γ = 0 and {apart[1]:.3f} with γ = 1 '
        f'(RMS of 16 in [-1, 1]): γ starts at {min(apart, key=apart.get)}.')
    assert {float(models['G'].state_dict()[name]) for name in gammas} == {min(apart, key=apart.get)}


def test_the_nearer_start_is_taken(folder):
    """An SS-PE network is an MS-PE one with γ = 0; and one that lost its γ, trained with 1, wants it back."""
    path, source = saved(folder, pe='sspe')
    models = make(pe='mspe')
    assert 'by 0.000 with γ = 0' in transfer.start_from(path, models)[-1]
    torch.testing.assert_close(pictures(models['G']), pictures(source['G']))
    with_one = make(pe='mspe', seed=5)
    for name, parameter in with_one['G_ema'].named_parameters():
        if name.endswith('gamma'):
            parameter.fill_(1)
    names = [name for name in with_one['G_ema'].state_dict() if name.endswith('gamma')]
    again = copy.deepcopy(with_one['G_ema'])
    assert transfer._start_gammas(with_one['G_ema'], again, names).endswith('γ starts at 1.')


def test_the_table(folder):
    path, _ = saved(folder, cbase=256)
    lines = transfer.start_from(path, make(pe='mspe', resolution=32, cbase=256))
    assert [line.split() for line in lines[1:-1]] == [
        ['copied', 'resized', 'new', 'left'],
        ['G', 'mapping', '5', '-', '-', '-'],
        ['G', 'b4', '12', '-', '-', '1', 'left', 'const'],
        ['G', 'b8', '19', '-', '1', '-', 'new', 'gamma'],
        ['G', 'b16', '19', '-', '1', '-', 'new', 'gamma'],
        ['G', 'b32', '-', '-', '20', '-'],
        ['D', 'b4', '7', '-', '-', '-'],
        ['D', 'b8', '9', '-', '-', '-'],
        ['D', 'b16', '9', '-', '-', '3',
         'left', 'fromrgb.weight,', 'fromrgb.bias,', 'fromrgb.resample_filter'],
        ['D', 'b32', '-', '-', '12', '-'],
    ]


def test_every_tensor_is_in_one_place_of_the_table(folder):
    _, source = saved(folder)
    finer = dict(pe='mspe', resolution=32, cbase=128)
    for options in (finer, dict(labels=3), dict(channels=1), dict(cmax=16)):
        for name, module in make(**options).items():
            outcome = transfer.copy_tensors(source[name], module)
            ours = [*outcome.copied, *outcome.resized, *outcome.new]
            assert sorted(ours) == sorted(module.state_dict())
            theirs = [*outcome.copied, *outcome.resized, *outcome.left]
            assert sorted(theirs) == sorted(source[name].state_dict())


@pytest.mark.parametrize('resolution', [32, 64])
def test_a_larger_network_draws_the_same_pictures_enlarged(folder, resolution):
    path, source = saved(folder)
    models = make(resolution=resolution)
    transfer.start_from(path, models)
    drawn = pictures(models['G'])
    expected = pictures(source['G'])
    while expected.shape[2] < resolution:
        expected = networks.upfirdn2d.upsample2d(expected, models['G'].synthesis.b4.resample_filter)
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)


def test_a_smaller_network_takes_the_coarse_levels(folder):
    path, source = saved(folder, resolution=32)
    models = make(resolution=16)
    lines = transfer.start_from(path, models)
    outcome = transfer.copy_tensors(source['G'], make(resolution=16)['G'])
    assert outcome.new == [] and all('.b32.' in name for name in outcome.left)
    assert ['G', 'b32', '-', '-', '-', '19'] in [line.split() for line in lines]


def test_a_level_with_other_channels_begins_anew_and_the_option_is_named(folder):
    path, source = saved(folder, cbase=128, layers=3)      # 8 channels at every level; here 4 at the finest
    models = make()
    fresh = copy.deepcopy(models['G'].state_dict())
    lines = transfer.start_from(path, models)
    ours, theirs = models['G'].state_dict(), source['G'].state_dict()
    assert torch.equal(ours['synthesis.b8.conv1.weight'], theirs['synthesis.b8.conv1.weight'])
    assert torch.equal(ours['synthesis.b16.conv1.weight'], fresh['synthesis.b16.conv1.weight'])
    [row] = [line for line in lines if line.split()[:2] == ['G', 'b16']]
    assert 'other shape conv0.weight, conv0.bias, conv1.weight, conv1.bias and 5 more' in row
    assert lines[-1] == 'More of it would fit with --map-depth=3 --cbase=128.'


def test_labels_come_and_go(folder):
    plain, _ = saved(folder)
    models = make(labels=5)
    before = {name: copy.deepcopy(module.state_dict()) for name, module in models.items()}
    source = make(seed=5)
    lines = transfer.start_from(plain, models)
    ours, theirs = models['G'].state_dict(), source['G'].state_dict()
    first = ours['mapping.fc0.weight']
    assert torch.equal(first[:, :8], theirs['mapping.fc0.weight'])                  # the latent's
    assert torch.equal(first[:, 8:], before['G']['mapping.fc0.weight'][:, 8:])      # the labels'
    assert torch.equal(ours['mapping.embed.weight'], before['G']['mapping.embed.weight'])
    assert torch.equal(models['D'].state_dict()['b4.conv.weight'], source['D'].state_dict()['b4.conv.weight'])
    assert any('resized fc0.weight; new embed.weight, embed.bias' in line for line in lines)
    labelled, source = saved(folder, labels=5)
    models = make()
    transfer.start_from(labelled, models)
    assert torch.equal(models['G'].mapping.fc0.weight, source['G'].mapping.fc0.weight[:, :8])


def test_grey_and_coloured_pictures(folder):
    """A grey network's pictures in three channels, a colour network's in grey; D answers as it did."""
    seen = torch.randn([4, 1, 16, 16], generator=torch.Generator().manual_seed(2))
    path, source = saved(folder, channels=1)
    models = make(channels=3)
    transfer.start_from(path, models)
    torch.testing.assert_close(pictures(models['G']), pictures(source['G']).expand(-1, 3, -1, -1))
    assert_same_answers(models['D'], seen.expand(-1, 3, -1, -1), source['D'], seen)
    path, source = saved(folder, channels=3)
    models = make(channels=1)
    transfer.start_from(path, models)
    luma = torch.tensor([.299, .587, .114]).view(3, 1, 1)
    torch.testing.assert_close(pictures(models['G']), (pictures(source['G']) * luma).sum(1, keepdim=True))
    assert_same_answers(models['D'], seen, source['D'], seen.expand(-1, 3, -1, -1))
    models = make(channels=4)
    transfer.start_from(path, models)
    drawn = pictures(models['G'])
    torch.testing.assert_close(drawn[:, :3], pictures(source['G']))
    assert not drawn[:, 3].any()                                                # alpha: half


def test_other_colours_and_other_channels_at_a_time(folder):
    path, source = saved(folder, channels=3, cbase=128)     # 8 channels at 16x16; here 4
    models = make(channels=1)
    fresh = copy.deepcopy(models['G'].state_dict())
    transfer.start_from(path, models)
    ours, theirs = models['G'].state_dict(), source['G'].state_dict()
    luma = torch.tensor([[.299, .587, .114]])
    for name in ('b8.torgb.bias', 'b16.torgb.bias'):
        torch.testing.assert_close(ours[f'synthesis.{name}'], luma @ theirs[f'synthesis.{name}'])
    anew = [f'synthesis.b16.torgb.{leaf}' for leaf in ('weight', 'affine.weight', 'affine.bias')]
    assert same(ours, fresh, anew)


def assert_same_answers(D, pictures, other, others):
    torch.testing.assert_close(D(pictures, None), other(others, None), rtol=1e-4, atol=1e-4)


def test_missing_networks(folder):
    source = make(seed=5)
    path = str(folder / 'ema-only.pkl')
    save_network_pkl(path, G=None, D=None, G_ema=source['G_ema'], training_set_kwargs=None)
    models = make()
    fresh = copy.deepcopy(models['D'].state_dict())
    lines = transfer.start_from(path, models)
    assert 'There is no discriminator in the file: it begins anew.' in lines
    assert same(models['D'].state_dict(), fresh, fresh)
    for name in ('G', 'G_ema'):
        assert same(models[name].state_dict(), source['G_ema'].state_dict(), source['G_ema'].state_dict())


def test_other_latents_are_not_compared(folder):
    path, _ = saved(folder)
    wide = make(pe='mspe')
    options = dict(channel_base=64, channel_max=8, pe='mspe')
    wide['G'] = networks.Generator(12, 0, 8, 16, 3, synthesis_kwargs=options)
    wide['G'].requires_grad_(False)
    wide['G_ema'] = copy.deepcopy(wide['G'])
    assert 'the latents differ: γ starts at 1' in transfer.start_from(path, wide)[-2]
    assert float(wide['G_ema'].synthesis.b8.gamma) == 1


def test_the_difference_is_that_of_the_pictures():
    first, second = make(seed=1)['G'], make(seed=2, resolution=32)['G']
    z = torch.randn([16, 8], generator=torch.Generator().manual_seed(0))
    one, other = (np.clip(G(z, torch.zeros([16, 0]), noise_mode='const').double().numpy(), -1, 1)
                  for G in (first, second))
    shrunk = other.reshape(16, 3, 16, 2, 16, 2).mean(axis=(3, 5))
    expected = np.sqrt(np.mean((one - shrunk) ** 2))
    assert transfer.difference(first, second) == pytest.approx(expected, rel=1e-4)
    assert transfer.difference(first, copy.deepcopy(first)) == 0
