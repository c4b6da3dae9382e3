"""Adaptive augmentation: p follows the signs of D's logits, and a resumed run goes on with it exactly."""

import dataclasses
import json

import pytest
import torch

from stylegan2_mspe import ada, checkpoint, steps, training_loop, training_parts
from stylegan2_mspe.ticks import Stopwatch
from stylegan2_mspe.augpipes import PIPES
from stylegan2_mspe.legacy import load_network_pkl
from tests import tiny
from torch_utils import training_stats


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def strength(**changes):
    """100 pictures a step, four steps between moves, 4 kimg from 0 to 1: a tenth a move."""
    made = tiny.config('nowhere', **{**dict(aug='ada', batch=100, ada_kimg=4.), **changes})
    return ada.AdaptiveStrength(ada.make_pipe(made), made)


def run_steps(controlled, signs, count, start=0):
    for step in range(start + 1, start + count + 1):
        training_stats.report(ada.SIGNS, torch.tensor(signs))
        controlled.after_step(step)
    return float(controlled.pipe.p)


def test_p_moves_by_steps_towards_the_target():
    controlled = strength()
    assert run_steps(controlled, [1., 1., 1., 1.], 3) == 0
    assert run_steps(controlled, [1.], 1, start=3) == pytest.approx(.1)
    assert run_steps(controlled, [1., 1., 1., 1., -1.], 4) == pytest.approx(.1)     # the mean is the target
    assert run_steps(controlled, [1., 1., 1., -1.], 4) == pytest.approx(0, abs=1e-6)
    assert run_steps(controlled, [1.], 32) == pytest.approx(.8)
    assert run_steps(controlled, [-1.], 8) == pytest.approx(.6)
    assert run_steps(controlled, [1.], 400) == 1 and run_steps(controlled, [-1.], 400) == 0
    assert run_steps(controlled, [], 8) == 0


def test_all_signs_since_the_last_move_count():
    controlled = strength(ada_target=.25)
    run_steps(controlled, [1.], 3)      # 1, 1, 1 and then
    assert run_steps(controlled, [-1.] * 2, 1, start=3) == 0        # 1/5 is below
    run_steps(controlled, [1.], 3)
    assert run_steps(controlled, [-1.], 1, start=3) == pytest.approx(.1)        # 1/2 above


def test_what_is_read_at_every_pass_is_on_the_cpu():
    pipe = ada.make_pipe(tiny.config('nowhere', aug='fixed', augment_p=.25), 'meta')
    assert pipe.Hz_geom.is_meta and 'p' in pipe.state_dict()
    assert pipe.p.device.type == 'cpu' and pipe.p.dtype == torch.float32 and float(pipe.p) == .25


def test_p_settles_where_the_signs_meet_the_target():
    """A discriminator that is right about its pictures with 0.9 - p."""
    controlled = strength(ada_kimg=40., ada_target=.6)
    torch.manual_seed(0)
    path = []
    for step in range(1, 401):
        right = (1 + .9 - float(controlled.pipe.p)) / 2
        training_stats.report(ada.SIGNS, torch.where(torch.rand(100) < right, 1., -1.))
        controlled.after_step(step)
        path.append(float(controlled.pipe.p))
    assert path[:100] == sorted(path[:100]) and path[3] == pytest.approx(.01)
    assert .2 < sum(path[-100:]) / 100 < .4


def test_signs_that_are_no_numbers_change_nothing():
    controlled = strength()
    run_steps(controlled, [1.], 4)
    assert run_steps(controlled, [float('nan')], 4) == pytest.approx(.1)


@pytest.mark.parametrize('name', PIPES)
def test_every_pipe_trains(data, name):
    training = training_parts.build(tiny.config(data, aug='fixed', augpipe=name, augment_p=1.))
    pipe = training.loss.augment_pipe
    assert training.strength is None and float(pipe.p) == 1
    assert {key for key, value in pipe.init_kwargs.items() if value} == set(PIPES[name])
    before = {key: value.clone() for key, value in training.models['G'].named_parameters()}
    for _ in range(2):
        pictures = next(training_loop.open_stream(training))
        steps.training_step(training, *pictures, Stopwatch(training.device))
    assert float(pipe.p) == 1
    assert not any(torch.equal(value, before[key]) for key, value in training.models['G'].named_parameters())
    assert all(bool(value.isfinite().all()) for value in training.models['D'].parameters())


def train(config, run_dir, state=None, **kwargs):
    run_dir.mkdir(exist_ok=True)
    training = training_parts.build(config, state)
    training_loop.train(training, str(run_dir), say=lambda line: None, grid=tiny.GRID, **kwargs)
    return training


def test_p_in_a_training(data, tmp_path):
    """Any discriminator is above -1.1 and below 1.1: p grows without end, or stays at 0."""
    config = tiny.config(data, aug='ada', ada_kimg=.064, kimg=.048)
    said = []
    for target, expected in [(-1.1, .75), (1.1, 0)]:
        run_dir = tmp_path / f'{target}'
        run_dir.mkdir()
        training = training_parts.build(dataclasses.replace(config, ada_target=target))
        training_loop.train(training, str(run_dir), say=said.append, grid=tiny.GRID)
        assert float(training.loss.augment_pipe.p) == pytest.approx(expected)     # three moves of 16 / 64
        [*_, last] = tiny.stats_lines(run_dir)
        assert last['Progress/augment']['mean'] == pytest.approx(expected)
        assert said[-1].endswith(f'augment {expected:.3f}')
        loaded = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')['augment_pipe']
        assert float(loaded.p) == pytest.approx(expected)
        assert loaded.init_kwargs == training.loss.augment_pipe.init_kwargs and not loaded.training


def test_without_augmentation_there_is_none(data):
    training = training_parts.build(tiny.config(data))
    assert training.loss.augment_pipe is None and training.strength is None
    assert training_parts.augment_p(training) == 0


class Killed(BaseException):
    pass


@pytest.mark.parametrize('changes', [dict(aug='ada', ada_target=-1.1), dict(aug='fixed', augment_p=.7)])
def test_a_resumed_run_ends_with_the_same_bits(data, tmp_path, changes):
    """Snapshots come after 1, 7 and 13 steps, between the moves after 4, 8 and 12."""
    config = tiny.config(data, kimg=.052, ada_kimg=.1, augpipe='bgcfnc', **changes)
    whole = train(config, tmp_path / 'whole')
    shown = []

    def kill(nimg):
        shown.append(nimg)
        if len(shown) in (6, 11):
            raise Killed

    again = tmp_path / 'again'
    with pytest.raises(Killed):
        train(config, again, watch=kill)
    with pytest.raises(Killed):
        train(config, again, checkpoint.newest_state(str(again)), watch=kill)
    resumed = train(config, again, checkpoint.newest_state(str(again)))
    states = [checkpoint.newest_state(str(tmp_path / name)) for name in ('whole', 'again')]
    assert tiny.differences(*states) == []
    assert tiny.stats_lines(tmp_path / 'whole') == tiny.stats_lines(again)
    p = training_parts.augment_p(resumed)
    assert p == training_parts.augment_p(whole) == states[0]['values']['augment_p'] > 0


def test_signs_waiting_for_the_next_move_are_in_the_state(data, tmp_path):
    config = tiny.config(data, kimg=.024, aug='ada')       # six steps: two since the last move
    train(config, tmp_path)
    count, total = checkpoint.newest_state(str(tmp_path))['values']['ada']
    lines = [json.loads(line) for line in (tmp_path / 'stats.jsonl').read_text().splitlines()]
    assert count >= 2 * config.batch and abs(total) <= count
    assert count < sum(line[ada.SIGNS]['num'] for line in lines)
