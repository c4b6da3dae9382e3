"""The program that computes metrics: what it prints and appends, which dataset it takes, what it refuses."""

import json
import os
import subprocess
import sys

import pytest

from stylegan2_mspe import legacy
from stylegan2_mspe.metrics import available
from tests import brightness, drawn, scripted, tiny  # noqa: F401 (registers a metric)
from tools import calc_metrics, cli


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('cats') / 'cats', count=12)


@pytest.fixture
def program(tmp_path, monkeypatch, capsys, data):
    """Runs the program on a network that was trained on cats; returns (exit code, stdout lines, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MSPE_DETECTORS', str(scripted.folder()))
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr('stylegan2_mspe.metrics.calculation.parse', fewer)
    G = drawn.save(tmp_path / 'plain.pkl')
    kwargs = tiny.config(data).training_set_kwargs
    legacy.save_network_pkl(tmp_path / 'cats.pkl', G=G, D=None, G_ema=G, training_set_kwargs=kwargs)

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['calc_metrics.py', *args, '--device=cpu'])
        with pytest.raises(SystemExit) as caught:
            cli.run(calc_metrics.main)
        out, err = capsys.readouterr()
        return caught.value.code, out.splitlines(), err
    return run


def fewer(name):
    """The metric, of 20 pictures."""
    import dataclasses
    return dataclasses.replace(available.parse(name), pictures=20)


def refused(result, sentence):
    code, out, err = result
    assert code in (1, 2) and out == [] and sentence in err and 'Traceback' not in err, err
    assert code == 2 or err.splitlines()[-1].startswith('Error: ')


def test_help_answers_at_once_and_names_every_option():
    result = subprocess.run([sys.executable, 'calc_metrics.py', '--help'], capture_output=True, text=True)
    assert result.returncode == 0
    for name in 'network metrics data mirror gpus verbose detector seed device'.split():
        assert f'--{name} ' in result.stdout, name
    for name in available.parse('fid').metric.name, 'kid50k_full', 'pr50k3_full', 'ppl2_wend', 'eqt_int':
        assert name in result.stdout


def test_lines_of_json_and_beside_a_network_of_a_run_its_logs(program, tmp_path):
    code, out, err = program('--network=cats.pkl', '--metrics=fid50k_full,brightness')
    assert code == 0, err
    first, second = map(json.loads, out)
    assert first['metric'] == 'fid50k_full' and first['card']['real_pictures'] == 12
    assert first['snapshot_pkl'] == 'cats.pkl' and first['num_gpus'] == 1
    assert list(second['results']) == ['brightness', 'brightness_last']
    assert err.startswith('Network: cats.pkl\nfid50k_full ') and '20 pictures against 12 real' in err
    assert not [name for name in os.listdir(tmp_path) if name.startswith('metric-')]
    (tmp_path / 'training_options.json').write_text('{}')
    code, again, err = program('--network=cats.pkl', '--metrics=fid50k_full', '--verbose=0')
    assert code == 0 and err == '' and json.loads(again[0])['results'] == first['results']
    kept = (tmp_path / 'metric-fid50k_full.jsonl').read_text().splitlines()
    assert kept == again
    program('--network=cats.pkl', '--metrics=fid50k_full', '--verbose=0', '--seed=1')
    third = json.loads((tmp_path / 'metric-fid50k_full.jsonl').read_text().splitlines()[1])
    assert third['card']['seed'] == 1 and third['results'] != first['results']


def test_the_dataset_is_the_one_asked_for_else_that_of_the_network(program, data, tmp_path):
    found = []
    for options in (['--network=cats.pkl'], ['--network=cats.pkl', '--mirror=0'],
                    ['--network=plain.pkl', f'--data={data}'],
                    ['--network=plain.pkl', f'--data={data}', '--mirror=1']):
        code, out, err = program('--metrics=fid50k', '--verbose=0', *options)
        assert code == 0, err
        found.append(json.loads(out[0])['card']['real_pictures'])
    assert found == [20, 12, 12, 20]        # of 12, or of 24 with their mirrored ones


@pytest.mark.parametrize('options, kinds', [
    ([], ['inception-2015-12-05.pt', 'vgg16.pt']),
    (['--detector={}/plain.pt'], ['plain.pt', 'plain.pt']),
    (['--detector=vgg16={}/plain.pt'], ['inception-2015-12-05.pt', 'plain.pt']),
    (['--detector=digits', '--detector=inception={}/plain.pt'], ['plain.pt', 'digit classifier']),
])
def test_detectors(program, options, kinds):
    options = [each.format(scripted.folder()) for each in options]
    code, out, err = program('--network=cats.pkl', '--metrics=fid5k,pr5k3', '--verbose=0', *options)
    assert code == 0, err
    for line, kind in zip(map(json.loads, out), kinds):
        assert kind in line['card']['detector'] and len(line['card']['sha256']) == 64


@pytest.mark.parametrize('options, sentence', [
    (['--metrics=fid50'], '--metrics=fid50 is not a metric; did you mean fid50k'),
    (['--metrics=none'], '--metrics=none: expected at least one'),
    (['--metrics=fid@0x8'], '--metrics=fid@0x8 is not a metric'),
    (['--metrics=fid@90000x90000'], '--metrics=fid@90000x90000: a picture of'),
    (['--metrics=ppl2_wend', '--detector=digits'], 'expected VGG16 or another'),
    (['--data=dogs.zip'], 'dogs.zip: found nothing there'),
    (['--network=plain.pkl'], '--metrics=fid50k_full: found no dataset to compare with, expected --data'),
    (['--network=nothing.pkl'], 'nothing.pkl'),
    (['--network=lost.pkl'], 'Error: --data is missing, and of the dataset in the network file: lost.zip'),
    (['--network=classes.pkl', '--metrics=is5k'], 'Error: --data is missing, and of the dataset in the'),
    (['--detector=eyes=a.pt'], "found 'eyes=a.pt', expected a file, inception="),
    (['--detector=a.pt'], '--detector=a.pt: No such file or directory'),
    (['--detector=vgg16=a.pt'], '--detector=vgg16=a.pt: found the metrics fid50k_full, which are computed'),
    (['--detector=a.pt', '--metrics=eqt_int,fid_mnist'], '--detector=a.pt: found the metrics eqt_int, fid'),
    (['--detector=a.pt', '--detector=inception=b.pt'], '--detector=a.pt: found the metrics fid50k_full'),
    (['--detector=cats.pkl'], '--detector=cats.pkl: found no TorchScript network'),
    (['--seed=-1'], '--seed'),
])
def test_what_is_refused(program, tmp_path, options, sentence):
    kwargs = tiny.config('lost.zip').training_set_kwargs
    for name, c_dim in dict(lost=0, classes=3).items():
        G = drawn.make_generator(c_dim=c_dim)
        legacy.save_network_pkl(tmp_path / f'{name}.pkl', G=G, D=None, G_ema=G, training_set_kwargs=kwargs)
    refused(program('--network=cats.pkl', *options), sentence)


def test_more_processes_than_devices_are_refused(program, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['calc_metrics.py', '--network=cats.pkl', '--gpus=2'])
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(SystemExit) as caught:
        cli.run(calc_metrics.main)
    assert caught.value.code == 1 and '--gpus=2: found no CUDA device' in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes(tmp_path, data):
    G = drawn.save(tmp_path / 'plain.pkl')
    assert G is not None
    environment = dict(os.environ, MSPE_DETECTORS=str(scripted.folder()), DNNLIB_CACHE_DIR=str(tmp_path))
    found = []
    for gpus in (1, 2):
        run = [sys.executable, 'calc_metrics.py', f'--network={tmp_path}/plain.pkl', f'--data={data}',
               '--metrics=fid1k,pr1k3', f'--gpus={gpus}', '--device=cpu', '--verbose=0']
        result = subprocess.run(run, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [line['num_gpus'] for line in lines] == [gpus] * 2
        found.append({name: value for line in lines for name, value in line['results'].items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)
