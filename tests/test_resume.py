"""A run killed at any instant and resumed ends with the same bits as one that was left alone."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from stylegan2_mspe import checkpoint, files, run_folder, training_loop, training_parts
from stylegan2_mspe.legacy import load_network_pkl
from tests import tiny
from tools import train

ENDING = 'training-state-000000.pt'     # all of a tiny run is below one kimg


def run(config, run_dir, state=None):
    training_loop.train(
        training_parts.build(config, state), str(run_dir), say=lambda line: None, grid=tiny.GRID
    )


def resume(config, run_dir):
    """Goes on from the newest state; whatever was drawn before in this process must not matter."""
    torch.manual_seed(time.time_ns() % 2 ** 63)
    run(config, run_dir, checkpoint.newest_state(str(run_dir)))


def assert_same_end(first, second):
    states = [checkpoint.load_state(str(each / ENDING)) for each in (first, second)]
    assert tiny.differences(*states) == []
    assert tiny.stats_lines(first) == tiny.stats_lines(second)
    for name in ('reals.png', 'fakes_init.png', 'fakes000000.png'):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    networks = [load_network_pkl(each / 'network-snapshot-000000.pkl') for each in (first, second)]
    for name in ('G', 'D', 'G_ema'):
        assert tiny.differences(*(dict(each[name].state_dict()) for each in networks)) == []
    assert not [name for name in os.listdir(second) if name.endswith('.part')]


class Witness:
    """Copies a folder before and after each call that changes it: all that a kill at any instant can leave
    behind.
    """

    CALLS = ('mkdir', 'open', 'write', 'fsync', 'replace', 'remove', 'ftruncate')

    def __init__(self, folder, copies, monkeypatch):
        self.folder, self.copies, self.seen, self.busy = folder, copies, {}, False
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self.watched(getattr(os, name), name))
        monkeypatch.setattr(files, 'open', self.watched(open, 'open'), raising=False)

    def watched(self, call, name):
        def replacement(*args, **kwargs):
            self.look(f'before {name}')
            result = call(*args, **kwargs)
            self.look(f'after {name}')
            return result
        return replacement

    def look(self, when):
        if self.busy or not os.path.isdir(self.folder):
            return
        self.busy = True
        digest = hashlib.sha1()
        for name in sorted(os.listdir(self.folder)):
            with open(self.folder / name, 'rb') as file:
                content = file.read()
            digest.update(name.encode() + content)
        if digest.digest() not in self.seen:
            copy = self.copies / f'{len(self.seen):03d}'
            shutil.copytree(self.folder, copy)
            self.seen[digest.digest()] = (copy, when)
        self.busy = False


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def test_killed_at_any_call_it_ends_the_same(data, tmp_path, monkeypatch):
    config = tiny.config(data, kimg=.028)
    whole = tmp_path / 'whole'
    whole.mkdir()
    with monkeypatch.context() as patch:
        witness = Witness(whole, tmp_path / 'copies', patch)
        run(config, whole)
    copies = [copy for copy, _ in witness.seen.values()]
    resumable = [copy for copy in copies if checkpoint.newest_state(str(copy))]
    assert len(resumable) >= 20 and len(copies) > len(resumable)    # the rest is before the first state
    for copy in resumable:
        resume(config, copy)
        assert_same_end(whole, copy)


def test_half_written_files_do_not_disturb(data, tmp_path):
    """A power cut can leave any length of what was being written."""
    config = tiny.config(data)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    whole.mkdir()
    run(config, whole)
    cut.mkdir()
    run(tiny.config(data, kimg=.020), cut)
    for name in (ENDING, 'network-snapshot-000000.pkl', 'fakes000000.png', 'training_options.json'):
        (cut / f'{name}.part').write_bytes(b'\x80half')
    with open(cut / run_folder.STATS, 'a') as file:
        file.write('{"Progress/tick": {"num": 1, "mean": 2, "st')
    (cut / 'training-state-000001.pt').write_bytes((cut / ENDING).read_bytes()[:1000])
    resume(config, cut)
    os.remove(cut / 'training-state-000001.pt')
    assert (
        tiny.differences(*(checkpoint.load_state(str(each / ENDING))['modules'] for each in (whole, cut)))
        == []
    )


def test_resuming_twice_from_the_same_state(data, tmp_path):
    config = tiny.config(data, style_mixing=.5, random_resize=(12, 16, 24), random_shift=True,
                         pe='sspe')
    whole = tmp_path / 'whole'
    whole.mkdir()
    run(config, whole)
    again = tmp_path / 'again'
    again.mkdir()
    training = training_parts.build(config)
    run_again = training_loop.train
    steps = []

    class Killed(BaseException):
        pass

    def kill(nimg):
        steps.append(nimg)
        if len(steps) in (6, 9, 12):
            raise Killed

    with pytest.raises(Killed):
        run_again(training, str(again), say=lambda line: None, watch=kill, grid=tiny.GRID)
    for _ in range(2):
        with pytest.raises(Killed):
            training = training_parts.build(config, checkpoint.newest_state(str(again)))
            run_again(training, str(again), say=lambda line: None, watch=kill, grid=tiny.GRID)
    resume(config, again)
    assert_same_end(whole, again)


def test_conditional_with_workers(tmp_path):
    data = tiny.make_dataset(tmp_path / 'labelled', labels=True)
    kwargs = dict(tiny.config(data).training_set_kwargs, use_labels=True)
    config = tiny.config(data, training_set_kwargs=kwargs, label_dim=3, workers=2, batch_gpu=2, pl_weight=0.)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    for each in (whole, cut):
        each.mkdir()
    run(config, whole)
    shorter = tiny.config(data, **{**config.__dict__, 'kimg': .004})
    run(shorter, cut)
    longer = checkpoint.newest_state(str(cut))
    assert longer['values']['progress']['nimg'] == 4
    run(config, cut, longer)
    assert_same_end(whole, cut)


def test_a_sigkill_anywhere(data, tmp_path):
    """Two real kills of the real program, at whatever it was doing then; its end, and a whole run, in this
    process.
    """
    options = [
        '--cfg=mspe-small',
        f'--data={data}',
        '--cbase=128',
        '--cmax=8',
        '--kimg=.4',
        '--batch=8',
        '--tick=.04',
        '--snap=4',
        '--workers=1',
        '--metrics=none',
    ]
    environment = dict(os.environ, OMP_NUM_THREADS=str(torch.get_num_threads()))
    for lines, more in [(2, options), (7, ['--resume=latest'])]:
        process = subprocess.Popen(
            [sys.executable, 'train.py', *more, f'--outdir={tmp_path}/killed'],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_lines(tmp_path / 'killed', lines, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for folder, more in [('whole', options), ('killed', ['--resume=latest'])]:
        train.main([*more, f'--outdir={tmp_path}/{folder}'], standalone_mode=False)
    first, second = (
        tmp_path / folder / '00000-tiny-mspe-small-kimg0.4-batch8-cbase128-cmax8'
        for folder in ('whole', 'killed')
    )
    assert checkpoint.newest_state(str(first))['values']['progress']['nimg'] == 400
    assert_same_end(first, second)


def wait_for_lines(outdir, count, process):
    """Until the run's stats.jsonl has that many lines."""
    for _ in range(6000):
        runs = run_folder.runs(str(outdir))
        path = os.path.join(runs[0][1], run_folder.STATS) if runs else ''
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                if len(file.readlines()) >= count:
                    return
        assert process.poll() is None, 'it ended before it could be killed'
        time.sleep(.05)
    raise AssertionError(f'no {count} lines in five minutes')
