"""The benchmark at its smallest: what it prints for which options."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tools.benchmarks import contenders, diffusion

ROOT = pathlib.Path(__file__).parents[2]
NUMBER = r'[\d.]+'


def run(*options):
    return subprocess.run([sys.executable, str(ROOT / 'tools/benchmark.py'), *options], capture_output=True,
                          text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def rows(done):
    """The cells of what was printed, without the header of the table."""
    assert done.returncode == 0, done.stderr
    lines = [line.strip('| ').split(' | ') for line in done.stdout.splitlines() if line.startswith('|')]
    return lines[2:]


def test_inference_of_all_contenders():
    found = rows(run('--tables=inference', '--infer-batch=2', '--rounds=1', '--seconds=.01', '--device=cpu'))
    assert [row[:3] for row in found] == [['small', '2', name] for name in ('mspe', 'baseline', 'plain')]
    for _, _, name, speed, memory, ratio, peer in found:
        assert float(speed) > 0 and float(memory) > 0 and peer == '-'
        assert float(ratio) > 0 and (name != 'baseline' or float(ratio) == 1)


@pytest.mark.slow
@pytest.mark.parametrize('table, names', [
    ('training', ['mspe', 'baseline', 'plain']), ('processes', ['4']), ('kernels', ['copy']),
    ('diffusion', ['mspe', 'baseline', 'plain'])])
def test_the_other_tables(table, names):
    found = rows(run(f'--tables={table}', '--batch=4', '--rounds=1', '--seconds=.01', '--device=cpu'))
    cells = {cell for row in found for cell in row}
    assert set(names) <= cells and all(re.fullmatch(NUMBER, row[-2].rstrip(' %')) for row in found)


def test_each_contender_gets_its_networks():
    def job(name, device='cpu'):
        return contenders.make_job('training', 'paper256', name, 'folder', device, 1., batch=2)
    assert job('mspe')['G']['synthesis_kwargs']['pe'] == 'mspe'
    assert job('baseline')['G']['synthesis_kwargs']['pe'] == 'none'
    assert 'pe' not in job('peer')['G']['synthesis_kwargs']         # which it does not know
    halves = {name: job(name)['D']['num_fp16_res'] for name in ('mspe', 'plain', 'peer')}
    assert halves == dict(mspe=4, plain=0, peer=0) and job('peer', 'cuda')['D']['num_fp16_res'] == 4


@pytest.mark.parametrize('contender', ['baseline', 'plain'])
def test_diffusion_models_train_and_sample(contender, monkeypatch):
    from ddpm_mspe import config
    from stylegan2_mspe.ops import native
    monkeypatch.setattr(native, 'enabled', True)
    small = config.PRESETS['ddpm64-small']._replace(channels=8, multipliers=(1, 1, 2), blocks=(0, 0, 1),
                                                    groups=4)
    monkeypatch.setitem(config.PRESETS, 'ddpm64-small', small)
    for what in ('training', 'sampling'):
        job = dict(preset='ddpm64-small', contender=contender, device='cpu', seconds=.001, batch=2, what=what)
        found = diffusion.prepare(job)()
        assert found['seconds'] > 0 and found['memory'] > 0 and 1e3 < found['parameters'] < 1e5
    assert native.enabled == (contender != 'plain')
    assert diffusion.make_config(job).pe == ('none' if contender == 'baseline' else 'mspe')


def test_ratios_are_of_rounds():
    answers = dict(ours=[dict(seconds=1.), dict(seconds=2.), dict(seconds=1.)],
                   theirs=[dict(seconds=3.), dict(seconds=4.), dict(seconds=30.)])
    assert contenders.ratio(answers, 'ours', 'theirs') == '3.000'
    assert contenders.ratio(answers, 'ours', 'nobody') == '-'


def test_what_is_fast_is_called_until_the_time_is_up():
    calls = []
    took = contenders.seconds_of(lambda: calls.append(sum(range(100))), .02, 'cpu')
    assert 0 < took < .001 and len(calls) * took > .01


def test_unknown_names_and_peers_end_in_a_sentence(tmp_path):
    for options, sentence in [(['--networks=large'], "'large': expected a comma list of small, paper256"),
                              (['--tables=play'], "'play': expected a comma list of training, inference"),
                              (['--infer-batch=0'], "'0': expected a comma list of whole numbers from 1 on"),
                              (['--batch=1'], '1: expected at least 2'),
                              ([f'--peer={tmp_path}/none'], 'none: found no StyleGAN2-ADA-PyTorch checkout'),
                              (['--tables=diffusion', f'--peer={tmp_path}'], 'found no package diffusers')]:
        done = run(*options)
        assert done.returncode in (1, 2) and sentence in done.stderr and 'Traceback' not in done.stderr
