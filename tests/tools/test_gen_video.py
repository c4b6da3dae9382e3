"""tools/gen_video.py: frames are what generate.py draws of the same latents at the same places."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import images, video
from stylegan2_mspe.pe import Canvas
from tests.command import call
from tests.drawn import assert_alike, expected, read, save
from tools import gen_video

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    """run(arguments) → the frames [N, C, H, W] written to the folder o, text printed."""
    monkeypatch.chdir(tmp_path)
    count = iter(range(99))

    def run(*arguments, network=network[0]):
        folder = f'o{next(count)}'
        options = [f'--network={network}', f'--output={folder}', *arguments]
        said = call(gen_video.main, *options)
        return np.stack([read(f'{folder}/{name}') for name in sorted(os.listdir(folder))]), said
    return run


def test_latents_follow_one_another(run, network):
    found, output = run('--seeds=3,5,8', '--frames=12', '--trunc=0.7')
    assert found.shape == (12, 3, 16, 16) and 'Wrote 12 frames, 0.4 seconds, to o0' in output
    for frame, seed in [(0, 3), (4, 5), (8, 8)]:
        assert_alike(found[frame], expected(network[1], seed, psi=0.7))
    steps = np.abs(np.diff(found.astype(float), axis=0, append=found[:1])).mean((1, 2, 3))
    assert steps.min() > 0.5 and steps.max() < 4 * np.median(steps)     # it moves, without jumps, and closes


def test_the_content_moves_along_the_path(run, network):
    found, _ = run('--seeds=4', '--path=0,0 4,-2 16,-2', '--frames=5', '--noise-mode=none')
    shifts = [(0, 0), (2, -1), (4, -2), (10, -2), (16, -2)]
    for picture, shift in zip(found, shifts):
        canvas = Canvas.identity(16).shifted(*shift)
        assert_alike(picture, expected(network[1], 4, canvas, noise_mode='none'))


def test_both_at_once_on_a_canvas_at_a_size(run, network):
    found, _ = run('--seeds=1-2', '--path=0 8,3', '--canvas=16x24', '--size=32x48', '--frames=3', '--wrap')
    canvases = [Canvas.identity(16).extended(0, 0, 4, 4).shifted(*shift).resized(32, 48)
                for shift in [(0, 0), (8, 3)]]
    assert found.shape == (3, 3, 32, 48)
    assert_alike(found[0], expected(network[1], 1, canvases[0]))
    assert (found[2] != expected(network[1], 1, canvases[1])).any()     # the latent has moved on
    still, _ = run('--seeds=1', '--path=0 8,3', '--canvas=16x24', '--size=32x48', '--frames=3', '--wrap')
    assert_alike(still[2], expected(network[1], 1, canvases[1]))


def test_the_view_widens(run, network):
    found, output = run('--seeds=1', '--path=0@16x16 0@32x48', '--size=16x24', '--frames=2', '--no-wrap')
    assert found.shape == (2, 3, 16, 24) and 'extrapolated' not in output
    wide = Canvas.identity(16).extended(8, 8, 16, 16).resized(16, 24)
    assert_alike(found[1], expected(network[1], 1, wide))
    _, output = run('--seeds=1', '--path=0 80', '--frames=2', '--no-wrap')
    assert output.count('extrapolated') == 1


def test_a_pan_over_a_plane_moves_the_picture_and_nothing_else(run):
    asked = ['--seeds=1', '--path=0 -8,-16', '--canvas=24x32', '--frames=3', '--no-wrap', '--border=plane']
    found, _ = run(*asked, '--noise-mode=anchored', '--noise-seed=3')
    for earlier, later in zip(found, found[1:]):            # by 4 x 8 pixels, whole coarsest cells
        assert_alike(later[:, :-4, :-8], earlier[:, 4:, 8:])
    other, _ = run(*asked, '--noise-mode=anchored', '--noise-seed=4')
    assert np.abs(other.astype(int) - found).mean() > 0.5
    still, _ = run(*asked, '--noise-mode=const')
    assert np.abs(still[1][:, :-4, :-8].astype(int) - still[0][:, 4:, 8:]).mean() > 0.5


def test_projected_latents_and_classes(run, network, tmp_path):
    G = network[1]
    ws = G.mapping(torch.randn([2, 8], generator=torch.Generator().manual_seed(0)), None)
    np.savez('p.npz', w=ws.numpy())
    found, _ = run('--projected_w=p.npz', '--frames=4', '--device=cpu', '--precision=fp32', '--trunc=1')
    assert_alike(found[2], images.to_uint8(G.synthesis(ws, noise_mode='const')[1]))
    G = save(tmp_path / 'c.pkl', c_dim=3, img_channels=1)
    found, _ = run('--seeds=7', '--path=0 4', '--frames=2', '--class=1', network=tmp_path / 'c.pkl')
    assert_alike(found[0], expected(G, 7, c=torch.eye(3)[[1]]))
    found, _ = run('--projected_w=p.npz', '--frames=2', network=tmp_path / 'c.pkl')     # they have a class
    assert_alike(found[1], images.to_uint8(G.synthesis(ws, noise_mode='const')[1]))


def test_default_length_and_name(run, network, monkeypatch):
    monkeypatch.setattr(gen_video, 'FRAMES', 3)
    assert len(run('--seeds=1,2')[0]) == 6 and len(run('--seeds=1', '--path=0 1 2 3 4')[0]) == 12
    assert len(run()[0]) == 12
    monkeypatch.setattr(video, 'find_ffmpeg', lambda: None)
    call(gen_video.main, f'--network={network[0]}', '--seeds=1,2', '--fps=10')
    with Image.open('out/video.gif') as film:
        assert film.n_frames == 6 and film.info['duration'] == 100 and film.size == (16, 16)
    assert os.listdir('out') == ['video.gif']
    options = ['--seeds=1,2', '--frames=2', '--outfile=film.gif']       # StyleGAN3's name for --output
    call(gen_video.main, f'--network={network[0]}', *options)
    with Image.open('film.gif') as film:
        assert film.n_frames == 2


@pytest.mark.parametrize('arguments, code, text', [
    (['--seeds=1'], ValueError, '--seeds, --path: found a single keyframe and a single place'),
    (['--output=a.avi'], ValueError, 'a.avi: found the ending .avi'),
    (['--size=100000x100000'], ValueError, '--size=100000x100000: a picture of'),
    (['--projected-w=none.npy'], ValueError, 'none.npy: found no such file'),
    (['--noise-seed=1'], ValueError, '--noise-seed: found --noise-mode=const, expected --noise-mode='),
    (['--projected-w=p.npz', '--seeds=1'], ValueError, '--seeds: found --projected-w=p.npz, expected one of'),
    (['--projected-w=p.npz', '--trunc=.7'], ValueError, '--trunc: found --projected-w=p.npz, expected'),
    (['--projected-w=p.npz', '--class=1'], ValueError, '--class: found --projected-w=p.npz, expected one of'),
    (['--canvas=16x24', '--path=0@8x8 0@16x16'], ValueError, '--canvas: found @HxW after every place of'),
    (['--path=0,0 x'], 2, "found 'x', expected pixels"), (['--path= '], 2, 'expected places such as'),
    (['--path=0@16'], 2, "found '16', expected HEIGHTxWIDTH"), (['--frames=0'], 2, '1<=x<=100000'),
    (['--fps=0'], 2, '1<=x<=120'),
])
def test_what_is_refused(network, tmp_path, monkeypatch, arguments, code, text):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(gen_video.main, [f'--network={network[0]}', '--output=o', *arguments])
    assert os.listdir(tmp_path) == []
    if code == 2:
        assert result.exit_code == 2 and text in result.output
    else:
        with pytest.raises(code, match=text):
            raise result.exception


def test_as_a_program_from_anywhere(tmp_path):
    command = [sys.executable, str(ROOT / 'tools/gen_video.py')]
    done = subprocess.run([*command, '--path=x'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "found 'x', expected pixels" in done.stderr
    code = ('import sys; from tools import gen_video, style_mixing\n'
            'sys.exit(any(name in sys.modules for name in ("torch", "numpy", "PIL")))')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0
