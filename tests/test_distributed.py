"""Several processes train as one does, resume as any number of them, and end together with one sentence."""

import dataclasses
import json
import os
import unittest.mock

import pytest
import torch

from stylegan2_mspe import checkpoint, distributed
from stylegan2_mspe.launch import launch
from stylegan2_mspe.legacy import load_network_pkl
from stylegan2_mspe.metrics.calculation import calculate
from tests import scripted, tiny, together

CONFIGS = {
    'plain': dict(batch=8, batch_gpu=4, g_fp16_res=0, d_fp16_res=0),
    'everything': dict(batch=8, batch_gpu=2, g_fp16_res=0, d_fp16_res=0, aug='fixed', augpipe='bgcfnc',
                       augment_p=.7, style_mixing=1., random_resize=(12, 24), label_dim=3),
}
KINDS = {'two': {}, 'ada': dict(aug='ada', ada_target=-1.1, ada_kimg=.1, pl_weight=2., kimg=.048,
                                metrics=('brightness',))}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny', labels=True)


def config(data, **changes):
    kwargs = dict(tiny.config(data).training_set_kwargs, use_labels='label_dim' in changes)
    return tiny.config(data, training_set_kwargs=kwargs, **changes)


def run_config(data):
    """8 steps in float32 throughout, with a snapshot after 1, 7 and 8."""
    return tiny.config(data, batch=8, batch_gpu=2, kimg=.064, tick=.024, g_fp16_res=0, d_fp16_res=0,
                       pl_weight=0., style_mixing=.5)


@pytest.fixture(scope='module')
def two(data, tmp_path_factory):
    """What two processes have left: gradients, runs, and the rest of a run that one process began."""
    folder = tmp_path_factory.mktemp('two')
    for name in (*KINDS, 'one-two', 'one'):
        (folder / name).mkdir()
    run = run_config(data)
    together.train(dataclasses.replace(run, kimg=.032), folder / 'one-two')
    together.train(run, folder / 'one')
    configs = {name: config(data, **changes) for name, changes in CONFIGS.items()}
    own = dict(MSPE_DETECTORS=str(scripted.folder()), DNNLIB_CACHE_DIR=str(folder / 'cache'))
    with unittest.mock.patch.dict(os.environ, own):     # which the processes inherit
        launch(2, together.all_jobs, str(folder), configs, run, str(folder / 'one-two'), KINDS)
        yield folder


def relative(found, expected):
    """The largest distance between two lists of tensors, as a share of the norm of all of the second."""
    norm = max(float(torch.stack([each.norm() for each in expected]).norm()), 1e-30)
    return float(torch.stack([(a - b).norm() for a, b in zip(found, expected)]).norm()) / norm


# ----- training together ------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('batch_gpu', [8, 4, 2])
def test_gradients_of_two_processes_are_those_of_one(two, data, name, batch_gpu):
    """However the eight pictures are divided: noise, augmentation, mixing and the groups of D fall alike.

    Path length compares with the mean of its own pass, so it is alike in as many passes only.
    """
    found = [torch.load(two / f'{name}-{rank}.pt', weights_only=True) for rank in range(2)]
    assert tiny.differences(*found) == []
    changes = dict(CONFIGS[name], batch_gpu=batch_gpu)
    passes = 8 // CONFIGS[name]['batch_gpu']
    if batch_gpu != 8 // passes:
        changes['pl_weight'] = 0.
    expected = together.gradients(config(data, **changes))
    regularised = changes.get('pl_weight', 2) != 0
    assert set(expected) == {key for key in found[0] if regularised or not key.startswith('Greg')}
    for phase in {key.split('.')[0] for key in expected}:
        keys = [key for key in expected if key.startswith(phase) and not key.endswith(('w_avg', 'pl_mean'))]
        assert max(float(expected[key].abs().max()) for key in keys) > 1e-4
        assert relative([found[0][key] for key in keys], [expected[key] for key in keys]) < 1e-5, phase
    for key in expected:
        if key.endswith('w_avg') and regularised or key == 'Greg.pl_mean':
            torch.testing.assert_close(found[0][key], expected[key], rtol=1e-5, atol=1e-9, msg=key)


def weights_of(folder):
    state = checkpoint.newest_state(str(folder))
    return state, [each for module in state['modules'].values() for each in module.values()]


@pytest.mark.parametrize('name', ['two', 'one-two'])
def test_a_run_of_two_processes_ends_as_one_does(two, name):
    """From the start, or going on with what one process began after four steps."""
    (one, expected), (other, found) = weights_of(two / 'one'), weights_of(two / name)
    assert other['values']['progress']['nimg'] == one['values']['progress']['nimg'] == 64
    assert relative(found, expected) < 1e-4
    assert tiny.files(two / name) == tiny.files(two / 'one')
    lines = [tiny.stats_lines(two / each) for each in ('one', name)]
    assert [line.keys() for line in lines[0]] == [line.keys() for line in lines[1]]
    for first, second in zip(*lines):       # of all processes together
        for key in first.keys() - {'Progress/variety'}:
            assert first[key]['num'] == second[key]['num'], key
            assert second[key]['mean'] == pytest.approx(first[key]['mean'], rel=1e-3, abs=1e-3), key
    networks = load_network_pkl(two / name / 'network-snapshot-000000.pkl')
    assert tiny.differences(dict(networks['G_ema'].state_dict()), other['modules']['G_ema']) == []


def test_one_process_goes_on_with_what_two_began(two, data):
    run = run_config(data)
    longer = dataclasses.replace(run, kimg=.08)
    for name in ('two', 'one'):
        together.train(longer, two / name, checkpoint.newest_state(str(two / name)))
    (_, expected), (other, found) = weights_of(two / 'one'), weights_of(two / 'two')
    assert other['values']['progress']['nimg'] == 80 and relative(found, expected) < 1e-4


def test_the_signs_of_all_processes_move_p(two, data, tmp_path):
    """By as much as if one process saw all pictures."""
    run = dataclasses.replace(run_config(data), **KINDS['ada'])
    training = together.train(run, tmp_path)
    state = checkpoint.newest_state(str(two / 'ada'))
    assert state['values']['augment_p'] == pytest.approx(float(training.loss.augment_pipe.p)) != 0
    assert state['values']['ada'][0] == training.strength.state()[0]
    assert float(state['values']['pl_mean']) == pytest.approx(float(training.loss.pl_mean), rel=1e-3)


def test_metrics_of_two_processes_are_those_of_one(two, data, tmp_path, monkeypatch):
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path))
    expected = together.measured(run_config(data))
    for rank in range(2):
        found = torch.load(two / f'measured-{rank}.pt')
        assert found.keys() == expected.keys()
        for name in expected:
            assert found[name] == pytest.approx(expected[name], rel=1e-4)
    assert len(os.listdir(two / 'cache' / 'gan-metrics')) == 1


def test_snapshots_of_two_processes_are_measured_once(two):
    lines = [json.loads(line) for line in (two / 'ada' / 'metric-brightness.jsonl').read_text().splitlines()]
    assert [(line['metric'], line['snapshot_pkl']) for line in lines] == [
        ('brightness', 'network-snapshot-000000.pkl')] * 2
    G = load_network_pkl(two / 'ada' / 'network-snapshot-000000.pkl')['G_ema']
    assert lines[-1]['results'] == pytest.approx(calculate(G, 'brightness').results, rel=1e-5)


def test_what_has_drifted_apart_is_named(two):
    sentence, other = (torch.load(two / f'drifted-{rank}.pt') for rank in range(2))
    assert sentence == other
    assert 'Rank 1 differs from rank 0 in Linear.weight' in sentence and 'nothing is written' in sentence


def test_threads_are_shared_out(two):
    threads = [torch.load(two / f'threads-{rank}.pt') for rank in range(2)]
    assert threads == [max(torch.get_num_threads() // 2, 1)] * 2


@pytest.mark.parametrize('count, there, sentence', [
    (8, 1, 'found 1 CUDA device on'), (4, 2, 'found 2 CUDA devices on')])
def test_fewer_gpus_than_asked_for(monkeypatch, count, there, sentence):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: there)
    with pytest.raises(ValueError, match=f'--gpus={count}: {sentence}'):
        distributed.check_devices('cuda', count)
    distributed.check_devices('cuda', there), distributed.check_devices('cpu', count)
