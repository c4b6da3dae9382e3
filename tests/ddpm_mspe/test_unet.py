"""The U-Net: its parts by hand, where its positions enter, and what a canvas changes at each level."""

import math

import pytest
import torch
from torch import nn

from ddpm_mspe import unet
from ddpm_mspe.unet import UNet
from stylegan2_mspe.pe import Canvas, Plan, register_plan
from tests.tiny_unet import fill_unet, make_unet


def noisy(count, height=16, width=16, channels=3, seed=0):
    return torch.randn([count, channels, height, width], generator=torch.Generator().manual_seed(seed))


def positions(net):
    """Name of the part -> level resolution, in the order of the forward pass."""
    return {name: part.resolution for name, part in net.named_modules() if isinstance(part, unet.Position)}


def test_the_papers_network():
    """Ho et al.'s counts: four levels 64 to 8, two blocks down and three up at each, attention at 8 only."""
    net = UNet(img_resolution=64, img_channels=3, pe='mspe')
    blocks = [part for part in net.modules() if isinstance(part, unet.ResidualBlock)]
    attention = [name for name, part in net.named_modules() if isinstance(part, unet.Attention)]
    assert len(blocks) == 4 * 2 + 2 + 4 * 3
    assert len(attention) == 2 + 1 + 3 and net.coarsest == 8
    assert list(positions(net).values()) == [64, 64, 32, 32, 16, 16, 8, 8, 16, 32, 64]
    assert 25e6 < sum(value.numel() for value in net.parameters()) < 40e6
    assert not net.conv_out.weight.any() and not any(block.conv2.weight.any() for block in blocks)
    assert all(part.gamma == 1 for part in net.modules() if isinstance(part, unet.Position))


@pytest.mark.parametrize('plan, levels', [('none', []), ('sspe', [4, 4]), ('mspe', [8, 4, 4, 8, 16])])
def test_plans(plan, levels):
    assert list(positions(make_unet(plan)).values()) == levels


def test_a_plan_of_ones_own():
    register_plan('every-second-level', Plan(input='cartesian', added=lambda level: level % 2 == 0))
    net = make_unet('every-second-level')
    assert {(part.resolution, part.name) for part in net.modules() if isinstance(part, unet.Position)} == {
        (4, 'cartesian'), (16, 'sinusoidal')}


def test_time_embedding_by_hand():
    found = unet.time_embedding(torch.tensor([0, 7, 999]), 8)
    for row, t in zip(found, (0, 7, 999)):
        angles = [t / 10000 ** (k / 3) for k in range(4)]
        wanted = [math.sin(each) for each in angles] + [math.cos(each) for each in angles]
        torch.testing.assert_close(row, torch.tensor(wanted), rtol=0, atol=2e-4)
    assert unet.time_embedding(torch.zeros(0), 5).shape == (0, 5)


def test_attention_by_hand():
    layer = fill_unet(nn.ModuleDict(dict(a=unet.Attention(4, 2))))['a']
    x = noisy(2, 3, 2, 4)
    qkv = torch.einsum('oc,nchw->nohw', layer.qkv.weight[:, :, 0, 0], layer.norm(x))
    q, k, v = (qkv + layer.qkv.bias[:, None, None]).flatten(2).split(4, dim=1)
    weights = torch.einsum('ncq,nck->nqk', q, k).div(2).softmax(2)          # √4 channels
    mixed = torch.einsum('nqk,nck->ncq', weights, v).reshape(x.shape)
    wanted = x + torch.einsum('oc,nchw->nohw', layer.out.weight[:, :, 0, 0], mixed) \
        + layer.out.bias[:, None, None]
    torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


def test_attention_of_a_large_picture_takes_no_matrix_of_all_pairs():
    layer, x = fill_unet(nn.ModuleDict(dict(a=unet.Attention(4, 2))))['a'], noisy(2, 6, 4, 4)
    wanted = layer(x)
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.FLASH_ATTENTION):
        torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


def test_residual_block_by_hand():
    block = fill_unet(nn.ModuleDict(dict(b=unet.ResidualBlock(4, 8, 6, 0., 2))))['b']
    x, time = noisy(2, 5, 3, 4), torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    silu = lambda value: value / (1 + (-value).exp())
    h = nn.functional.conv2d(silu(block.norm1(x)), block.conv1.weight, block.conv1.bias, padding=1)
    h = h + (time @ block.time.weight.T + block.time.bias)[:, :, None, None]
    h = nn.functional.conv2d(silu(block.norm2(h)), block.conv2.weight, block.conv2.bias, padding=1)
    skip = nn.functional.conv2d(x, block.skip.weight, block.skip.bias)
    torch.testing.assert_close(block(x, time), skip + h, rtol=1e-5, atol=1e-5)


def test_a_batch_is_its_pictures_one_by_one():
    net, x, t = make_unet(), noisy(3, 16, 24), torch.tensor([0, 500, 999])
    canvases = [Canvas.identity(16).extended(0, 0, 0, 8).shifted(shift, 2 * shift) for shift in (0, 3, -2.5)]
    together = net(x, t, canvases)
    for index in range(3):
        alone = net(x[index:index + 1], t[index:index + 1], canvases[index])
        torch.testing.assert_close(together[index:index + 1], alone, rtol=1e-4, atol=1e-5)
    assert net(x[:0], t[:0], canvases[0]).shape == (0, 3, 16, 24)


@pytest.mark.parametrize('channels', [1, 4])
def test_grey_and_rgba(channels):
    net = make_unet(img_channels=channels)
    assert net(noisy(1, channels=channels), torch.tensor([3])).shape == (1, channels, 16, 16)


def recorded(net, x, canvas):
    """What each Position adds to its features: name -> [C, H, W]."""
    added = {}
    for name, part in net.named_modules():
        if isinstance(part, unet.Position):
            part.register_forward_hook(
                lambda part, inputs, output, name=name: added.update({name: (output - inputs[0])[0]}))
    net(x, torch.tensor([5]), canvas)
    return added


@pytest.mark.parametrize('dy, dx', [(4, 8), (1, 0), (-2.5, 3)])
def test_a_shift_moves_every_encoding_by_its_share(dy, dx):
    """A shift of Δ pixels moves the encoding of a level by Δ · r / R of its cells (Sec. 3.4)."""
    net, canvas = make_unet(), Canvas.identity(16).shifted(dy, dx)
    found = recorded(net, noisy(1), canvas)
    assert len(found) == 5
    for name, resolution in positions(make_unet()).items():
        gamma = net.get_submodule(name).gamma
        cells = torch.arange(resolution, dtype=torch.float64)
        share = resolution / 16
        rows, cols = ((((cells + .5) / share - shift) % 16) * share - .5 for shift in (dy, dx))
        d = found[name].shape[0] // 4
        angles = rows[None] / 100 ** (torch.arange(d, dtype=torch.float64) / d)[:, None]
        wanted = torch.stack([angles.sin(), angles.cos()], 1).flatten(0, 1)
        torch.testing.assert_close(found[name][:2 * d, :, 0].double(), gamma * wanted, rtol=0, atol=1e-5)
        angles = cols[None] / 100 ** (torch.arange(d, dtype=torch.float64) / d)[:, None]
        wanted = torch.stack([angles.sin(), angles.cos()], 1).flatten(0, 1)
        torch.testing.assert_close(found[name][2 * d:, 0].double(), gamma * wanted, rtol=0, atol=1e-5)


def test_whole_cells_of_the_deepest_level_move_whole_encodings():
    plain = recorded(make_unet(), noisy(1), None)
    moved = recorded(make_unet(), noisy(1), Canvas.identity(16).shifted(4, 8))
    for name, resolution in positions(make_unet()).items():
        rolled = plain[name].roll((4 * resolution // 16, 8 * resolution // 16), dims=(1, 2))
        torch.testing.assert_close(moved[name], rolled, rtol=0, atol=2e-5)


def test_only_encodings_know_of_the_canvas():
    x, t = noisy(1), torch.tensor([9])
    baseline = make_unet('none')
    torch.testing.assert_close(baseline(x, t), baseline(x, t, Canvas.identity(16).shifted(3, 5)))
    for plan in ('sspe', 'mspe'):
        net = make_unet(plan)
        assert (net(x, t) - net(x, t, Canvas.identity(16).shifted(3, 5))).abs().mean() > 1e-3


def test_inside_a_large_picture_the_baseline_is_equivariant_to_cells_of_its_deepest_level():
    """Without attention, whose sums see everything, and with statistics that are the same, by wrapping."""
    for layer in (net := make_unet('none', attention=(), multipliers=(1, 2, 2), blocks=(0, 1, 0))).modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding_mode = 'circular'
            layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    net.middle[1] = nn.Identity()
    x, t = noisy(1), torch.tensor([9])
    torch.testing.assert_close(net(x.roll((4, 8), (2, 3)), t), net(x, t).roll((4, 8), (2, 3)),
                               rtol=1e-4, atol=1e-5)


def test_gammas_learn():
    net = make_unet().requires_grad_(True)
    net(noisy(2), torch.tensor([1, 2])).square().sum().backward()
    for name, part in net.named_modules():
        if isinstance(part, unet.Position):
            assert part.gamma.grad.abs() > 0, name
    assert all(value.grad is not None for value in net.parameters())


def test_coordinates_as_tensors_have_gradients():
    net = make_unet()
    vectors = {level: tuple(torch.arange(level, dtype=torch.float32, requires_grad=True) for _ in range(2))
               for level in (4, 8, 16)}
    found = net(noisy(1), torch.tensor([4]), vectors)
    torch.testing.assert_close(found, net(noisy(1), torch.tensor([4])), rtol=1e-4, atol=1e-4)
    found.square().sum().backward()
    assert all(vector.grad.abs().sum() > 0 for pair in vectors.values() for vector in pair)


@pytest.mark.parametrize('size, cells', [((16, 16), (16, 16)), ((17, 23), (20, 24)), ((4, 41), (4, 44))])
def test_a_canvas_is_rounded_up_to_cells_of_the_deepest_level(size, cells):
    net, canvas = make_unet(), Canvas.identity(16).resized(*size)
    assert net.cells(canvas) == cells
    assert net(noisy(1, *cells), torch.tensor([0]), canvas).shape == (1, 3, *cells)
    with pytest.raises(ValueError, match='expected'):
        net(noisy(1, cells[0] + 4, cells[1]), torch.tensor([0]), canvas)


@pytest.mark.parametrize('wrong', [dict(channels=6), dict(img_resolution=18), dict(img_resolution=2),
                                   dict(pe='mspf'), dict(pe_kwargs=dict(bass=3)), dict(blocks=(1, 1)),
                                   dict(channels=0)])
def test_refuses(wrong):
    with pytest.raises(ValueError):
        make_unet(**wrong)


def test_dropout_only_trains():
    net, x, t = make_unet(), noisy(1), torch.tensor([2])
    assert torch.equal(net(x, t), net(x, t))
    net.train()
    assert not torch.equal(net(x, t), net(x, t))
