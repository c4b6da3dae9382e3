"""style_mixing.py: every pair, the grid, projected rows, and where it is drawn."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from stylegan2_mspe import images
from stylegan2_mspe.pe import Canvas
from tests.command import runner
from tests.drawn import assert_alike, read, save
from tools import style_mixing

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    return runner(style_mixing.main, network[0], tmp_path, monkeypatch)


def latent(G, seed, psi=1, c=None):
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, G.z_dim))
    w = G.mapping(z, c)[0]
    return G.mapping.w_avg + (w - G.mapping.w_avg) * psi


def drawn(G, w, canvas=None, noise_mode='const'):
    return images.to_uint8(G.synthesis(w[None], canvas=canvas, noise_mode=noise_mode)[0])


def mixed(row, col, styles):
    return torch.stack([col[layer] if layer in styles else row[layer] for layer in range(len(row))])


def test_every_pair_and_the_grid(run, network):
    G = network[1]
    files, output = run('--rows=1,2', '--cols=3-5', '--styles=0-1,4')
    pairs = [f'{row}-{col}.png' for row in (1, 2) for col in (3, 4, 5)]
    assert files == sorted(pairs + [f'{seed}-{seed}.png' for seed in range(1, 6)] + ['grid.png'])
    w = {seed: latent(G, seed) for seed in range(1, 6)}
    for row, col in [(1, 3), (2, 5)]:
        assert_alike(read(f'o/{row}-{col}.png'), drawn(G, mixed(w[row], w[col], (0, 1, 4))))
    assert_alike(read('o/3-3.png'), drawn(G, w[3]))
    grid = read('o/grid.png')
    assert grid.shape == (3, 3 * 16, 4 * 16) and not grid[:, :16, :16].any()
    cells = {(y, x): grid[:, 16 * y:16 * y + 16, 16 * x:16 * x + 16] for y in range(3) for x in range(4)}
    for place, name in {(0, 1): '3-3', (0, 3): '5-5', (1, 0): '1-1', (2, 0): '2-2', (1, 2): '1-4',
                        (2, 3): '2-5'}.items():
        np.testing.assert_array_equal(cells[place], read(f'o/{name}.png'))
    assert 'Wrote 11 pictures and grid.png to o' in output


def test_a_seed_in_rows_and_columns(run):
    files, _ = run('--rows=1,1', '--cols=1,2')
    assert files == ['1-1.png', '1-2.png', '2-2.png', 'grid.png']
    grid, one, mix = read('o/grid.png'), read('o/1-1.png'), read('o/1-2.png')
    for y in (16, 32):
        np.testing.assert_array_equal(grid[:, y:y + 16], np.concatenate([one, one, mix], axis=2))


def test_default_styles_are_the_first_seven_there_are(run, network):
    files, _ = run()
    assert len(files) == 4 * 6 + 10 + 1
    # The network has six layers, so all are the column's.
    assert_alike(read('o/0-4.png'), drawn(network[1], latent(network[1], 4)))


def test_truncation_noise_class_and_device(run, network, tmp_path):
    G = network[1]
    run('--rows=1', '--cols=2', '--styles=3', '--trunc=0.5', '--noise_mode=none', '--device=cpu')
    wanted = drawn(G, mixed(latent(G, 1, 0.5), latent(G, 2, 0.5), [3]), noise_mode='none')
    assert_alike(read('o/1-2.png'), wanted)
    G, c = save(tmp_path / 'c.pkl', c_dim=3), torch.eye(3)[[2]]
    run('--rows=1', '--cols=2', '--styles=3', '--class=2', network=tmp_path / 'c.pkl')
    assert_alike(read('o/1-2.png'), drawn(G, mixed(latent(G, 1, c=c), latent(G, 2, c=c), [3])))
    with pytest.raises(ValueError, match='--class: found nothing, expected 0 to 2'):
        run('--rows=1', '--cols=2', network=tmp_path / 'c.pkl')


@pytest.mark.parametrize('option', ['--projected-w', '--projected_w'])
def test_projected_latents_as_rows(run, network, option):
    G = network[1]
    ws = torch.stack([latent(G, 50), latent(G, 51)])
    np.savez('p.npz', w=ws.numpy())
    files, _ = run(f'{option}=p.npz', '--cols=3', '--styles=0-2')
    assert files == ['3-3.png', 'grid.png', 'proj00-3.png', 'proj00-proj00.png', 'proj01-3.png',
                     'proj01-proj01.png']
    assert_alike(read('o/proj01-3.png'), drawn(G, mixed(ws[1], latent(G, 3), (0, 1, 2))))
    assert read('o/grid.png').shape == (3, 48, 32)
    np.save('p.npy', ws[0].numpy())
    files, _ = run('--projected-w=p.npy', '--cols=3', '--rows=7', '--styles=0-2')
    assert {'7-3.png', '7-7.png', 'proj00-3.png'} <= set(files)
    np.testing.assert_array_equal(read('o/grid.png')[:, 16:, :16],
                                  np.concatenate([read('o/proj00-proj00.png'), read('o/7-7.png')], axis=1))


def test_canvas_shift_size_wrap_and_precision(run, network):
    G = network[1]
    mix = mixed(latent(G, 1), latent(G, 2), [2])
    run('--rows=1', '--cols=2', '--styles=2', '--canvas=16x31', '--shift=8,3', '--size=32x62')
    canvas = Canvas.identity(16).extended(0, 0, 7, 8).shifted(8, 3, wrap=(True, False)).resized(32, 62)
    assert_alike(read('o/1-2.png'), drawn(G, mix, canvas))
    assert read('o/grid.png').shape == (3, 64, 124)
    _, output = run('--rows=1', '--cols=2', '--styles=2', '--shift=40', '--no-wrap', '--precision=fp64')
    assert_alike(read('o/1-2.png'), drawn(G, mix, Canvas.identity(16).shifted(40, 40, wrap=False)))
    assert output.count('extrapolated') == 1
    _, output = run('--rows=1', '--cols=2', '--styles=2', '--canvas=16x50', '--wrap', '--noise-mode=none')
    canvas = Canvas.identity(16).extended(0, 0, 17, 17).wrapped()
    assert_alike(read('o/1-2.png'), drawn(G, mix, canvas, noise_mode='none'))
    assert 'extrapolated' not in output


def test_a_grid_too_large_is_reduced(run, monkeypatch):
    monkeypatch.setattr(images, 'MAX_GRID_PIXELS', 4 * 64)
    run('--rows=1', '--cols=2')
    assert read('o/1-2.png').shape == (3, 16, 16) and read('o/grid.png').shape == (3, 16, 16)


@pytest.mark.parametrize('channels', [1, 4])
def test_grey_and_transparent(run, tmp_path, channels):
    save(tmp_path / 'b.pkl', img_channels=channels)
    run('--rows=1', '--cols=2', network=tmp_path / 'b.pkl')
    grid = read('o/grid.png')
    assert grid.shape == (channels, 32, 32) and not grid[:, :16, :16].any()
    np.testing.assert_array_equal(grid[:, 16:, 16:], read('o/1-2.png'))


def test_what_is_refused(run, tmp_path):
    for arguments, sentence in [(['--styles=6'], '--styles: found layer 6, expected 0 to 5 for this network'),
                                (['--projected-w=none.npz'], 'none.npz: found no such file'),
                                (['--canvas=100000x100000'], '--canvas=100000x100000: a picture of')]:
        with pytest.raises(ValueError, match=sentence):
            run(*arguments)
        assert not (tmp_path / 'o').exists()


def test_from_the_root(network, tmp_path):
    command = [sys.executable, str(ROOT / 'style_mixing.py'), f'--network={network[0]}', '--outdir=o',
               '--rows=1', '--cols=2', '--styles=99']
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and 'Error: --styles: found layer 99' in done.stderr
    assert 'Traceback' not in done.stderr
