"""tools/benchmark_canvas.py: what it prints and writes, at toy size, and the count of multiplications."""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import rendering
from stylegan2_mspe.pe import Canvas, Window
from tests.drawn import make_generator, save
from tools import benchmark_canvas


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(arguments) → (text printed, numbers written); what a child would do is done here."""
    save(tmp_path / 'a.pkl')
    monkeypatch.setattr(benchmark_canvas, 'in_child', benchmark_canvas.work)
    monkeypatch.setattr(benchmark_canvas, 'WHOLE', 32)
    monkeypatch.setattr(benchmark_canvas, 'LARGE', 64)

    def run(*arguments):
        result = CliRunner().invoke(benchmark_canvas.main, [f'--network={tmp_path}/a.pkl', *arguments,
                                                            f'--json={tmp_path}/o.json'])
        assert result.exit_code == 0, result.output
        return result.output, json.loads((tmp_path / 'o.json').read_text())
    return run


def test_growing_pictures_are_measured(run, tmp_path):
    text, found = run('--tasks=grow', '--sides=64,100', f'--plot={tmp_path}/a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        assert picture.width > 960 and picture.height > 320
    assert text.splitlines()[0].startswith('64 x 64: ') and 'MB above the interpreter' in text
    for each, side in zip(found['grow'], (64, 100)):
        assert each['side'] == side and each['file'] > 500 and each['seconds'] > 0


def test_tiles_are_compared_with_whole_pictures(run):
    text, found = run('--tasks=compare,twice', '--rounds=2', '--tile=16')
    assert '64 x 64 in tiles: ' in text and 'tiles of 16: ' in text and len(found['compare']) == 2
    assert found['twice']['16'] > 1                     # the halo is as large as the tile


def test_multiplications_are_those_of_the_layers():
    G, counted, hooks = rendering.prepare(make_generator(), 'cpu'), [], []
    for block in (getattr(G.synthesis, f'b{r}') for r in G.synthesis.block_resolutions):
        for name in ('conv0', 'conv1', 'torgb'):
            layer = getattr(block, name, None)
            if layer is not None:               # an upsampling layer multiplies at its inputs
                side = 0 if name == 'conv0' else 1
                hooks.append(layer.register_forward_hook(
                    lambda layer, given, made, side=side:
                    counted.append((given[0], made)[side][0, 0].numel() * layer.weight.numel())))
    canvas = Canvas.identity(16).extended(4, 12, 16, 0)
    for window in (Window.whole(canvas), Window(canvas, 5, 3, 9, 20), Window.whole(canvas, 'plane')):
        counted.clear()
        rendering.render(G, torch.zeros([1, G.num_ws, G.w_dim]), window)
        assert benchmark_canvas.multiplications(G, window) == sum(counted)


def test_a_cold_start_is_measured(run, monkeypatch):
    monkeypatch.setattr(benchmark_canvas, 'seconds', lambda command: 1.0 + ('generate.py' in command[1]))
    monkeypatch.setattr(benchmark_canvas, 'warm', lambda G, ws, job: {'warm': 0.5})
    text, found = run('--tasks=cold', '--rounds=1')
    assert 'cold: 2.00 s; import torch 1.00 s + 1.5 x warm render 0.50 s = 1.75 s' in text
    assert found['cold'] == [dict(imported=1.0, generate=2.0, warm=0.5)]


@pytest.mark.parametrize('arguments, text', [
    (['--tasks=all'], "found 'all', expected a comma list of grow, compare, twice, cold"),
    (['--sides=1024,x'], "found '1024,x', expected a comma list of pixels"), (['--rounds=0'], 'x>=1'),
])
def test_what_is_refused(arguments, text):
    result = CliRunner().invoke(benchmark_canvas.main, arguments)
    assert result.exit_code == 2 and text in result.output
