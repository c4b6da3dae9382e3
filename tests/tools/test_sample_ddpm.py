"""sample_ddpm.py and reconstruct_ddpm.py: what they write, what they say, how they fail."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ddpm_mspe import default_network, sampling
from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.unet_file import load_unet, save_unet
from stylegan2_mspe import free_memory, images, rendering
from stylegan2_mspe.dataset import open_dataset
from stylegan2_mspe.pe import Canvas
from tests import drawn
from tests.command import call, written
from tests.drawn import assert_alike, read
from tests.tiny_unet import make_unet
from tools import reconstruct_ddpm, sample_ddpm

FEW = Diffusion(steps=8, first=.02, last=.4)
PLAIN = Canvas.identity(16)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Networks, in colour and grey, and a folder of pictures of 16 pixels and one of 18 x 24."""
    folder = tmp_path_factory.mktemp('networks')
    save_unet(folder / 'a.safetensors', make_unet(), FEW)
    save_unet(folder / 'grey.safetensors', make_unet(img_channels=1), FEW)
    drawn.save(folder / 'gan.pkl')
    random = np.random.RandomState(0)
    for name, count, size in (('squares', 3, (16, 16)), ('wide', 1, (18, 24)), ('none', 0, ())):
        (folder / name).mkdir()
        for index in range(count):
            picture = random.randint(0, 256, [3, *size], dtype=np.uint8)
            images.save_png(picture, folder / name / f'{index}.png')
    return folder


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """run(program, options) → (names of the files written, text printed)"""
    monkeypatch.chdir(tmp_path)

    def run(program, *arguments, network='a.safetensors', code=0):
        named = [f'--network={folder / network}'] if network else []
        said = call(program, *named, '--device=cpu', '--outdir=o', *arguments, code=code)
        return written(tmp_path / 'o'), said
    return run


@pytest.mark.parametrize('module, options', [
    ('sample_ddpm', ('seeds', 'shift', 'canvas', 'size', 'wrap', 'steps', 'sampler', 'eta', 'precision')),
    ('reconstruct_ddpm', ('data', 't', 'count', 'shift', 'canvas', 'steps', 'sampler', 'eta', 'seed'))])
def test_help_is_quick_and_complete(module, options):
    code = f'import sys; from tools import {module}; print("torch" in sys.modules or "numpy" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == 'False\n'
    program = dict(sample_ddpm=sample_ddpm, reconstruct_ddpm=reconstruct_ddpm)[module].main
    output = call(program, '--help')
    assert all(f'--{name}' in output for name in options)


# ----- samples ----------------------------------------------------------------------------------------------


def sampled(folder, seed, canvas=None, network='a.safetensors', **how):
    saved = load_unet(folder / network)
    how = {'sampler': 'ddim', 'steps': 8, **how}
    return images.to_uint8(sampling.sample(saved.unet, saved.diffusion, [seed], canvas, **how)[0])


def test_seeds_shifts_and_the_sheet(run, folder, tmp_path):
    files, output = run(sample_ddpm.main, '--seeds=3,5', '--shift=0', '--shift=4,0')
    names = {f'seed000{seed}{shift}.png' for seed in (3, 5) for shift in ('', '-shift4_0')}
    assert files == names | {'grid.png'} and 'Wrote 4 pictures and grid.png to o' in output
    for seed in (3, 5):
        assert_alike(read(tmp_path / f'o/seed{seed:04d}.png'), sampled(folder, seed))
        assert_alike(read(tmp_path / f'o/seed{seed:04d}-shift4_0.png'),
                     sampled(folder, seed, rendering.request_canvas(16, shift=(4, 0))))
    assert read(tmp_path / 'o/grid.png').shape[2] > 2 * 128


def test_a_canvas_and_samplers(run, folder, tmp_path):
    run(sample_ddpm.main, '--seeds=1', '--canvas=18x24', '--sampler=ancestral', '--steps=3')
    wanted = sampled(folder, 1, rendering.request_canvas(16, (18, 24)), sampler='ancestral', steps=3)
    assert wanted.shape == (3, 18, 24)
    assert_alike(read(tmp_path / 'o/seed0001.png'), wanted)
    run(sample_ddpm.main, '--seeds=1', '--eta=1', '--steps=4', network='grey.safetensors')
    wanted = sampled(folder, 1, network='grey.safetensors', eta=1., steps=4)
    assert wanted.shape == (1, 16, 16)
    assert_alike(read(tmp_path / 'o/seed0001.png'), wanted)


def test_more_samples_than_fit_are_drawn_in_batches(run, tmp_path, monkeypatch):
    run(sample_ddpm.main, '--seeds=0-4', '--steps=2')
    at_once = [read(tmp_path / f'o/seed000{seed}.png') for seed in range(5)]
    needed = sampling.picture_bytes(make_unet())
    monkeypatch.setattr(free_memory, 'free', lambda device: 2.5 * needed / free_memory.USABLE)
    run(sample_ddpm.main, '--seeds=0-4', '--steps=2')
    for seed, wanted in enumerate(at_once):
        assert_alike(read(tmp_path / f'o/seed000{seed}.png'), wanted)
    monkeypatch.setattr(free_memory, 'free', lambda device: .5 * needed / free_memory.USABLE)
    with pytest.raises(ValueError, match='--canvas=16x16: a picture takes about'):
        run(sample_ddpm.main, '--seeds=0')


def test_without_a_network(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path / 'box')
    with pytest.raises(ValueError, match='found no network-snapshot'):
        run(sample_ddpm.main, network=None)
    latest = tmp_path / 'ddpm-runs' / '00003-x' / 'network-snapshot-000001.safetensors'
    latest.parent.mkdir(parents=True)
    latest.write_bytes((folder / 'grey.safetensors').read_bytes())
    files, output = run(sample_ddpm.main, '--seeds=2', '--steps=1', network=None)
    assert 'Network: ddpm-runs/00003-x/network-snapshot-000001.safetensors' in output and len(files) == 2


@pytest.mark.parametrize('options, words', [
    (['--steps=9'], '--steps=9: expected 1 to 8'), (['--network=gan.pkl'], "pickle, as a GAN's networks are"),
    (['--precision=fp16'], '--precision=fp16 on a CPU'),
    (['--sampler=ancestral', '--eta=.5'], '--eta: found --sampler=ancestral, expected --sampler=ddim')])
def test_sampling_refuses(run, folder, options, words):
    with pytest.raises(ValueError, match=words):
        run(sample_ddpm.main, *(each.replace('=gan', f'={folder}/gan') for each in options))


@pytest.mark.parametrize('option', ['--seeds=x', '--shift=1,2,3', '--canvas=16', '--eta=2', '--steps=0',
                                    '--sampler=euler'])
def test_wrong_command_lines(run, option):
    files, output = run(sample_ddpm.main, option, code=2)
    assert not files and option.split('=')[0] in output


# ----- reconstructions --------------------------------------------------------------------------------------


def test_reconstructions_and_the_sheet(run, folder, tmp_path):
    options = ['--t=2,8', '--count=2', '--sampler=ddim', '--steps=3', '--eta=1', '--shift=4,0', '--seed=7']
    files, output = run(reconstruct_ddpm.main, f'--data={folder}/squares', *options)
    assert files == {f'{index}-t000{t}.png' for index in (0, 1) for t in (2, 8)} | {'grid.png'}
    assert 'Wrote 4 reconstructions and grid.png to o' in output
    saved = load_unet(folder / 'a.safetensors')
    canvas = rendering.request_canvas(16, shift=(4, 0))
    for index in (0, 1):
        source = torch.from_numpy(read(folder / f'squares/{index}.png').copy())[None] / 127.5 - 1
        for t in (2, 8):
            wanted = sampling.reconstructed(saved.unet, saved.diffusion, source, t, [7 + index], canvas,
                                            sampler='ddim', steps=3, eta=1.)[0]
            assert_alike(read(tmp_path / f'o/{index}-t000{t}.png'), images.to_uint8(wanted))
    grid = read(tmp_path / 'o/grid.png')
    assert grid.shape[1] > 2 * 128 and grid.shape[2] > 3 * 128


def test_reconstructions_are_ho_et_als_unless_asked_otherwise(run, folder, tmp_path):
    """Every step of the learned reverse process, each with its noise."""
    run(reconstruct_ddpm.main, f'--data={folder}/squares', '--t=6', '--count=1')
    saved = load_unet(folder / 'a.safetensors')
    source = torch.from_numpy(read(folder / 'squares/0.png').copy())[None] / 127.5 - 1
    wanted = sampling.reconstructed(saved.unet, saved.diffusion, source, 6, [0], sampler='ancestral')[0]
    assert_alike(read(tmp_path / 'o/0-t0006.png'), images.to_uint8(wanted))


def test_no_noise_leaves_a_picture_of_a_larger_canvas_alone(run, folder, tmp_path):
    files, _ = run(reconstruct_ddpm.main, f'--data={folder}/wide', '--canvas=18x24', '--t=0,3')
    assert files == {'0-t0000.png', '0-t0003.png', 'grid.png'}
    source = read(folder / 'wide/0.png')
    assert np.array_equal(read(tmp_path / 'o/0-t0000.png'), source)
    assert read(tmp_path / 'o/0-t0003.png').shape == source.shape


def test_the_built_in_data(run, folder, tmp_path):
    save_unet(folder / 'large.safetensors', make_unet(img_resolution=64, blocks=(0, 0, 1), attention=()), FEW)
    files, _ = run(reconstruct_ddpm.main, '--data=demo', '--t=0', '--count=2', network='large.safetensors')
    assert files == {'demo0000-t0000.png', 'demo0001-t0000.png', 'grid.png'}
    wanted = open_dataset('demo')[1][0]
    assert np.array_equal(read(tmp_path / 'o/demo0001-t0000.png'), wanted)


@pytest.mark.parametrize('options, words', [
    (['--t=3,9'], '--t: t = 9: expected a whole number from 0 to 8'), (['--data=wide'], '24x18|18x24'),
    (['--data=none'], 'found no pictures'), (['--data=nowhere'], 'nowhere'),
    (['--network=grey.safetensors'], 'expected'), (['--canvas=20x20'], '16x16'),
    (['--network=gan.pkl'], "pickle, as a GAN's networks are"),
    (['--steps=20'], '--steps=20: expected 1 to 8'), (['--eta=1'], '--eta: found --sampler=ancestral'),
])
def test_reconstructing_refuses(run, folder, tmp_path, options, words):
    options = [f'--data={folder}/squares', '--t=3', *(each.replace('--data=', f'--data={folder}/')
               .replace('--network=', f'--network={folder}/') for each in options)]
    with pytest.raises((ValueError, OSError), match=words):
        run(reconstruct_ddpm.main, *options)
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('option', ['--t=a', '--t=-1', '--t=1.5', '--count=0', '--seed=-1'])
def test_wrong_command_lines_of_reconstructing(run, folder, option):
    files, output = run(reconstruct_ddpm.main, f'--data={folder}/squares', option, code=2)
    assert not files and option.split('=')[0] in output
