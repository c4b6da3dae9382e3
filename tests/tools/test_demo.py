"""The demo at toy size: it ends on time, goes on from a network, leaves a run that can be continued, shows
digits.
"""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import checkpoint, config, legacy, networks, options
from tests.golden import fill
from tools import demo, train, training_plan

ROOT = pathlib.Path(__file__).parents[2]
SMALL = dict(cbase=512, cmax=8, batch=4, workers=1)


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp('network') / 'a.pkl'
    data = options.DatasetInfo(name='demo', size=100, channels=3, resolution=64, label_dim=0)
    made = options.resolve(dict(cfg='mspe-plus-small', data='demo', **SMALL), data)
    G = fill(networks.Generator(**config.generator_kwargs(made)))
    D = fill(networks.Discriminator(**config.discriminator_kwargs(made)))
    legacy.save_network_pkl(path, G=G, D=D, G_ema=G, training_set_kwargs=made.training_set_kwargs)
    return path


def test_a_training_that_lasts_so_long(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, 'GRID', (2, 1))
    start = time.monotonic()
    run = pathlib.Path(demo.train_for(4, network, runs=str(tmp_path), **SMALL))
    assert 4 < time.monotonic() - start < 300       # it ends by itself, on a busy machine too
    assert run.name.startswith('00000-demo-mspe-plus-small-batch4') and '-resumecustom' in run.name
    assert {'fakes_init.png', 'network-snapshot-000000.pkl', 'training_options.json', 'log.txt'} <= {
        path.name for path in run.iterdir()}
    trained = legacy.load_network_pkl(run / 'network-snapshot-000000.pkl')
    state = checkpoint.newest_state(str(run))
    assert state['values']['progress']['nimg'] >= 4      # a step, however busy the machine
    before, after = (legacy.load_network_pkl(path)['G_ema'].synthesis.b64.conv1.weight
                     for path in (network, run / 'network-snapshot-000000.pkl'))
    assert 0 < (before - after).abs().max() < 0.5 < before.std()           # it went on from the network
    assert trained['training_set_kwargs']['class_name'].endswith('DemoDataset')
    assert 'Trained' in capsys.readouterr().out
    recorded = json.loads((run / 'training_options.json').read_text())
    given = recorded.pop(training_plan.GIVEN)
    before = config.from_json(config.TrainingConfig, recorded)
    again = training_plan.changed_config(train.PROGRAM, before, given, {}, str(run))
    assert again.kimg == config.PRESETS['mspe-plus-small'].kimg    # to there train.py --resume=latest goes on


def test_the_picture_and_the_table(network, tmp_path, capsys):
    path = demo.show(str(network), str(tmp_path / 'out'))
    with Image.open(path) as picture:
        assert picture.width > 4 * 128 + 256 and picture.height > 6 * 128
        assert np.asarray(picture).std() > 20
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[1].split() == ['pixels', 'down', 'right', 'diagonal']
    assert len(lines) == 2 + len(demo.MEASURED)
    values = np.array([line.split() for line in lines[2:]], dtype=float)
    assert values[:, 0].tolist() == list(demo.MEASURED) and ((0 < values[:, 1:]) & (values[:, 1:] <= 1)).all()


def test_options(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(demo, 'train_for',
                        lambda seconds, start, device: asked.append((seconds, start, device)) or 'run')
    monkeypatch.setattr('stylegan2_mspe.default_network.newest_snapshot', lambda folder: str(network))
    monkeypatch.setattr(demo, 'SAMPLES', 2)
    args = ['--minutes=.5', '--network=a.pkl', '--outdir=drawn', '--device=cpu']
    done = CliRunner().invoke(demo.main, args)
    assert done.exit_code == 0 and asked == [(30, 'a.pkl', 'cpu')]
    assert 'Picture: drawn/demo.png' in done.output
    assert (tmp_path / 'drawn' / 'demo.png').stat().st_size > 10_000


def test_it_starts_as_a_script_and_fails_in_a_sentence(tmp_path):
    command = [sys.executable, str(ROOT / 'tools' / 'demo.py'), '--network=none.pkl']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith('Error: ') and 'none.pkl' in done.stderr
    assert 'Traceback' not in done.stderr and not list(tmp_path.iterdir())


def test_the_meter_ends_where_the_training_will(monkeypatch):
    meter = demo.timed_meter(100, time.monotonic() + 75)
    meter.update(500)
    assert meter.total == 2000 and '(25%)' in meter.line()


def test_help_needs_no_torch():
    code = 'import sys, tools.demo; print("torch" in sys.modules or "numpy" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == 'False'
