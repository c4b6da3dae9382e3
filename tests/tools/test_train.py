"""The train program: what it prints, refuses, names and resumes."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from stylegan2_mspe import checkpoint, networks, run_folder, training_loop
from stylegan2_mspe.augpipes import PIPES
from stylegan2_mspe.config import PRESETS
from stylegan2_mspe.legacy import load_network_pkl, save_network_pkl
from stylegan2_mspe.options import PRETRAINED
from tests import brightness, tiny  # noqa: F401 (registers a metric)
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
    '--cond=0',
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
        'map-depth tick desc random-resize stop-on-nan'
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
    assert tiny.files(run_dir) == {
        'training_options.json', 'log.txt', 'reals.png', 'fakes_init.png', 'fakes000000.png',
        'network-snapshot-000000.pkl', 'training-state-000000.pt', 'stats.jsonl'}
    assert (run_dir / 'log.txt').read_text() == out
    said = [line.split()[0] for line in out.splitlines()]
    assert said == ['Training:', '40', 'tick', 'tick', 'tick', 'Done:']
    options = json.loads((run_dir / 'training_options.json').read_text())
    assert (options['seed'], options['kimg'], options['training_set_kwargs']['path']) == (4, .04, data)
    assert options['options'] == dict(
        data=data, cfg='mspe-small', cbase=128, cmax=8, batch=8, kimg=.04, tick=.016, snap=2, workers=1,
        metrics=[], cond=False, desc='first', seed=4)
    G = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')['G_ema']
    assert (G.img_resolution, G.z_dim, G.synthesis.pe) == (16, 64, 'mspe')
    # The next one has the next number, and starts from this one's network.
    code, out, err = program(f'--data={data}', *SMALL, f'--resume={run_dir}/network-snapshot-000000.pkl',
                             '--pe=sspe')
    assert code == 0, err
    name = '00001-tiny-mspe-small-kimg0.04-batch8-resumecustom-pesspe-cbase128-cmax8'
    assert (tmp_path / 'training-runs' / name).is_dir()


def test_what_options_leave_in_a_run(program, tmp_path, data):
    """The options of StyleGAN2-ADA's that other tests do not look at, by what was written."""
    args = ['--outdir=elsewhere/runs', '--cond=1', '--subset=24', '--mirror=1', '--gamma=2.5', '--freezed=2',
            '--fp32=1', '--nhwc=1', '--nobench=1', '--allow-tf32=1', '--snap=1', '--seed=6']
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    try:
        code, out, err = program(f'--data={data}', *SMALL[:-1], *args)
        assert (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32) == (False, True, True)
    finally:
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before
    assert code == 0, err
    [run_dir] = (tmp_path / 'elsewhere' / 'runs').iterdir()
    assert run_dir.name == ('00000-tiny-cond-subset24-mirror-mspe-small-gamma2.5-kimg0.04-batch8-freezed2-'
                            'cbase128-cmax8')
    recorded = json.loads((run_dir / 'training_options.json').read_text())
    assert recorded['training_set_kwargs'] == dict(
        class_name='training.dataset.ImageFolderDataset', path=data, resolution=16, max_size=24,
        use_labels=True, xflip=True, random_seed=6)
    assert out.splitlines()[1].startswith('48 pictures 16x16 of tiny;')         # 24, and 24 mirrored
    # R1 of weight 2.5, no half precision and no clamp, and two layers of D that stayed as they were.
    *_, last = tiny.stats_lines(run_dir)
    assert last['Loss/D/reg']['mean'] == pytest.approx(1.25 * last['Loss/r1_penalty']['mean'], rel=1e-5)
    network = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')
    G, D = network['G_ema'], network['D']
    assert G.init_kwargs['synthesis_kwargs'] == dict(
        channel_base=128, channel_max=8, num_fp16_res=0, conv_clamp=None, pe='mspe', fp16_channels_last=True)
    assert (D.init_kwargs['block_kwargs'], D.c_dim, G.c_dim) == (
        dict(freeze_layers=2, fp16_channels_last=True), 3, 3)
    frozen = {name for name, _ in D.named_buffers() if not name.endswith('filter')}
    assert frozen == {f'b16.{layer}.{kind}' for layer in ('fromrgb', 'conv0') for kind in ('weight', 'bias')}
    assert len(list(run_dir.glob('training-state-*.pt'))) == 1 and len(tiny.stats_lines(run_dir)) == 3


def test_what_our_own_options_leave_in_a_run(program, tmp_path, data, monkeypatch):
    sizes, batches = [], []
    forward = networks.SynthesisNetwork.forward

    def watched(self, ws, canvas=None, **kwargs):
        if self.training:
            sizes.append((canvas.height, canvas.width) if canvas is not None else (16, 16))
            batches.append(len(ws))
        return forward(self, ws, canvas=canvas, **kwargs)

    monkeypatch.setattr(networks.SynthesisNetwork, 'forward', watched)
    code, out, err = program(f'--data={data}', *SMALL, '--pe=sspe', '--map-depth=3', '--batch-gpu=8',
                             '--batch=16', '--kimg=.08', '--random-resize=8,16,24', '--device=cpu')
    assert code == 0, err
    [run_dir] = (tmp_path / 'training-runs').iterdir()
    recorded = json.loads((run_dir / 'training_options.json').read_text())
    assert (recorded['batch'], recorded['batch_gpu'], recorded['device']) == (16, 8, 'cpu')
    assert recorded['random_resize'] == [8, 16, 24] and set(batches) == {8}
    assert {(8, 8), (24, 24)} <= set(sizes) <= {(8, 8), (16, 16), (24, 24)}
    G = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')['G_ema']
    assert (G.mapping.num_layers, G.synthesis.pe) == (3, 'sspe')


@pytest.mark.parametrize('name', ['ffhq256', 'ffhq512', 'ffhq1024', 'celebahq256', 'lsundog256'])
def test_networks_that_have_names(program, tmp_path, data, monkeypatch, name):
    folder = tmp_path / 'published'
    folder.mkdir()
    make_network(str(folder / PRETRAINED[name]))
    monkeypatch.setattr('stylegan2_mspe.options.PRETRAINED_URL', folder.as_uri() + '/')
    code, out, err = program(f'--data={data}', *SMALL, '--kimg=.008', f'--resume={name}')
    assert code == 0, err
    [run_dir] = (tmp_path / 'training-runs').iterdir()
    assert f'-resume{name}-' in run_dir.name
    log = (run_dir / 'log.txt').read_text()
    assert f'Starting from {folder.as_uri()}/{PRETRAINED[name]}: 16x16, 3 channels, pe none' in log
    assert 'b16' in log and 'new gamma' in log and 'γ starts at ' in log and log == out
    recorded = json.loads((run_dir / 'training_options.json').read_text())
    assert (recorded['ema_ramp'], recorded['ada_kimg']) == (None, 100)


def make_network(path):
    """A baseline network of SMALL's size."""
    G = networks.Generator(64, 0, 64, 16, 3, mapping_kwargs=dict(num_layers=2),
                           synthesis_kwargs=dict(channel_base=128, channel_max=8))
    save_network_pkl(path, G=G, D=None, G_ema=G, training_set_kwargs=None)


def test_a_run_that_goes_wrong_ends_where_asked_to(program, tmp_path, data, monkeypatch):
    step = training_loop.training_step

    def harmed(training, *args):
        step(training, *args)
        training.models['G'].mapping.w_avg.fill_(float('nan'))

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, 'training_step', harmed)
        code, out, err = program(f'--data={data}', *SMALL, '--stop-on-nan=1')
    assert code == 1
    assert err.startswith('Error: --stop-on-nan: NaN since tick 0, so the run ended at kimg 0.008; ')
    assert 'Warning: NaN in the weights of G' in out and err.count('\n') == 1
    code, out, err = program('--resume=latest', '--stop-on-nan=0')
    assert code == 0 and out.startswith('Resuming at 0 kimg') and 'Warning' not in out, err


def test_metrics_left_out_on_a_cpu_are_told_once(program, tmp_path, data):
    options = [each for each in SMALL if each != '--metrics=none' and not each.startswith('--cfg')]
    code, out, err = program(f'--data={data}', '--cfg=auto', *options)
    assert code == 0
    assert [line[:30] for line in err.splitlines()] == ['Warning: fid50k_full, the defa']


def test_metrics_of_each_snapshot(program, tmp_path, data):
    code, out, err = program(f'--data={data}', *SMALL, '--metrics=brightness')
    assert code == 0 and err == '', err
    lines = (pathlib.Path(only_run(tmp_path)) / 'metric-brightness.jsonl').read_text().splitlines()
    assert len(lines) == out.count('\nbrightness ') == 2
    assert json.loads(lines[0])['snapshot_pkl'] == 'network-snapshot-000000.pkl'
    code, out, err = program('--resume=latest', '--kimg=.048', '--metrics=none')
    assert code == 0 and 'brightness' not in out


def test_metrics_that_can_not_be_had_are_told_before_anything_is_made(program, tmp_path, data, monkeypatch):
    def offline(*_, **__):
        raise OSError('found no network')
    monkeypatch.setenv('MSPE_DETECTORS', str(tmp_path))
    monkeypatch.setattr('dnnlib.util.open_url', offline)
    result = program(f'--data={data}', *SMALL, '--metrics=fid5k_full')
    refused(result, 'inception, which a metric needs, can not be had (found no network), expected', tmp_path)
    asked = [f'--data={data}', *SMALL, '--metrics=fid5k_full']
    assert program(*asked, '--dry-run')[0] == 0         # downloads nothing


def test_labels_that_are_not_used_are_told(program, tmp_path, data):
    options = [each for each in SMALL if each != '--cond=0']
    code, out, err = program(f'--data={data}', *options)
    assert code == 0 and err == ('Warning: tiny has labels (3), which are not used: --cond=1 trains with '
                                 'them, --cond=0 is silent.\n')


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
    (['--batch-gpu=5', '--batch=32'], '--batch-gpu=5: expected a divisor of 32'),
    (['--gpus=3'], '--gpus=3: expected a power of two'),
    (['--gpus=4', '--batch=30'], '--batch=30: expected a multiple of --gpus=4'),
    (['--gpus=16'], '--gpus=16: found '),
    (['--aug=noaug', '--augpipe=bg'], '--augpipe=bg: found --aug=noaug, expected --aug=ada'),
    (['--aug=ada', '--p=.5'], '--p=0.5: expected a probability from 0 to 1, together with --aug=fixed'),
    (['--aug=fixed'], '--aug=fixed: expected --p'),
    (['--metrics=fid_mnist,fid50k-full'], '--metrics=fid50k-full is not a metric; did you mean'),
    (['--subset=41'], '--subset=41: found 40 pictures'),
    (['--pe=mps'], "'mps' is not one of"),
    (['--random-resize=64,a'], "found '64,a', expected sizes separated by commas"),
    (['--random-resize=1000'], '--random-resize: found 1000, expected sizes from 4 to 64'),
    (['--resume=nowhere.pkl'], '--resume=nowhere.pkl: no such file'),
    (['--resume=.'], '--resume=.: found a folder, expected a network file such as network-snapshot-'),
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
        (['--gamma=5'], '--gamma=5.0: '),
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
        f'--gamma={PRESETS["mspe-small"].gamma}',
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
