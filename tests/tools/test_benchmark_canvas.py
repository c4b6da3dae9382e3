"""The benchmark's table canvas: what it prints and writes, at toy size, and the count of multiplications."""

import json

import pytest
import torch
from PIL import Image

from stylegan2_mspe import default_network, rendering
from stylegan2_mspe.pe import Canvas, Window
from tests.command import call
from tests.drawn import make_generator, save
from tools import benchmark
from tools.benchmarks import canvas, contenders


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(arguments) → (lines printed, numbers written); what a child would do is done here."""
    save(tmp_path / 'a.pkl')
    monkeypatch.setattr(default_network, 'bundled_network', lambda why: str(tmp_path / 'a.pkl'))
    monkeypatch.setattr(contenders, 'compare', lambda jobs, rounds: {
        name: [canvas.prepare(json.loads(json.dumps(job)))() for _ in range(rounds)]
        for name, job in jobs.items()})
    monkeypatch.setattr(canvas, 'WHOLE', 32)
    monkeypatch.setattr(canvas, 'LARGE', 64)
    monkeypatch.setattr(canvas, 'seconds', lambda command: 1.0 + ('generate.py' in command[1]))
    monkeypatch.setitem(canvas.TASKS, 'warm', lambda G, ws, job: {'warm': 0.5})

    def run(*arguments):
        said = call(benchmark.main, '--tables=canvas', f'--json={tmp_path}/o.json', *arguments)
        return said.splitlines(), json.loads((tmp_path / 'o.json').read_text())
    return run


def test_everything_is_measured(run, tmp_path):
    lines, found = run('--sides=64,100', '--rounds=2', '--tile=16', f'--plot={tmp_path}/a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        assert picture.width > 960 and picture.height > 320
    rows = [line.strip('| ').split(' | ') for line in lines if line.startswith('|')]
    assert rows[0][-1] == 'file' and [row[0] for row in rows[2:]] == ['64×64', '100×100']
    for each, row, side in zip(found['grow'], rows[2:], (64, 100)):
        assert each['side'] == side and each['file'] > 500 and each['seconds'] > 0
        assert row[3] == f'{each["seconds"] / side ** 2 * 1e9:.0f} ns'
    text = '\n'.join(lines)
    assert '64 x 64 in tiles: ' in text and 'tiles of 16: ' in text and len(found['compare']) == 2
    assert found['twice']['16'] > 1                     # the halo is as large as the tile
    assert 'cold: 2.00 s; import torch 1.00 s + 1.5 x warm render 0.50 s = 1.75 s' in text
    assert found['cold'] == [dict(imported=1.0, generate=2.0, warm=0.5)] * 2


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
    whole = Canvas.identity(16).extended(4, 12, 16, 0)
    for window in (Window.whole(whole), Window(whole, 5, 3, 9, 20), Window.whole(whole, 'plane')):
        counted.clear()
        rendering.render(G, torch.zeros([1, G.num_ws, G.w_dim]), window)
        assert canvas.multiplications(G, window) == sum(counted)


@pytest.mark.parametrize('argument, text', [
    ('--sides=1024,x', "'1024,x': expected a comma list of whole numbers"), ('--rounds=0', 'x>=1'),
    ('--tile=0', 'x>=1')])
def test_what_is_refused(argument, text):
    assert text in call(benchmark.main, '--tables=canvas', argument, code=2)
