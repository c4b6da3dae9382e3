"""Metrics of snapshots: their lines, that the training does not notice, and what a kill leaves undone."""

import json

import pytest
import torch

from stylegan2_mspe import checkpoint, snapshot_metrics, training_loop, training_parts
from stylegan2_mspe.legacy import load_network_pkl
from stylegan2_mspe.metrics import log
from stylegan2_mspe.metrics.calculation import calculate
from tests import brightness, tiny

CONFIG = dict(metrics=('brightness',), kimg=6., tick=1., snap=2, batch=1000, batch_gpu=1000)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny', labels=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A step takes as long as no step."""
    monkeypatch.setattr(training_loop, 'training_step', step)


def step(training, pictures, labels, stopwatch):
    training.progress.nimg += 1000
    training.progress.step += 1
    training.models['G_ema'].synthesis.b16.torgb.bias.add_(0.1)


def train(data, folder, state=None, **changes):
    config = tiny.config(data, **{**CONFIG, **changes})
    training = training_parts.build(config, state)
    said = []
    training_loop.train(training, str(folder), say=said.append, grid=tiny.GRID)
    return training, said


def lines(folder):
    return [json.loads(line) for line in (folder / 'metric-brightness.jsonl').read_text().splitlines()]


def test_each_snapshot_has_a_line(data, tmp_path):
    training, said = train(data, tmp_path)
    found = lines(tmp_path)
    assert [line['snapshot_pkl'] for line in found] == [
        f'network-snapshot-{kimg:06d}.pkl' for kimg in (1, 3, 5, 6)]
    assert list(found[0]) == ['results', 'metric', 'total_time', 'total_time_str', 'num_gpus', 'snapshot_pkl',
                              'timestamp', 'card']
    assert (found[0]['metric'], found[0]['num_gpus']) == ('brightness', 1)
    assert found[0]['card']['pictures'] == brightness.PICTURES and found[0]['card']['seed'] == 0
    numbers = [line['results']['brightness'] for line in found]
    assert sorted(set(numbers)) == numbers      # each step makes it brighter
    assert len([line for line in said if line.startswith('brightness ')]) == 4
    # The same number as calc_metrics.py has for the file.
    G = load_network_pkl(tmp_path / found[1]['snapshot_pkl'])['G_ema']
    assert found[1]['results'] == calculate(G, 'brightness').results


def test_the_training_does_not_notice(data, tmp_path, monkeypatch):
    monkeypatch.undo()
    plain = dict(kimg=.036, tick=.012, batch=4, batch_gpu=4)
    states = []
    for metrics in ((), ('brightness',)):
        folder = tmp_path / str(len(metrics))
        folder.mkdir()
        train(data, folder, metrics=metrics, **plain)
        states.append(checkpoint.newest_state(str(folder)))
    assert tiny.differences(states[0]['modules'], states[1]['modules']) == []
    assert (tmp_path / '1' / 'metric-brightness.jsonl').exists()


def test_numbers_are_of_whole_products_whatever_the_training_allows(data, tmp_path, monkeypatch):
    switches, found = (torch.backends.cuda.matmul, torch.backends.cudnn), []
    before = [switch.allow_tf32 for switch in switches]

    def measured(*asked, **how):
        found.append([switch.allow_tf32 for switch in switches])
        return calculate(*asked, **how)
    monkeypatch.setattr(snapshot_metrics, 'calculate', measured)
    try:
        train(data, tmp_path, kimg=1., allow_tf32=True)
        assert found == [[False, False]] and all(switch.allow_tf32 for switch in switches)
    finally:
        for switch, value in zip(switches, before):
            switch.allow_tf32 = value


def test_what_a_kill_left_undone_is_done_when_the_run_goes_on(data, tmp_path, monkeypatch):
    train(data, tmp_path, kimg=3.)
    whole = lines(tmp_path)
    assert len(whole) == 2
    path = tmp_path / 'metric-brightness.jsonl'
    first = path.read_text().splitlines()[0]
    later = first.replace('000001.pkl', '000004.pkl')       # of a snapshot whose state was lost
    path.write_text(f'{first}\n{later}\n{first[:30]}')
    state = checkpoint.newest_state(str(tmp_path))
    training, said = train(data, tmp_path, state)
    found = lines(tmp_path)
    assert [line['snapshot_pkl'][-7:] for line in found] == ['001.pkl', '003.pkl', '005.pkl', '006.pkl']
    assert [line['results'] for line in found[:2]] == [line['results'] for line in whole]
    train(data, tmp_path, checkpoint.newest_state(str(tmp_path)))
    assert len(lines(tmp_path)) == 4                        # nothing is done twice


def test_other_networks_of_a_log_stay(tmp_path):
    path = tmp_path / 'metric-fid5k.jsonl'
    texts = [json.dumps(dict(results={}, snapshot_pkl=name)) for name in
             ('network-snapshot-000010.pkl', 'mine.pkl', 'network-snapshot-000030.pkl')]
    path.write_text('\n'.join([texts[0], 'nothing', *texts[1:]]) + '\n')
    log.cut(str(tmp_path), 20)
    assert path.read_text().splitlines() == texts[:2]
    assert log.lacking(str(tmp_path), ('fid5k', 'kid5k'), 'mine.pkl') == ['kid5k']
    assert log.lacking(str(tmp_path), ('fid5k', 'kid5k'), 'other.pkl') == ['fid5k', 'kid5k']
