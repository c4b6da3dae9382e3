"""The command line of the projector: what it writes, what it says, how it fails."""

import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import free_memory, images, legacy, rendering, video
from stylegan2_mspe.inversion import losses
from stylegan2_mspe.inversion.projection import Diverged, Projection, draw, sample_bytes
from tests.command import call, written
from tests.inversion.small import make_discriminator, make_generator, place_at
from tools import cli, generate, projector

FILES = {'target.png', 'proj.png', 'projected_w.npz', 'projected_place.npz', 'sheet.png', 'proj.gif'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A network and pictures that it draws."""
    folder = tmp_path_factory.mktemp('projector')
    G, D = make_generator(), make_discriminator()
    legacy.save_network_pkl(folder / 'a.pkl', G=G, D=D, G_ema=G, training_set_kwargs=None)
    legacy.save_network_pkl(folder / 'alone.pkl', G=G, D=None, G_ema=G, training_set_kwargs=None)
    ws = G.mapping(torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), None)
    places = dict(a=place_at(G, (0, 0), (0, 0)), wide=place_at(G, (2, 1), (2, 1), size=(16, 24)))
    for name, place in places.items():
        for index, picture in enumerate(draw(G, ws, place, fixed=True)):
            images.save_png(picture, folder / f'{name}{index}.png')
    Image.new('L', (1, 1)).save(folder / 'dot.png')
    return folder


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """run(options) → (names of the files written, text printed)"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.delenv('MSPE_DETECTORS', raising=False)
    monkeypatch.setattr(video, 'find_ffmpeg', lambda: None)

    def run(*arguments, target='a0.png', network='a.pkl', steps=3, code=0):
        options = [f'--network={folder / network}', f'--target={folder / target}', f'--num-steps={steps}',
                   '--outdir=o']
        said = call(projector.main, *options, *arguments, code=code)
        return written(tmp_path / 'o'), said
    return run


def test_the_files_and_their_contents(run, folder, tmp_path):
    files, said = run(steps=4)
    assert files == FILES and "Loss: disc (the discriminator's features)" in said
    assert 'Wrote 1 projection to o' in said
    assert np.array_equal(read(tmp_path / 'o/target.png'), read(folder / 'a0.png'))
    with np.load(tmp_path / 'o/projected_w.npz') as file:
        assert file['w'].shape == (1, 6, 8) and file['w'].dtype == np.float32
    with np.load(tmp_path / 'o/projected_place.npz') as file:
        assert file['shift'].tolist() == [[0, 0]] and file['zoom'].tolist() == [1]
        assert file['noise.b8.conv1'].shape == (1, 8, 8)
    with Image.open(tmp_path / 'o/proj.gif') as film:
        assert film.size == (32, 16) and film.n_frames == 4


def test_what_generate_draws_from_it_is_the_projection(run, folder, tmp_path):
    run('--optimize-noise=0', '--space=w+', '--save-video=0', '--shift=3,-2')
    options = [f'--network={folder / "a.pkl"}', '--projected-w=o/projected_w.npz']
    call(generate.main, *options, '--shift=3,-2', '--outdir=g')
    found, drawn = (read(tmp_path / name).astype(int) for name in ('o/proj.png', 'g/proj00.png'))
    assert abs(found - drawn).max() <= 1 and found.std() > 10


def test_several_targets_on_a_canvas_of_their_size(run, folder, tmp_path):
    another = f'--target={folder / "wide1.png"}'
    files, said = run(another, '--as-is', '--shift=2,1', '--loss=pixel', target='wide0.png')
    assert {'target00.png', 'target01.png', 'proj00.png', 'proj01.png'} < files
    assert 'Wrote 2 projections' in said
    assert Image.open(tmp_path / 'o/proj01.png').size == (24, 16)
    with np.load(tmp_path / 'o/projected_w.npz') as file:
        assert file['w'].shape == (2, 6, 8) and not np.array_equal(file['w'][0], file['w'][1])
    with np.load(tmp_path / 'o/projected_place.npz') as file:
        assert file['size'].tolist() == [16, 24] and file['wraps'].tolist() == [True, False]


def test_a_place_that_is_looked_for_is_said(run, tmp_path):
    _, said = run('--shift=auto', '--save-video=0')
    assert 'found at ' in said and ' down, ' in said and 'zoom' not in said
    with np.load(tmp_path / 'o/projected_place.npz') as file:
        assert -8 < file['shift'].min() and file['shift'].max() <= 8


def test_a_projection_goes_on_from_a_file(run, tmp_path):
    run('--loss=pixel', steps=40)
    with np.load(tmp_path / 'o/projected_place.npz') as file:
        first = file['loss'].item()
    run('--loss=pixel', '--init=o/projected_w.npz', steps=1)
    with np.load(tmp_path / 'o/projected_place.npz') as file:
        assert file['loss'].item() < 2 * first      # its latent is jittered
    with pytest.raises(ValueError, match='--init=no.npz: found no such file'):
        run('--init=no.npz')


@pytest.mark.parametrize('arguments, words', [
    (['--shift=0,17', '--no-wrap'], '--shift: found 17 right'),
    (['--zoom=0'], '--zoom: found 0, expected a positive number'),
    (['--zoom=nan'], '--zoom: found nan'),
    (['--loss=vgg', '--detector=no.pt'], '--detector=no.pt: No such file'),
    (['--loss=disc'], '--loss=disc: found no discriminator'),
    (['--detector=no.pt'], '--detector=no.pt: No such file'),
    (['--detector=no.pt', '--loss=pixel'], '--detector: found --loss=pixel, expected --loss=vgg'),
    (['--fit=crop', '--as-is'], '--fit: found --as-is, expected one of the two'),
    (['--num-starts=2', '--init=a.npz'], '--num-starts: found --init=a.npz, which says where to start'),
    (['--num-starts=2', '--zoom=auto'], '--num-starts: found --zoom=auto, which says where to start'),
])
def test_what_can_not_be_done_is_said_before_anything_is_written(run, arguments, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        run(*arguments, network='alone.pkl')
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('find, times', [([], 1), (['--shift=auto'], 4)])
def test_more_targets_than_the_memory_has_room_for(run, folder, monkeypatch, tmp_path, find, times):
    G = make_generator()
    loss = losses.make_loss('pixel', torch.zeros(1, 3, 16, 16))
    one = times * sample_bytes(G, place_at(G, (0, 0))) if find else sample_bytes(G, place_at(G, (0, 0)), loss)
    assert sample_bytes(G, place_at(G, (0, 0), (0, 0)), None if find else loss) * times == one
    assert one > 2 * times * rendering.picture_bytes(G, 16, 16)         # nothing is kept without gradients
    monkeypatch.setattr(free_memory, 'usable', lambda device: 2 * one)
    more = [f'--target={folder / "a1.png"}', f'--target={folder / "a0.png"}', '--loss=pixel', *find]
    with pytest.raises(ValueError, match='--target: found 3 pictures, expected at most 2 at a time: a step'):
        run(*more)
    monkeypatch.setattr(free_memory, 'usable', lambda device: one - 1)
    with pytest.raises(ValueError, match='--target: a step for one picture takes about'):
        run(*find)
    assert not (tmp_path / 'o').exists()


def test_memory_that_runs_out_after_all_is_told_of_targets(run, monkeypatch):
    def step(self):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
    monkeypatch.setattr(Projection, 'step', step)
    with pytest.raises(MemoryError, match='--target: projecting 1 at a time did not fit in the memory'):
        run('--loss=pixel')


def test_bad_targets(run, folder):
    with pytest.raises(ValueError, match='dot.png: found 1x1 grey, expected at least 4x4'):
        run(target='dot.png')
    with pytest.raises(OSError, match='No such file'):
        run(target='none.png')
    with pytest.raises(ValueError, match='a.pkl: found .* bytes that do not decode'):
        run(target='a.pkl')
    with pytest.raises(ValueError, match='--as-is: found targets of 16x16 and 16x24, expected one size'):
        run('--as-is', f'--target={folder / "wide0.png"}')
    assert "Missing option '--target'" in call(projector.main, code=2)


def ending_in(monkeypatch, end):
    """The third step calls `end` before it does anything. Gives the list that losses are added to."""
    step, losses = Projection.step, []

    def ending(self):
        if self.count == 2:
            end()
        losses.append(step(self).item())
        return torch.tensor(losses[-1:])
    monkeypatch.setattr(Projection, 'step', ending)
    return losses


def check_what_is_kept(folder, losses):
    """The better of two steps."""
    assert written(folder) == FILES - {'proj.gif'} and len(losses) == 2
    with np.load(folder / 'projected_w.npz') as file:
        assert np.isfinite(file['w']).all()
    with np.load(folder / 'projected_place.npz') as file:
        assert file['loss'].item() == pytest.approx(min(losses))


def test_what_was_best_is_kept_where_it_diverges(run, monkeypatch, tmp_path):
    def end():
        raise Diverged('the loss is not a finite number')

    losses = ending_in(monkeypatch, end)
    with pytest.raises(ValueError, match='not a finite number'):
        run(steps=9)
    check_what_is_kept(tmp_path / 'o', losses)


def test_an_interrupted_projection_keeps_what_it_has(folder, monkeypatch, tmp_path, capsys):
    losses = ending_in(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(video, 'find_ffmpeg', lambda: None)
    monkeypatch.setattr(sys, 'argv', ['projector.py', f'--network={folder / "a.pkl"}', '--num-steps=9',
                                      f'--target={folder / "a0.png"}', f'--outdir={tmp_path / "o"}'])
    # The tests may run in the background of a shell, where Ctrl-C is ignored.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as caught:
            cli.run(projector.main)
    finally:
        signal.signal(signal.SIGINT, heard)
    assert caught.value.code == 130 and capsys.readouterr().err.rstrip().endswith('Interrupted.')
    check_what_is_kept(tmp_path / 'o', losses)
