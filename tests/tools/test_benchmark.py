"""The benchmark at its smallest: what it prints for which options."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run(*options):
    return subprocess.run([sys.executable, str(ROOT / 'tools/benchmark.py'), *options], capture_output=True,
                          text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})


def test_speeds_and_ratios_of_what_was_asked_for():
    done = run('--networks=small', '--tasks=infer', '--batch=2', '--rounds=1', '--seconds=.01', '--device=cpu')
    assert done.returncode == 0, done.stderr
    speeds = r'mspe [\d.]+ img/s   baseline [\d.]+ img/s   plain [\d.]+ img/s'
    ratios = r'mspe/plain [\d.]+x   mspe/baseline [\d.]+'
    assert re.fullmatch(f'small infer, batch 2, cpu: {speeds}   {ratios}\n', done.stdout), done.stdout


def test_unknown_names_and_peers_end_in_a_sentence(tmp_path):
    for options, sentence in [(['--networks=large'], "'large': expected a comma list of small, paper256"),
                              (['--tasks=play'], "'play': expected a comma list of train, infer, dataset"),
                              ([f'--peer={tmp_path}/none'], 'none: found no StyleGAN2-ADA-PyTorch checkout')]:
        done = run(*options)
        assert done.returncode in (1, 2) and sentence in done.stderr and 'Traceback' not in done.stderr
