"""Processes that a command or torchrun starts: they end together, with one sentence."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings

import pytest
import torch

from stylegan2_mspe import checkpoint, distributed, run_folder
from tests import tiny, together
from tools import processes, train
from torch_utils import custom_ops


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny', labels=True)


# ----- ending together --------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind, sentence', [
    ('refused', 'Error: picture 7 in a.zip: found a hole, expected a picture'),
    pytest.param('mistake', r'Traceback(.|\n)*AttributeError: no such thing', marks=pytest.mark.slow),
    ('SIGKILL', 'Error: process 1 of 2 was ended by SIGKILL, for want of memory perhaps; --resume=latest '),
    pytest.param('SIGTERM', 'Error: process 1 of 2 was ended by SIGTERM; --resume=latest goes on from the',
                 marks=pytest.mark.slow),
])
def test_one_that_ends_early_ends_the_other(capfd, kind, sentence):
    with pytest.raises(SystemExit) as caught:
        processes.run(2, together.harmed, kind)
    err = capfd.readouterr().err
    assert caught.value.code == 1 and re.match(sentence, err), err
    assert err.count('Error: ') == 1 and ('Traceback' in err) == (kind == 'mistake')


def test_only_the_first_speaks_of_compiling_kernels(monkeypatch):
    monkeypatch.setattr(custom_ops, 'verbosity', 'brief')
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    with warnings.catch_warnings():
        processes._behave(first=False)
    assert custom_ops.verbosity == 'none'


OPTIONS = ['--cfg=mspe-small', '--cbase=128', '--cmax=8', '--batch=8', '--batch-gpu=4', '--tick=.016',
           '--snap=2', '--workers=1', '--metrics=none', '--cond=0', '--device=cpu', '--fp32=1']


def start(folder, *args, **variables):
    environment = dict(os.environ, OMP_NUM_THREADS='1', **variables)
    program = args if args[0].startswith('-m') else ('train.py', *args)
    # In the background of a shell Ctrl-C is ignored, also by what the tests start.
    heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen([sys.executable, *program, f'--outdir={folder}'], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                            preexec_fn=heard)


def ended(process):
    try:
        return process.communicate(timeout=300)
    finally:
        process.kill()


def told(err):
    """The lines that are not about how far it is."""
    return [line for line in err.splitlines() if line and not line.startswith('kimg ')]


def descendants(process):
    import psutil
    return psutil.Process(process.pid).children(recursive=True)


def test_control_c_ends_all_and_one_process_goes_on(data, tmp_path):
    process = start(tmp_path, *OPTIONS, f'--data={data}', '--gpus=2', '--kimg=8')
    for line in process.stdout:
        if line.startswith('tick 2'):       # whose snapshot is being written
            break
    others = descendants(process)
    assert len(others) >= 2
    os.killpg(process.pid, signal.SIGINT)   # as a terminal does
    out, err = ended(process)
    assert (process.returncode, told(err)) == (130, ['Interrupted.'])
    for _ in range(200):
        if not any(each.is_running() and each.status() != 'zombie' for each in others):
            break
        time.sleep(.05)
    assert not any(each.is_running() and each.status() != 'zombie' for each in others)
    [(_, run_dir)] = run_folder.runs(str(tmp_path))
    nimg = checkpoint.newest_state(run_dir)['values']['progress']['nimg']
    assert nimg >= 8
    options = ['--resume=latest', f'--outdir={tmp_path}', '--gpus=1', f'--kimg={(nimg + 16) / 1000}']
    train.main(options, standalone_mode=False)
    recorded = run_folder.read_json(os.path.join(run_dir, run_folder.OPTIONS))
    assert checkpoint.newest_state(run_dir)['values']['progress']['nimg'] == nimg + 16
    assert (recorded['num_gpus'], recorded['batch_gpu'], recorded['batch']) == (1, 4, 8)


# ----- torchrun ---------------------------------------------------------------------------------------------


def test_torchrun_on_this_machine(data, tmp_path):
    process = start(tmp_path, '-mtorch.distributed.run', '--standalone', '--nproc-per-node=2', 'train.py',
                    *OPTIONS, f'--data={data}', '--kimg=.032')
    out, err = ended(process)
    assert process.returncode == 0, err
    words = [line.split()[0] for line in out.splitlines()]
    assert words == ['Training:', '40', 'tick', 'tick', 'tick', 'Done:']
    [(_, run_dir)] = run_folder.runs(str(tmp_path))
    assert ' on 2 x cpu' in out and checkpoint.newest_state(run_dir)['values']['progress']['nimg'] == 32


def node(folder, rank, port, *args):
    return start(folder, *args, RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK='0', LOCAL_WORLD_SIZE='1',
                 MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), GLOO_SOCKET_IFNAME='lo')


def free_port():
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        return listening.getsockname()[1]


def test_two_machines(data, tmp_path):
    """Each with a program of its own, which the environment tells its place; the second has no run folder."""
    port = free_port()
    options = [*OPTIONS, f'--data={data}', '--kimg=.016']
    nodes = [node(tmp_path / f'{rank}', rank, port, *options) for rank in range(2)]
    (out, err), (other_out, other_err) = [ended(process) for process in nodes]
    assert [process.returncode for process in nodes] == [0, 0], err + other_err
    assert out.startswith('Training: ') and (told(err), other_out, told(other_err)) == ([], '', [])
    assert os.listdir(tmp_path) == ['0'] and len(run_folder.runs(str(tmp_path / '0'))) == 1


@pytest.mark.parametrize('variables, options, sentence', [
    (dict(RANK='0', WORLD_SIZE='2'), {}, 'found RANK in the environment, expected LOCAL_RANK, MASTER_ADDR, '
     'MASTER_PORT with it, as torchrun sets them'),
    (dict(RANK='2', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='h', MASTER_PORT='1'), {},
     'RANK=2, WORLD_SIZE=2, LOCAL_RANK=0 in the environment: expected ranks below'),
    (dict(RANK='x', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='h', MASTER_PORT='1'), {},
     'expected whole numbers'),
    (dict(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='h', MASTER_PORT='1'), dict(gpus=4),
     '--gpus=4: found 2 processes (WORLD_SIZE, as torchrun sets it), expected the same number, or '),
])
def test_what_the_environment_may_say(monkeypatch, variables, options, sentence):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as caught:
        processes.started_by_torchrun(options)
    assert sentence in str(caught.value)


def test_alone_there_is_nobody(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    options = dict(gpus=2)
    assert processes.started_by_torchrun(options) is None and options == dict(gpus=2)
    monkeypatch.setenv('RANK', '0'), monkeypatch.setenv('WORLD_SIZE', '1')      # torchrun with one process
    assert processes.started_by_torchrun(options) is None
    assert (distributed.rank(), distributed.size(), distributed.is_first()) == (0, 1, True)
    module, tensor = torch.nn.Linear(1, 1), torch.ones(2)
    assert distributed.parallel(module) is module and distributed.share('this') == 'this'
    distributed.average([tensor]), distributed.spread([module]), distributed.check([module])
    assert tensor.tolist() == [1, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU here')
@pytest.mark.parametrize('args, sentence', [
    (['--gpus=8'], '--gpus=8: found no CUDA device on this machine, expected 8, or --device=cpu'),
    (['--gpus=3'], '--gpus=3: expected a power of two'),
])
def test_too_few_devices(data, tmp_path, args, sentence):
    with pytest.raises(ValueError) as caught:
        train.main([*OPTIONS[:3], f'--data={data}', f'--outdir={tmp_path}', '--batch=64', *args],
                   standalone_mode=False)
    assert sentence in str(caught.value) and os.listdir(tmp_path) == []


def test_how_a_batch_is_divided_when_a_run_goes_on_elsewhere(data):
    recorded = tiny.config(data, batch=32, batch_gpu=16, num_gpus=2, mbstd_group=4)
    for changes, expected in [({}, (2, 16)), (dict(gpus=1), (1, 16)), (dict(gpus=4), (4, 8)),
                              (dict(gpus=4, batch_gpu=4), (4, 4)), (dict(batch_gpu=8), (2, 8))]:
        assert train.divided(recorded, changes) == dict(num_gpus=expected[0], batch_gpu=expected[1])
    for changes, sentence in [(dict(gpus=16), '--gpus=16: gives 2 images per pass, expected a multiple of 4'),
                              (dict(gpus=64), '--batch=32: expected a multiple of --gpus=64'),
                              (dict(batch_gpu=12), '--batch-gpu=12: expected a divisor of 16')]:
        with pytest.raises(ValueError) as caught:
            train.divided(recorded, changes)
        assert sentence in str(caught.value)
