"""The train program: what it prints, refuses, names and resumes."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from stylegan2_mspe import checkpoint, run_folder, training_loop
from stylegan2_mspe.augpipes import PIPES
from stylegan2_mspe.legacy import load_network_pkl
from tests import tiny
from tools import cli, train

SMALL = [
    '--cfg=mspe-small',
    '--cbase=128',
    '--cmax=8',
    '--batch=8',
    '--kimg=.04',
    '--tick=.016',
    '--snap=2',
    '--workers=1',
    '--metrics=none',
]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny', labels=True)


@pytest.fixture
def program(tmp_path, monkeypatch, capsys):
    """Runs the program in this process, in a folder of its own; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('stylegan2_mspe.snapshots.grid_size', lambda resolution: tiny.GRID)

    def run(*args):
        monkeypatch.setattr(sys, 'argv', ['train.py', *args])
        with pytest.raises(SystemExit) as caught:
            cli.run(train.main)
        return caught.value.code, *capsys.readouterr()
    return run


def refused(result, sentence, folder):
    """One sentence on stderr, and nothing created."""
    code, out, err = result
    assert code in (1, 2) and 'Traceback' not in err and sentence in err, err
    if code == 1:
        assert err.startswith('Error: ') and err.count('\n') == 1
    assert os.listdir(folder) == []


# ----- what it prints ---------------------------------------------------------------------------------------


def test_help_has_every_option_and_answers_at_once():
    start = time.monotonic()
    result = subprocess.run([sys.executable, 'train.py', '--help'], capture_output=True, text=True)
    seconds = time.monotonic() - start
    assert result.returncode == 0
    for name in (
        'outdir data gpus snap metrics seed cond subset mirror cfg gamma kimg batch aug p target augpipe '
        'resume freezed fp32 nhwc nobench allow-tf32 workers dry-run pe device batch-gpu cbase cmax '
        'map-depth tick desc random-resize'
    ).split():
        assert f'--{name} ' in result.stdout or f'--{name}\n' in result.stdout, name
    assert 'python train.py --cfg=mspe-small --data=demo' in result.stdout
    assert seconds < 5      # half a second on a quiet machine; importing torch would show in test_config too


def test_dry_run_prints_the_config_and_creates_nothing(program, tmp_path, data):
    code, out, err = program(f'--data={data}', '--cfg=paper256', '--gamma=2', '--mirror=1', '--cond=1', '-n')
    values = json.loads(out)
    assert code == 0 and os.listdir(tmp_path) == []
    assert (values['gamma'], values['batch'], values['lr'], values['label_dim'], values['resolution']) == (
        2,
        64,
        0.0025,
        3,
        16,
    )
    assert values['desc'] == 'tiny-cond-mirror-paper256-gamma2'
    code, out, _ = program('--data=demo', '--cfg=mspe-small', '--allow_tf32=1', '--dry-run')
    assert (json.loads(out)['pe'], json.loads(out)['allow_tf32'], json.loads(out)['desc']) == (
        'mspe',
        True,
        'demo-mspe-small',
    )


# ----- what it makes ----------------------------------------------------------------------------------------


def test_a_run(program, tmp_path, data):
    code, out, err = program(f'--data={data}', *SMALL, '--desc=first', '--seed=4')
    assert code == 0, err
    run_dir = tmp_path / 'training-runs' / '00000-tiny-mspe-small-kimg0.04-batch8-cbase128-cmax8-first'
    assert {path.name for path in run_dir.iterdir()} == {
        'training_options.json',
        'log.txt',
        'reals.png',
        'fakes_init.png',
        'fakes000000.png',
        'network-snapshot-000000.pkl',
        'training-state-000000.pt',
        'stats.jsonl',
    }
    assert (run_dir / 'log.txt').read_text() == out
    assert [line.split()[0] for line in out.splitlines()] == [
        'Training:',
        '40',
        'tick',
        'tick',
        'tick',
        'Done:',
    ]
    options = json.loads((run_dir / 'training_options.json').read_text())
    assert (options['seed'], options['kimg'], options['training_set_kwargs']['path']) == (4, .04, data)
    assert options['options'] == dict(
        data=data,
        cfg='mspe-small',
        cbase=128,
        cmax=8,
        batch=8,
        kimg=0.04,
        tick=0.016,
        snap=2,
        workers=1,
        metrics=[],
        desc='first',
        seed=4,
    )
    G = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')['G_ema']
    assert (G.img_resolution, G.z_dim, G.synthesis.pe) == (16, 64, 'mspe')
    # The next one has the next number, and starts from this one's network.
    code, out, err = program(
        f'--data={data}', *SMALL, f'--resume={run_dir}/network-snapshot-000000.pkl', '--pe=sspe'
    )
    assert code == 0, err
    assert os.path.isdir(
        tmp_path
        / 'training-runs'
        / '00001-tiny-mspe-small-kimg0.04-batch8-resumecustom-pesspe-cbase128-cmax8'
    )


def test_defaults_not_built_yet_are_warned_of_once(program, tmp_path, data):
    options = [each for each in SMALL if each != '--metrics=none' and not each.startswith('--cfg')]
    code, out, err = program(f'--data={data}', '--cfg=auto', *options)
    assert code == 0
    assert [line[:22] for line in err.splitlines()] == ['Warning: Metrics (by d']


@pytest.mark.parametrize('options, name, p, kinds', [
    (['--cfg=auto'], 'tiny-auto1-', None, 'ada, bgc'),         # StyleGAN2-ADA's presets augment
    (['--aug=fixed', '--p=.3', '--augpipe=blit'], '-fixed-p0.3-blit-', .3, 'fixed, blit'),
    (['--aug=ada', '--target=.8', '--augpipe=geom'], '-ada-target0.8-geom-', None, 'ada, geom'),
])
def test_augmented_runs(program, tmp_path, data, options, name, p, kinds):
    code, out, err = program(f'--data={data}', *SMALL, *options)
    assert code == 0, err
    [run_dir] = (tmp_path / 'training-runs').iterdir()
    assert name in run_dir.name and f'augmented ({kinds})' in (run_dir / 'log.txt').read_text()
    recorded = json.loads((run_dir / 'training_options.json').read_text())
    assert f'{recorded["aug"]}, {recorded["augpipe"]}' == kinds
    *_, last = tiny.stats_lines(run_dir)
    pipe = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')['augment_pipe']
    assert last['Progress/augment']['mean'] == pytest.approx(float(pipe.p))
    assert p is None or float(pipe.p) == pytest.approx(p)
    assert dict(pipe.init_kwargs) == PIPES[recorded['augpipe']]


# ----- what it refuses --------------------------------------------------------------------------------------


@pytest.mark.parametrize('args, sentence', [
    ([], '--data is missing'),
    (['--data=nowhere.zip'], 'nowhere.zip'),
    (['--cfg=mspe-smal'], '--cfg=mspe-smal is not a preset; did you mean mspe-small'),
    (['--batch=30', '--cfg=mspe-small'], '--batch=30: gives 30 images per pass, expected a multiple of 8'),
    (['--batch-gpu=5', '--cfg=mspe-small'], '--batch-gpu=5: expected a divisor of 32'),
    (['--gpus=2'], '--gpus=2: training on several GPUs is not built yet'),
    (['--aug=noaug', '--augpipe=bg'], '--augpipe=bg: found --aug=noaug, expected --aug=ada'),
    (['--aug=ada', '--p=.5'], '--p=0.5: expected a probability from 0 to 1, together with --aug=fixed'),
    (['--aug=fixed'], '--aug=fixed: expected --p'),
    (['--metrics=fid50k_full,kid50k_full'], '--metrics=fid50k_full,kid50k_full: metrics are not built yet'),
    (['--subset=41'], '--subset=41: found 40 pictures'),
    (['--pe=mps'], "'mps' is not one of"),
    (['--random-resize=64,a'], "found '64,a', expected sizes separated by commas"),
    (['--random-resize=1000'], '--random-resize: found 1000, expected sizes from 4 to 64'),
    (['--resume=nowhere.pkl'], '--resume=nowhere.pkl: no such file'),
    (['--resume=latest'], '--resume=latest: found no run with a complete training state in training-runs'),
    (['--batch=many'], "'many' is not a valid integer"),
])
def test_bad_input_gets_one_sentence(program, tmp_path, data, args, sentence):
    own = (
        []
        if not args or any(each.startswith(('--data', '--resume=latest')) for each in args)
        else [f'--data={data}']
    )
    refused(program(*own, *args), sentence, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU here')
def test_no_gpu_is_said(program, tmp_path, data):
    refused(program(f'--data={data}', '--device=cuda'), '--device=cuda: found no CUDA device', tmp_path)


def test_a_network_that_is_none_or_another(program, tmp_path, data):
    (tmp_path / 'elsewhere').mkdir()
    path = tmp_path / 'elsewhere' / 'net.pkl'
    path.write_bytes(b'no network')
    code, out, err = program(f'--data={data}', *SMALL, f'--resume={path}')
    assert code == 1 and err.count('\n') == 1 and 'net.pkl' in err
    assert os.listdir(tmp_path) == ['elsewhere']


def test_a_picture_of_another_size_ends_the_run_in_one_sentence(program, tmp_path):
    path = tmp_path / 'mixed'
    tiny.make_dataset(path, count=12)
    Image.new('RGB', (16, 20)).save(path / '007.png')
    code, out, err = program(f'--data={path}', *SMALL)
    assert code == 1 and err.startswith('Error: 007.png in ') and err.count('\n') == 1, err


def test_a_full_disk_says_where_and_keeps_the_last_state(program, tmp_path, data, monkeypatch):
    import pickle
    dumped = []

    def full(*args, dump=pickle.dump, **kwargs):
        dumped.append(1)
        if len(dumped) == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        dump(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr('stylegan2_mspe.legacy.pickle.dump', full)
        code, out, err = program(f'--data={data}', *SMALL)
    assert (
        code == 1 and err.startswith('Error: training-runs/00000-tiny') and 'No space left on device' in err
    ), err
    assert not [name for name in os.listdir(only_run(tmp_path)) if name.endswith('.part')]
    code, out, err = program('--resume=latest')
    assert code == 0, err


# ----- resuming ---------------------------------------------------------------------------------------------


def only_run(tmp_path):
    [(_, path)] = run_folder.runs(str(tmp_path / 'training-runs'))
    return path


class Killed(BaseException):
    pass


@pytest.fixture
def stopped(program, tmp_path, data, monkeypatch, capsys):
    """A run of 40 images stopped after 24, with a state at 24."""
    steps = []
    step = training_loop.training_step

    def stopping(*args):
        if len(steps) == 3:
            raise Killed
        steps.append(1)
        step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, 'training_step', stopping)
        patch.setattr(sys, 'argv', ['train.py', f'--data={data}', *SMALL, '--snap=1'])
        with pytest.raises(Killed):
            cli.run(train.main)
    capsys.readouterr()
    return program


def test_latest_goes_on_with_the_recorded_options(stopped, tmp_path):
    code, out, err = stopped('--resume=latest')
    assert code == 0, err
    assert out.startswith('Resuming at 0.024 kimg: ')
    assert [line['Progress/kimg']['mean'] for line in tiny.stats_lines(tmp_path / only_run(tmp_path))] == [
        0.008,
        0.024,
        0.04,
    ]
    log = open(os.path.join(only_run(tmp_path), 'log.txt')).read()
    assert 'Training: ' in log and log.endswith(out)
    code, out, err = stopped('--resume=latest')
    assert code == 0 and 'is finished: 0.04 of 0.04 kimg' in out
    code, out, err = stopped('--resume=latest', '--kimg=.056')          # longer, after all
    assert code == 0 and out.startswith('Resuming at 0.04 kimg')
    assert checkpoint.newest_state(only_run(tmp_path))['values']['progress']['nimg'] == 56
    code, out, err = stopped('--resume=latest')
    assert 'is finished: 0.056 of 0.056 kimg' in out


def test_what_may_change_and_what_may_not(stopped, tmp_path, data):
    path = os.path.join(only_run(tmp_path), 'training_options.json')
    before = open(path).read()
    for args, sentence in [
        (
            ['--batch=16'],
            '--batch=16: training-runs/00000-tiny-mspe-small-kimg0.04-batch8-cbase128-cmax8 was started '
            'with 8; a resumed run may change only --kimg, --snap, --workers',
        ),
        (['--pe=none'], '--pe=none: '),
        (['--gamma=5'], 'was started with 10'),
        (['--data=demo'], '--data=demo'),
        (['--seed=1'], 'was started with 0'),
        (['--desc=x'], '--desc=x'),
        (['--kimg=-1'], '--kimg=-1.0: expected'),
        (['--tick=.1'], 'was started with 0.016'),
        (['--mirror=1'], '--mirror'),
        (['--workers=0'], '--workers=0: expected'),
    ]:
        code, out, err = stopped('--resume=latest', *args)
        assert code == 1 and sentence in err and err.count('\n') == 1, err
        assert open(path).read() == before
    code, out, err = stopped(
        '--resume=latest',
        '--batch=8',
        '--cfg=mspe-small',
        f'--data={data}',
        '--seed=0',
        '--gamma=10',
        '--snap=3',
        '-n',
    )
    assert code == 0 and json.loads(out)['snap'] == 3, err
    code, out, err = stopped('--resume=latest', '--snap=1', '--workers=2')
    assert code == 0, err
    values = json.loads(open(path).read())
    assert (values['snap'], values['workers'], values['options']['snap']) == (1, 2, 1)


def test_runs_without_a_state_are_passed_over(stopped, tmp_path):
    newer = tmp_path / 'training-runs' / '00005-newer'
    newer.mkdir()
    (newer / 'training-state-000100.pt').write_bytes(b'half')
    code, out, err = stopped('--resume=latest')
    assert code == 0 and '00000-tiny' in out, err


def test_another_number_of_threads_is_told(stopped, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        code, out, err = stopped('--resume=latest')
    finally:
        torch.set_num_threads(threads)
    assert code == 0 and f'was started with threads={threads} and goes on with threads={threads + 1}' in err


def test_a_lost_dataset_is_named(stopped, tmp_path, data):
    os.rename(data, data + '-away')
    try:
        code, out, err = stopped('--resume=latest')
    finally:
        os.rename(data + '-away', data)
    assert code == 1 and err.count('\n') == 1 and data in err
