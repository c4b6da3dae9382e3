"""The commands around directions: tools/sefa.py and generate.py --edit."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import images, sefa
from stylegan2_mspe.pe import Canvas
from tests.command import call
from tests.drawn import assert_alike, read, save
from tools import generate
from tools import sefa as program


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp('network') / 'a.pkl'
    return path, save(path)


def test_directions_and_a_grid_of_each(network, tmp_path):
    path, G = network
    call(program.main, f'--network={path}', f'--outdir={tmp_path}', '--layers=0-2', '--directions=2',
         '--seeds=0,1', '--steps=3')
    assert {file.name for file in tmp_path.iterdir()} == {'sefa.npz', 'sefa-0.png', 'sefa-1.png'}
    found = sefa.load_directions(tmp_path / 'sefa.npz', G.num_ws, 8)
    torch.testing.assert_close(found.vectors, sefa.factorise(G, [0, 1, 2]).vectors)
    assert found.layers == (0, 1, 2)


def test_generate_draws_the_edited_latents(network, tmp_path):
    path, G = network
    options = (f'--network={path}', f'--outdir={tmp_path / "o"}', '--seeds=3', '--shift=2')
    call(generate.main, *options, '--edit=0:1.5', '--edit=2:-1')
    z = torch.from_numpy(np.random.RandomState(3).randn(1, 8))
    found = sefa.factorise(G)
    ws = sefa.edit(sefa.edit(G.mapping(z, None), found, 0, 1.5), found, 2, -1)
    wanted = images.to_uint8(G.synthesis(ws, canvas=Canvas.identity(16).shifted(2, 2), noise_mode='const')[0])
    assert_alike(read(tmp_path / 'o/seed0003.png'), wanted)
    call(program.main, f'--network={path}', f'--outdir={tmp_path}', '--layers=1', '--directions=1',
         '--seeds=0')
    call(generate.main, *options, '--edit=0:1.5', f'--directions={tmp_path / "sefa.npz"}')
    ws = sefa.edit(G.mapping(z, None), sefa.factorise(G, [1]), 0, 1.5)
    wanted = images.to_uint8(G.synthesis(ws, canvas=Canvas.identity(16).shifted(2, 2), noise_mode='const')[0])
    assert_alike(read(tmp_path / 'o/seed0003.png'), wanted)


def test_bad_edits(network, tmp_path):
    path, _ = network
    options = (f'--network={path}', f'--outdir={tmp_path / "o"}')
    with pytest.raises(ValueError, match='--edit: found direction 8, expected 0 to 7'):
        call(generate.main, *options, '--edit=8:1')
    said = call(generate.main, *options, '--edit=up', code=2)
    assert "found 'up', expected the index of a direction" in said
    with pytest.raises(OSError, match='No such file'):
        call(generate.main, *options, '--edit=0:1', '--directions=none.npz')
    with pytest.raises(ValueError, match='--trunc: found --projected-w=a.npz, expected one of the two'):
        call(program.main, *options, '--projected-w=a.npz', '--trunc=0.7')
    with pytest.raises(ValueError, match='--layers: found 9, expected 0 to'):
        call(program.main, *options, '--layers=9')
    assert not (tmp_path / 'o').exists()
