"""The programs convert.py and legacy.py: from every format to every other, or one sentence."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import legacy as root_legacy
from stylegan2_mspe import networks
from stylegan2_mspe.augment import AugmentPipe
from stylegan2_mspe.legacy import load_network_pkl, save_network_pkl
from tests import tensorflow_pickle
from tests.golden import fill
from tools import convert, legacy

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = dict(channel_base=64, channel_max=8)


@pytest.fixture(scope='module')
def generator():
    return fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                   synthesis_kwargs=OPTIONS))


@pytest.fixture(scope='module')
def network_file(generator, tmp_path_factory):
    path = tmp_path_factory.mktemp('networks') / 'a.pkl'
    D = fill(networks.Discriminator(0, 16, 3, **OPTIONS))
    save_network_pkl(path, G=generator, D=D, G_ema=generator, training_set_kwargs=None)
    return str(path)


def draw(G):
    return G(torch.from_numpy(np.random.RandomState(0).randn(2, 8)), None, noise_mode='const')


def run(program, *arguments):
    return CliRunner().invoke(program, arguments, catch_exceptions=True)


def test_round_trip_through_every_format(tmp_path, network_file, generator):
    source = network_file
    for name in ('b.safetensors', 'c.pt', 'd.safetensors', 'e.pt', 'f.pkl'):
        done = run(convert.main, '--source', source, '--dest', str(tmp_path / name))
        assert done.exit_code == 0, done.exception
        assert done.output.startswith(f'{tmp_path / name}: G, D, G_ema, ')
        source = str(tmp_path / name)
    found = load_network_pkl(source)
    torch.testing.assert_close(draw(found['G_ema']), draw(generator), rtol=0, atol=0)
    assert found['G'] is found['G_ema'] and found['D'] is not None and len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize('source, dest, asked', [
    ('{file}', 'a.onnx', "--dest .*a.onnx: found the ending '.onnx', expected one of .pkl"),
    ('none.zip', 'a.pkl', "--source none.zip: found the ending '.zip'"), ('none.pt', 'a.pkl', 'none.pt'),
    ('{file}', '{file}', 'found the source itself')])
def test_wrong_names_end_in_a_sentence(tmp_path, network_file, source, dest, asked):
    source, dest = source.format(file=network_file), dest.format(file=network_file)
    dest = dest if os.path.isabs(dest) else str(tmp_path / dest)
    done = run(convert.main, '--source', source, '--dest', dest)
    assert isinstance(done.exception, (ValueError, OSError)) and not list(tmp_path.iterdir())
    assert re.search(asked, str(done.exception))


def test_what_has_no_place_in_a_file_is_not_said_to_be_there(tmp_path, generator):
    pipe = AugmentPipe(xflip=1).eval().requires_grad_(False)
    save_network_pkl(tmp_path / 'a.pkl', G=generator, D=None, G_ema=generator, training_set_kwargs=None,
                     augment_pipe=pipe)
    for name, held in (('b.safetensors', 'G, G_ema, augment_pipe'), ('b.pt', 'G, G_ema')):
        done = run(convert.main, '--source', str(tmp_path / 'a.pkl'), '--dest', str(tmp_path / name))
        assert done.output.startswith(f'{tmp_path / name}: {held}, '), done.output


def test_both_run_from_the_root_and_say_errors_in_one_line(tmp_path):
    (tmp_path / 'a.pt').write_bytes(b'x')
    for program in ('tools/convert.py', 'legacy.py'):
        names = ['--source', str(tmp_path / 'a.pt'), '--dest', str(tmp_path / 'b.pkl')]
        done = subprocess.run([sys.executable, program, *names], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith('Error: ') and done.stderr.count('\n') == 1
    assert [path.name for path in tmp_path.iterdir()] == ['a.pt']


def test_legacy_converts_tensorflow_pickles(tmp_path, generator, monkeypatch):
    D = fill(networks.Discriminator(0, 16, 3, **OPTIONS))
    G = tensorflow_pickle.generator(generator)
    data = tensorflow_pickle.dumps((G, tensorflow_pickle.discriminator(D), G), monkeypatch)
    (tmp_path / 'tf.pkl').write_bytes(data)
    names = ['--source', str(tmp_path / 'tf.pkl'), '--dest', str(tmp_path / 'a.pkl')]
    done = run(legacy.main, *names, '--force_fp16=1')
    assert done.exit_code == 0 and done.output == f'{tmp_path / "a.pkl"}: G, D, G_ema\n'
    with open(tmp_path / 'a.pkl', 'rb') as file:
        found = root_legacy.load_network_pkl(file)              # as people's scripts call it
    torch.testing.assert_close(draw(found['G_ema']), draw(generator), rtol=0, atol=1e-4)
    assert found['G_ema'].synthesis.b16.use_fp16 and found['D'].b16.use_fp16


def test_help_needs_no_torch():
    code = '''import sys; sys.argv = ["legacy.py", "--help"]; import legacy, tools.legacy, tools.convert
print("torch" in sys.modules)'''
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == 'False', done.stderr
