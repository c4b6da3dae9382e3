"""train_ddpm.py: what it trains, resumes and refuses; two processes train as one."""

import json
import os
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from ddpm_mspe import config as ddpm_config
from ddpm_mspe import training as ddpm_training
from ddpm_mspe.unet_file import load_unet
from stylegan2_mspe import checkpoint
from tests import tiny
from tools import cli, train, train_ddpm, training_plan

SMALL = ['--cfg=ddpm64-small', '--batch=2', '--tick=.004', '--snap=1', '--workers=1', '--device=cpu']


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Pictures of 32 pixels, and a preset that takes them."""
    monkeypatch.setattr(ddpm_training, 'GRID', (1, 1))
    monkeypatch.setattr(ddpm_training, 'GRID_STEPS', 2)
    preset = ddpm_config.PRESETS['ddpm64-small']
    monkeypatch.setitem(ddpm_config.PRESETS, 'ddpm64-small',
                        preset._replace(channels=8, multipliers=(1, 1, 1), blocks=(0, 0, 1), groups=4))
    return tiny.make_dataset(tmp_path / 'data', count=4, size=32)


def run(capsys, *args):
    code = 0
    sys_argv, sys.argv = sys.argv, ['train_ddpm.py', *args]
    try:
        cli.run(train_ddpm.main)
    except SystemExit as error:
        code = error.code
    finally:
        sys.argv = sys_argv
    captured = capsys.readouterr()
    return code or 0, captured.out, captured.err


def test_help_is_quick_and_complete():
    code = 'import sys; from tools import train_ddpm; print("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == 'False\n'
    result = CliRunner().invoke(train_ddpm.main, ['--help'])
    assert all(f'--{name}' in result.output for name in ('data', 'cfg', 'pe', 'gpus', 'resume', 'dry-run'))


def test_train_and_resume(data, tmp_path, capsys):
    arguments = [f'--outdir={tmp_path}/runs', '--resume=latest']
    code, out, err = run(capsys, f'--data={data}', arguments[0], *SMALL, '--kimg=.006', '--pe=sspe')
    assert code == 0, err
    run_dir, = (tmp_path / 'runs').iterdir()
    assert run_dir.name == '00000-data-ddpm64-small-sspe-kimg0.006-batch2'
    assert 'Training: ' in out and 'pe sspe' in out and 'tick 1' in out
    assert load_unet(run_dir / 'network-snapshot-000000.safetensors').unet.pe == 'sspe'
    assert run(capsys, *arguments)[1].endswith('is finished: 0.006 of 0.006 kimg.\n')
    code, out, err = run(capsys, *arguments, '--kimg=.01', '--batch-gpu=1')
    assert code == 0 and 'Resuming at 0.006 kimg' in out, err
    assert checkpoint.newest_state(str(run_dir))['values']['progress']['nimg'] == 10
    recorded = json.loads((run_dir / 'training_options.json').read_text())
    assert recorded['kimg'] == .01 and recorded['batch_gpu'] == 1 and recorded['lr'] == 1e-3
    code, _, err = run(capsys, *arguments, '--kimg=1', '--pe=mspe')
    assert code == 1 and 'was started with sspe' in err


def test_a_run_of_the_other_command_is_not_gone_on_with(data, tmp_path, capsys):
    code, _, err = run(capsys, f'--data={data}', f'--outdir={tmp_path}/runs', *SMALL, '--kimg=.002')
    assert code == 0, err
    with pytest.raises(ValueError, match=r"^--resume=latest: \S*training_options.json: found .*'attention'"
                                         '.*, expected those of a run of this command'):
        training_plan.plan_resume(train.PROGRAM, str(tmp_path / 'runs'), {})


def test_the_papers_preset(data, capsys):
    code, out, _ = run(capsys, '--data=demo', '--pe=mspe', '-n')
    found = json.loads(out)
    assert code == 0 and (found['batch'], found['kimg'], found['betas']) == (16, 9600, [0, .99])
    assert (found['channels'], found['multipliers'], found['attention']) == (128, [1, 2, 2, 2], [8])
    assert (found['steps'], found['beta_first'], found['beta_last']) == (1000, 1e-4, .02)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """In programs of their own, as a user starts them."""
    script = tmp_path / 'small.py'
    script.write_text(f'''
import sys
sys.path.insert(0, {os.getcwd()!r})
from ddpm_mspe import config, training
training.GRID, training.GRID_STEPS = (1, 1), 2
config.PRESETS['ddpm64-small'] = config.PRESETS['ddpm64-small']._replace(
    channels=8, multipliers=(1, 1, 1), blocks=(0, 0, 1), groups=4)
from tools import cli, train, train_ddpm, training_plan
if __name__ == '__main__':
    cli.run(train_ddpm.main)
''')
    data, states = tiny.make_dataset(tmp_path / 'data', count=4, size=32), []
    for gpus in (1, 2):
        arguments = [f'--data={data}', f'--outdir={tmp_path}/{gpus}', f'--gpus={gpus}', *SMALL, '--fp32=1',
                     '--kimg=.006']
        result = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        run_dir, = (tmp_path / str(gpus)).iterdir()
        states.append(checkpoint.newest_state(str(run_dir)))
    for name, value in states[0]['modules']['unet'].items():
        torch.testing.assert_close(states[1]['modules']['unet'][name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('arguments, words', [
    ([], '--data is missing'),
    (['--data=nowhere'], 'nowhere: found nothing there'),
    (['--data=DATA', '--batch=3', '--gpus=2'], '--batch=3: expected a multiple of --gpus=2'),
    (['--data=DATA', '--batch=8', '--batch-gpu=3'], '--batch-gpu=3: expected a divisor of 8'),
    (['--data=DATA', '--kimg=0'], '--kimg=0'),
    (['--data=DATA', '--subset=9'], '--subset=9: found 4 pictures'),
    (['--data=DATA', '--cfg=ddpm64'], 'expected at least'),
    (['--resume=latest', '--outdir=nowhere'], 'found no run with a complete training state'),
])
def test_refusals(data, arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if '--cfg=ddpm64' in arguments:
        data = tiny.make_dataset(tmp_path / 'small', count=1, size=16)
    code, _, err = run(capsys, '--device=cpu', *(each.replace('DATA', data) for each in arguments))
    assert code == 1 and words in err and err.count('\n') == 1
    assert not (tmp_path / 'ddpm-runs').exists()
