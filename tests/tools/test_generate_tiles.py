"""The command line of generate for pictures in tiles: they are the whole, go on, and have a grid."""

import pathlib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import images, rendering, streaming
from tests.command import runner
from tests.drawn import assert_alike, make_generator, read
from tools import generate


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    return runner(generate.main, network[0], tmp_path, monkeypatch)


def test_tiles_make_the_whole_picture(run):
    asked = ['--canvas=37x53', '--seeds=1', '--shift=0', '--shift=0,2.5']
    run(*asked)
    whole = {path.name: read(path) for path in pathlib.Path('o').iterdir()}
    assert len(whole) == 3 and 'grid.png' in whole
    for option in ('--tile=20', '--max-memory=5M', '--continue'):
        files, output = run(*asked, option, f'--outdir={option[2:7]}')
        assert sorted(path.name for path in pathlib.Path(option[2:7]).iterdir()) == sorted(whole)
        assert f'Wrote 2 pictures to {option[2:7]}' in output
        for name, pixels in whole.items():
            assert_alike(read(f'{option[2:7]}/{name}'), pixels)


def test_the_grid_of_pictures_in_tiles_is_reduced(run, monkeypatch):
    monkeypatch.setattr(generate, 'MOST_SHOWN', 500)
    monkeypatch.setattr(images, 'READABLE', 1)                  # nothing is enlarged
    _, output = run('--canvas=40x52', '--seeds=1-2', '--shift=0,3', '--tile=20')
    assert 'Wrote o/grid.png' in output
    grid = read('o/grid.png')
    for seed in (1, 2):
        with Image.open(f'o/seed{seed:04d}.png') as picture:
            small = np.asarray(picture.reduce(3)).transpose(2, 0, 1)    # 2 * 40 * 52 / 9 < 500
        spots = np.argwhere((grid == small[:, :1, :1]).all(0))
        assert any((grid[:, y:y + 14, x:x + 18] == small).all() for y, x in spots
                   if grid[:, y:y + 14, x:x + 18].shape == small.shape)
    files, output = run('--canvas=16x200', '--seeds=1', '--tile=20', '--outdir=p')
    assert 'Note: no grid.png, which would show pictures of 16x200 pixels 3 times smaller' in output
    assert [path.name for path in pathlib.Path('p').iterdir()] == ['seed0001.png']


def test_a_window_is_that_part_of_the_whole(run):
    run('--canvas=32x48', '--seeds=1', '--border=plane', '--noise-mode=anchored', '--noise-seed=5')
    whole = read('o/seed0001.png')
    run('--canvas=32x48', '--seeds=1', '--border=plane', '--noise-mode=anchored', '--noise-seed=5',
        '--window=3,17,20x30')
    assert_alike(read('o/seed0001.png'), whole[:, 3:23, 17:47])


def test_large_pictures_are_drawn_in_tiles_of_one_seed(run, monkeypatch):
    monkeypatch.setattr(generate, 'MOST_WHOLE', rendering.picture_bytes(make_generator(), 16, 16))
    files, _ = run()
    assert len(files) == 17
    files, output = run('--canvas=16x20', '--outdir=p')
    assert sorted(path.name for path in pathlib.Path('p').iterdir()) == ['grid.png', 'seed0000.png']
    assert 'Wrote 1 picture to p' in output


def test_continue_goes_on_where_an_interruption_was(run, network, monkeypatch):
    asked = ['--canvas=40x40', '--seeds=1-2', '--tile=20']
    run(*asked)
    whole = {name: pathlib.Path('o', name).read_bytes() for name in ('seed0001.png', 'seed0002.png')}
    drawn, draw = [], streaming.rendering.render

    def interrupted(*args, **kwargs):
        drawn.append(args)
        if len(drawn) == 7:         # of eight tiles
            raise KeyboardInterrupt
        return draw(*args, **kwargs)

    monkeypatch.setattr(streaming.rendering, 'render', interrupted)
    result = CliRunner().invoke(generate.main, [f'--network={network[0]}', '--outdir=p', *asked])
    assert result.exit_code == 1 and 'rows of p/seed0002.png so far are kept' in result.stderr
    assert sorted(path.name for path in pathlib.Path('p').iterdir()) == [
        'seed0001.png', 'seed0002.png.part', 'seed0002.png.part.json']
    _, output = run(*asked[:2], '--continue', '--outdir=p')     # which finds out the tile
    assert 'Note: p/seed0001.png is complete already.' in output and len(drawn) == 7 + 2
    for name, data in whole.items():
        assert pathlib.Path('p', name).read_bytes() == data
