"""Which way of a modulated convolution is chosen, and that the choice changes no number."""

import pytest
import torch

from stylegan2_mspe import networks
from stylegan2_mspe.ops import modconv

F32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(modconv, 'MEASURED', {
        ('cpu', 'float32', 512, 8): (.5, .9, 2.), ('cpu', 'float32', 64, 256): (3., 3., 3.),
        ('cuda', 'float16', 512, 8): (.2, .2, .2)})


@pytest.mark.parametrize('count, expected', [(0, False), (1, False), (2, False), (7, False), (8, True)])
def test_the_row_of_this_shape_at_the_batch_below(table, count, expected):
    assert modconv.scale_activations('cpu', F32, False, count, 512, 8) is expected


def test_shapes_in_between_go_by_the_nearest(table):
    assert not modconv.scale_activations('cpu', F32, False, 1, 512, 16)
    assert modconv.scale_activations('cpu', F32, False, 1, 64, 128)


def test_training_scales_activations_and_no_row_goes_by_the_rule(table):
    assert modconv.scale_activations('cuda', torch.float16, True, 8, 512, 8)
    assert not modconv.scale_activations('cuda', torch.float16, False, 8, 512, 8)
    for device, dtype, one, many in [('cpu', BF16, False, True), ('cuda', F32, False, False),
                                     ('xpu', F32, False, True)]:
        found = [modconv.scale_activations(device, dtype, False, count, 512, 8) for count in (1, 8)]
        assert found == [one, many]


def test_the_table_is_whole():
    for (device, dtype, channels, resolution), row in modconv.MEASURED.items():
        assert device in ('cpu', 'cuda') and hasattr(torch, dtype)
        assert len(row) == len(modconv.BATCHES) and min(row) > 0 and channels > 0 and resolution > 0


@pytest.mark.parametrize('count', [1, 3])
def test_pictures_are_the_same_either_way_and_the_argument_wins(monkeypatch, count):
    torch.manual_seed(0)
    G = networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=1),
                           synthesis_kwargs=dict(channel_base=512, channel_max=32, pe='mspe')).eval()
    ws = torch.randn(count, G.num_ws, 8)
    calls, asked, original = [], [], networks.modulated_conv2d
    monkeypatch.setattr(networks, 'modulated_conv2d',
                        lambda *a, **k: calls.append(k['fused_modconv']) or original(*a, **k))
    pictures = []
    for chosen in (True, False):
        monkeypatch.setattr(networks.fast, 'scale_activations',
                            lambda *a, chosen=chosen: asked.append(a) or chosen)
        pictures.append(G.synthesis(ws, noise_mode='const'))
        assert calls and set(calls) == {not chosen}
        calls.clear()
    assert ('cpu', F32, False, count, 32, 16) in asked
    asked.clear()
    pictures.append(G.synthesis(ws, noise_mode='const', fused_modconv=True))
    assert not asked and set(calls) == {True}
    for other in pictures[1:]:
        assert (other - pictures[0]).abs().max() <= 1e-5 * pictures[0].std()
