"""One step: what it moves, when its phases are due, passes that add up, and the running average."""

import copy
import math

import pytest
import torch

from stylegan2_mspe import loading, step_canvas, steps, training_loop
from stylegan2_mspe.ticks import Stopwatch
from tests import tiny
from tests.golden import fill

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def step(training, seed=0):
    torch.manual_seed(seed)
    steps.training_step(training, *next(training_loop.open_stream(training)), Stopwatch(CPU))


def weights(training, name):
    return copy.deepcopy(dict(training.models[name].named_parameters()))


def moved(before, training, name):
    return {key for key, value in training.models[name].named_parameters()
            if not torch.equal(value, before[key])}


def test_a_step_moves_everything_once(data):
    training = tiny.build(data)
    before = {name: weights(training, name) for name in training.models}
    step(training)
    for name in ('G', 'D', 'G_ema'):
        assert moved(before[name], training, name) == set(before[name])
    assert (training.progress.nimg, training.progress.step) == (4, 1)
    assert not any(each.requires_grad for module in training.models.values() for each in module.parameters())
    assert float(training.loss.pl_mean) > 0


def test_phases_come_when_they_are_due(data):
    training = tiny.build(data, g_reg_interval=2, d_reg_interval=3)
    calls = []
    training.loss.accumulate_gradients = lambda phase, *args, sync, gain: calls.append(
        (training.progress.step, phase, gain))
    for _ in range(4):
        step(training)
    assert calls == [(0, 'Gmain', 1), (0, 'Greg', 2), (0, 'Dmain', 1), (0, 'Dreg', 3),
                     (1, 'Gmain', 1), (1, 'Dmain', 1),
                     (2, 'Gmain', 1), (2, 'Greg', 2), (2, 'Dmain', 1),
                     (3, 'Gmain', 1), (3, 'Dmain', 1), (3, 'Dreg', 3)]


def gradients_of_first_phase(data, phase, **changes):
    """Gradients of all parameters in the first call of the phase, on filled networks in double precision."""
    training = tiny.build(data, style_mixing=0., **changes)
    for module in training.models.values():
        fill(module).train().double()
    training.loss.pl_mean = training.loss.pl_mean.double()
    [chosen] = [each for each in training.phases if each.name == phase]
    pictures, labels = next(training_loop.open_stream(training))
    for name, parameter in training.models['G'].named_parameters():
        if name.endswith('noise_strength'):
            parameter.zero_()               # its noise would be drawn anew for each pass
    torch.manual_seed(1)
    steps.run_phase(training, chosen, loading.to_network(pictures, CPU).double(), labels)
    return {name: each.grad for name, each in chosen.module.named_parameters()
            if not name.endswith('noise_strength')}


@pytest.mark.parametrize('phase', ['Gmain', 'Dmain', 'Dreg'])
def test_passes_add_up_to_the_whole_batch(data, phase):
    """Without the minibatch standard deviation, which sees one pass only: a group of one has none."""
    whole = gradients_of_first_phase(data, phase, batch=6, batch_gpu=6, mbstd_group=1)
    parts = gradients_of_first_phase(data, phase, batch=6, batch_gpu=2, mbstd_group=1)
    assert any(float(each.abs().max()) > 1e-3 for each in whole.values() if each is not None)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


def test_one_bad_gradient_does_not_end_a_run(data):
    training = tiny.build(data)
    phase = training.phases[0]

    def explode(*args, **kwargs):
        for index, parameter in enumerate(phase.module.parameters()):
            parameter.grad = torch.full_like(parameter, (math.nan, math.inf, -math.inf)[index % 3])

    training.loss.accumulate_gradients = explode
    steps.run_phase(training, phase, torch.zeros([4, 3, 16, 16]), torch.zeros([4, 0]))
    assert all(bool(each.isfinite().all()) for each in phase.module.parameters())


def test_frozen_layers_keep_their_weights(data):
    training = tiny.build(data, freezed=2)
    D = training.models['D']
    before = {name: value.clone() for name, value in D.state_dict().items()}
    step(training)
    kept = {name for name, value in D.state_dict().items()
            if torch.equal(value, before[name]) and 'filter' not in name}
    assert kept == {'b16.fromrgb.weight', 'b16.fromrgb.bias', 'b16.conv0.weight', 'b16.conv0.bias'}


@pytest.mark.parametrize('wish', [dict(random_resize=(12, 24)), dict(random_shift=True),
                                  dict(random_margin=.5), dict(random_shift=True, border='plane')])
def test_steps_on_other_canvases_train(data, wish):
    training = tiny.build(data, **wish)
    before = weights(training, 'G')
    for number in range(3):
        step(training)
        assert training.loss.step_canvas == step_canvas.step_canvas(training.config, number)
    assert training.loss.step_canvas is not None and moved(before, training, 'G') == set(before)


def test_labels_of_the_dataset_reach_both_networks(tmp_path):
    training = tiny.build_labelled(tmp_path)
    labels = steps.random_labels(training, 300)
    assert labels.shape == (300, 3) and labels.sum(dim=1).unique().tolist() == [1]
    assert all(70 < count < 130 for count in labels.sum(dim=0).tolist())
    before = weights(training, 'D'), weights(training, 'G')
    step(training)
    assert 'mapping.embed.weight' in moved(before[0], training, 'D') & moved(before[1], training, 'G')


# ----- the average ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('nimg, ramp, share', [
    (10 ** 6, None, .5 ** (32 / 5000)),         # a difference halves in 5 kimg
    (10 ** 6, .05, .5 ** (32 / 5000)),
    (32000, .05, .5 ** (32 / 1600)),            # at first in a twentieth of what has been shown
    (32, .05, .5 ** (32 / 1.6)),
])
def test_the_average_follows_with_the_half_life(data, nimg, ramp, share):
    config = tiny.config(data, batch=32, ema_kimg=5., ema_ramp=ramp)
    models = dict(G=torch.nn.Linear(1, 1), G_ema=torch.nn.Linear(1, 1))
    models['G'].register_buffer('w_avg', torch.tensor(3.))
    models['G_ema'].register_buffer('w_avg', torch.tensor(1.))
    models['G'].weight.data.fill_(2), models['G_ema'].weight.data.fill_(1)
    steps.update_average(config, models, nimg)
    assert models['G_ema'].weight.item() == pytest.approx(2 - share, abs=1e-6)
    assert models['G_ema'].w_avg.item() == 3 and models['G'].weight.item() == 2
