"""The metrics by their names: of which seeds they are, and what of those."""

import dataclasses

import numpy as np
import pytest
import torch

from stylegan2_mspe import free_memory, rendering, similarity
from stylegan2_mspe.metrics import equivariance, registry, samples, shift_metrics
from stylegan2_mspe.metrics.noise_deviation import noise_deviation
from stylegan2_mspe.metrics.task import MetricTask
from tests.drawn import make_generator


@pytest.fixture(scope='module')
def G():
    return rendering.prepare(make_generator(), 'cpu')


def make_task(G, name, pictures, seed=0):
    return MetricTask(G=G, request=dataclasses.replace(registry.parse(name), pictures=pictures), seed=seed)


def compute(*asked, **how):
    task = make_task(*asked, **how)
    return task.request.metric.compute(task)


@pytest.mark.parametrize('name, whole', [('eqt_int', True), ('eqt_frac', False)])
def test_equivariance_has_a_number_for_either_place(G, name, whole, monkeypatch):
    monkeypatch.setattr(samples, 'BATCH', 3)
    found = compute(G, name, 5, seed=2)
    assert list(found) == ['', '_plane'] and len(set(found.values())) == 2
    for ending, place in (('', 'circle'), ('_plane', 'plane')):
        errors = equivariance.translation_errors(G, range(2_000_000, 2_000_005), place=place, whole=whole)
        assert found[ending] == pytest.approx(equivariance.decibels(errors), abs=1e-3)
    assert registry.parse(name.replace('_', '50k_')).pictures == 50000


def test_shift_similarity_goes_right_and_down_to_half_the_picture(G):
    found, means = compute(G, 'shift_sim', 3), []
    still = rendering.render(G, rendering.seed_ws(G, range(3)))
    for shift in [(0, distance) for distance in range(1, 9)] + [(distance, 0) for distance in range(1, 9)]:
        moved = rendering.render(G, rendering.seed_ws(G, range(3)), rendering.request_canvas(16, shift=shift))
        back = moved.roll((-shift[0], -shift[1]), (2, 3))
        pair = (similarity.grey(each)[:, :8, :8] for each in (still, back))
        means.append(similarity.similarity(*pair).mean())
    assert found[''] == pytest.approx(float(np.mean(means)), abs=1e-5)
    assert found['_worst'] == pytest.approx(float(min(means)), abs=1e-5) and found['_worst'] < found['']


@pytest.mark.parametrize('name', ['eqt_frac', 'shift_sim', 'noise_std'])
def test_numbers_are_the_same_where_memory_is_short(G, name, monkeypatch):
    monkeypatch.setattr(shift_metrics, 'MAPS', 8)
    whole, counts, forward = compute(G, name, 5), [], G.synthesis.forward
    counted = lambda ws, **how: counts.append(len(ws)) or forward(ws, **how)
    monkeypatch.setattr(G.synthesis, 'forward', counted)
    one = rendering.picture_bytes(G, 16, 16)
    monkeypatch.setattr(free_memory, 'usable', lambda device: 2 * one + 1)
    assert compute(G, name, 5) == pytest.approx(whole, rel=1e-5) and max(counts) == 2
    monkeypatch.setattr(free_memory, 'usable', lambda device: 10)
    with pytest.raises(ValueError, match='a picture of 16x16 pixels takes about'):
        compute(G, name, 5)


def test_noise_deviation_is_the_mean_of_its_seeds(G, monkeypatch):
    monkeypatch.setattr(shift_metrics, 'MAPS', 4)
    wanted = [noise_deviation(G, rendering.seed_ws(G, [seed]), 4, seed).mean()
              for seed in range(3)]
    assert compute(G, 'noise_std', 3) == {'': pytest.approx(float(torch.stack(wanted).mean()), rel=1e-6)}


def test_classes_in_turn_are_on_the_card():
    task = make_task(rendering.prepare(make_generator(c_dim=3), 'cpu'), 'eqt_int', 2)
    task.request.metric.compute(task)
    assert task.notes == dict(labels='the classes in turn')
