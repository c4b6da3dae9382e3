"""SeFa: directions worked out by hand, layers, files; and an edit that moves with its picture."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import sefa, streaming
from stylegan2_mspe.pe import Canvas
from tests.inversion.small import make_generator


@pytest.fixture(scope='module')
def G():
    return make_generator()


def test_layers_take_the_ws_that_the_network_gives_them(G):
    found = {layer.name: layer.index for layer in sefa.style_layers(G.synthesis)}
    assert found == {'b4.conv1': 0, 'b4.torgb': 1, 'b8.conv0': 1, 'b8.conv1': 2, 'b8.torgb': 3,
                     'b16.conv0': 3, 'b16.conv1': 4, 'b16.torgb': 5}
    ws = G.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), None).requires_grad_()
    styles = {}
    for layer in sefa.style_layers(G.synthesis):
        block, name = layer.name.split('.')
        module = getattr(getattr(G.synthesis, block), name)
        hook = module.register_forward_pre_hook(
            lambda module, inputs, name=layer.name: styles.__setitem__(name, module.affine(inputs[1])))
        module.hook = hook
    G.synthesis(ws, noise_mode='none')
    for layer in sefa.style_layers(G.synthesis):
        block, name = layer.name.split('.')
        getattr(getattr(G.synthesis, block), name).hook.remove()
        gradient, = torch.autograd.grad(styles[layer.name].sum(), ws)
        assert gradient[0, layer.index].abs().min() > 0 and (gradient.abs().sum(dim=2) > 0).sum() == 1
        torch.testing.assert_close(gradient[0, layer.index].double(), layer.weight.sum(dim=0))


def test_directions_are_those_that_change_the_styles_most():
    G = make_generator()
    with torch.no_grad():       # the styles of one layer stretch three axes of w by 3, 2 and 1
        for layer in sefa.style_layers(G.synthesis):
            block, name = layer.name.split('.')
            affine = getattr(getattr(G.synthesis, block), name).affine
            affine.weight.zero_()
            if layer.name == 'b8.conv1':
                for row, (axis, length) in enumerate([(4, 2.0), (1, -3.0), (6, 1.0)]):
                    affine.weight[row, axis] = length / affine.weight_gain
    found = sefa.factorise(G)
    torch.testing.assert_close(found.values[:4], torch.tensor([9, 4, 1, 0], dtype=torch.float64))
    torch.testing.assert_close(found.vectors[:3], torch.eye(8, dtype=torch.float64)[[1, 4, 6]])
    alone = sefa.factorise(G, layers=[2])
    assert alone.layers == (2,) and torch.equal(alone.vectors[:3], found.vectors[:3])


def test_every_layer_has_the_same_say_where_asked(G):
    gram = sum(layer.weight.T @ layer.weight / layer.weight.square().sum()
               for layer in sefa.style_layers(G.synthesis) if not layer.rgb)
    found = sefa.factorise(G, normalise=True)
    torch.testing.assert_close(gram @ found.vectors.T, found.vectors.T * found.values)
    assert found.values.sum() == pytest.approx(5)       # five convolutions, each with a trace of 1
    assert (found.values.diff() <= 0).all()
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(8, dtype=torch.float64))


def test_rgb_layers_count_only_where_asked(G):
    assert sefa.factorise(G).layers == (0, 1, 2, 3, 4)
    assert sefa.factorise(G, rgb=True).layers == (0, 1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match='only layers that make colours'):
        sefa.factorise(G, layers=[5])
    with pytest.raises(ValueError, match='--layers: found 6, expected 0 to 5'):
        sefa.factorise(G, layers=[0, 6])


def test_an_edit_moves_the_chosen_layers_only(G):
    ws, found = torch.randn(2, 6, 8), sefa.factorise(G, layers=[1, 3])
    edited = sefa.edit(ws, found, 2, -1.5)
    assert torch.equal(edited[:, [0, 2, 4, 5]], ws[:, [0, 2, 4, 5]])
    moved = (edited - ws)[:, [1, 3]]
    torch.testing.assert_close(moved, (-1.5 * found.vectors[2]).float().expand(2, 2, 8), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match='--edit: found direction 8, expected 0 to 7'):
        sefa.edit(ws, found, 8, 1)


def test_an_edit_of_a_shifted_picture_is_the_shifted_edit(G):
    """In plane mode, by a quarter of the trained size: whole cells of every level."""
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(3))
    ws = sefa.edit(G.mapping(z, None), sefa.factorise(G, layers=[0, 1]), 0, 2.0)
    still = Canvas.identity(16).extended(8, 8, 12, 8)
    draw = lambda canvas: streaming.render(G, ws, canvas, border='plane', noise_mode='none')
    picture, moved = draw(still), draw(still.shifted(4, -4, wrap=False))
    error = (moved[:, 4:, :-4] - picture[:, :-4, 4:]).abs().max()
    assert error <= 1e-5 * picture.std() and (moved - picture).abs().max() > 0.1


def test_directions_survive_a_file(G, tmp_path):
    found = sefa.factorise(G, layers=[2, 4])
    sefa.save_directions(tmp_path / 'a.npz', found)
    again = sefa.load_directions(tmp_path / 'a.npz', 6, 8)
    assert torch.equal(again.vectors, found.vectors) and torch.equal(again.values, found.values)
    assert again.layers == (2, 4)
    with pytest.raises(ValueError, match='expected an .npz file of tools/sefa.py for 6 latents of 16'):
        sefa.load_directions(tmp_path / 'a.npz', 6, 16)
    np.savez(tmp_path / 'b.npz', w=np.zeros(3))
    with pytest.raises(ValueError, match='b.npz: found .*vectors'):
        sefa.load_directions(tmp_path / 'b.npz', 6, 8)
