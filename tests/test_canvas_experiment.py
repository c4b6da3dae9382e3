"""The pictures of docs/canvas.md at toy size, and the numbers beside them."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import rendering
from stylegan2_mspe.experiments import canvas
from tests.drawn import make_generator, save
from tools import reproduce


@pytest.fixture(scope='module')
def G():
    return rendering.prepare(make_generator(), 'cpu', 'fp64')


def test_what_is_exact_is_measured_as_exact(G):
    found = canvas.numbers(G, [1, 2])
    assert found['rolled'] < 1e-8 and found['repeated'] < 1e-8
    assert list(found['leak']) == ['4', '8', '16', 'picture'] and min(found['leak'].values()) > 0


def test_what_is_not_exact_is_measured_as_that(G, monkeypatch):
    monkeypatch.setattr(canvas, 'PLANE', dict(border='zero', noise_mode='const'))
    assert canvas.numbers(G, [1])['rolled'] > 1
    monkeypatch.setattr(canvas, 'PLANE', dict(border='plane', noise_mode='random'))
    assert canvas.numbers(G, [1])['repeated'] > 1


def test_sheets_have_a_row_for_each_seed(G):
    one, two = canvas.pictures(G, [1]), canvas.pictures(G, [1, 2])
    assert list(one) == list(two) == ['shift', 'size', 'repeat', 'extend', 'plane', 'leak']
    for name in one:
        assert one[name].width == two[name].width
        assert (one[name].height < two[name].height) == (name != 'leak')


def test_the_command(tmp_path):
    save(tmp_path / 'a.pkl')
    result = CliRunner().invoke(reproduce.main, ['canvas', f'--network={tmp_path}/a.pkl', '--seeds=3',
                                                 f'--outdir={tmp_path}/o'], catch_exceptions=False)
    assert result.exit_code == 0 and 'is the rolled picture to' in result.output
    numbers = json.loads((tmp_path / 'o/canvas.json').read_text())
    assert numbers['seeds'] == [3] and numbers['rolled'] < 0.1
    assert len(list((tmp_path / 'o').glob('canvas-*.png'))) == 6
    with Image.open(tmp_path / 'o/canvas-shift.png') as picture:
        assert picture.width > 6 * 128
