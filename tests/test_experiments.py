"""Each experiment at toy size: the numbers it writes and the picture it draws."""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import networks
from stylegan2_mspe.experiments import fig2

from tests.golden import fill


@pytest.fixture
def G():
    torch.manual_seed(0)
    G = networks.Generator(8, 0, 8, 64, 1, synthesis_kwargs=dict(channel_base=256, channel_max=8, pe='mspe'))
    return fill(G, seed=3)


def test_fig2_measures_every_shift_in_both_directions(G, monkeypatch):
    monkeypatch.setattr(fig2, 'SHIFTS', (0, 5, 64))
    curves = fig2.measure({'one': G}, range(3))
    assert [(curve.network, curve.direction) for curve in curves] == [('one', 'right'), ('one', 'down')]
    for curve in curves:
        assert len(curve.mean) == 3 and curve.mean[0] == 1 and curve.error[0] == 0
        # A whole turn leaves the encoding, and with the stored noise in its place the picture, as they were.
        assert curve.mean[2] == pytest.approx(1, abs=1e-3) and 0 < curve.mean[1] < 1
    assert 'lowest' in fig2.summary(curves[0]) and 'at 5 pixels' in fig2.summary(curves[0])


def test_fig2_command(G, monkeypatch, tmp_path):
    from stylegan2_mspe import legacy
    from tools import reproduce

    monkeypatch.setattr(fig2, 'SHIFTS', (0, 16))
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': G})
    command = ['fig2', '--network=a=x.pkl', '--seeds=2', f'--outdir={tmp_path}']
    result = CliRunner().invoke(reproduce.main, command, catch_exceptions=False)
    assert result.exit_code == 0 and 'a, right: mean' in result.output
    numbers = json.loads((tmp_path / 'fig2.json').read_text())
    assert numbers['networks'] == {'a': 'x.pkl'} and numbers['seeds'] == 2
    assert [len(curve['mean']) for curve in numbers['curves']] == [2, 2]
    assert Image.open(tmp_path / 'fig2.png').size == (720, 440)
    assert Image.open(tmp_path / 'fig2-digits.png').width > 11 * 64
