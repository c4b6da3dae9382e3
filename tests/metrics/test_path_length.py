"""Perceptual path length of a generator for which it can be worked out, and its parts."""

import dataclasses

import numpy as np
import pytest
import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.metrics import path_length, registry
from stylegan2_mspe.metrics.task import MetricTask
from tests import drawn, scripted


class Flat(torch.nn.Module):
    """Paints one colour, which is w; w is the direction of z, as StyleGAN2's mapping begins."""

    img_resolution, z_dim, c_dim = 16, 3, 0

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones([]), requires_grad=False)

    def mapping(self, z, c):
        return torch.nn.functional.normalize(z, dim=1)[:, None]

    def synthesis(self, ws, **_):
        return ws[:, 0, :, None, None].expand(-1, -1, 16, 20)


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch):
    """As where memory is short. What Flat takes of it can not be estimated."""
    monkeypatch.setattr(rendering, 'batch_that_fits', lambda G, size, asked_by, most: 2)


def make_task(G, name, pictures):
    return MetricTask(G=G, request=dataclasses.replace(registry.parse(name), pictures=pictures))


def ends(count):
    """The two ends of each sample's way, and its place on it."""
    random = [np.random.RandomState(seed) for seed in range(count)]
    first, second = (np.stack([each.randn(3) for each in random]) for _ in range(2))
    return first, second, np.array([each.rand() for each in random])


@pytest.mark.parametrize('name', ['ppl2_wend', 'ppl_wend', 'ppl_wfull', 'ppl_zend', 'ppl_zfull'])
def test_of_colours(name, monkeypatch):
    """The distance of scripted.Vgg16 is (Δw / 2)²: along a line |w1 - w0|² / 4, along a circle angle² / 4."""
    monkeypatch.setenv('MSPE_DETECTORS', str(scripted.folder()))
    first, second, _ = (each / np.linalg.norm(each, axis=-1, keepdims=True) if each.ndim == 2 else each
                        for each in ends(60))
    lengths = np.linalg.norm(second - first, axis=1) / 2
    if '_z' in name:
        lengths = np.arccos((first * second).sum(axis=1)) / 2
    expected = np.sort(lengths ** 2)        # of 60 distances, the 1st and the 99th percentile are among them
    task = make_task(Flat(), name, 60)
    assert task.request.metric.compute(task)[''] == pytest.approx(expected.mean(), rel=1e-3)


def test_places_are_at_the_beginning_or_anywhere():
    first, second, place = ends(5)
    task = make_task(Flat(), 'ppl_wfull', 5)
    anywhere = path_length.ends_of_steps(task, range(5), 'w', True, None)
    beginning = path_length.ends_of_steps(task, range(5), 'w', False, None)
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second))
    for found, at in ((beginning, 0 * place), (anywhere, place)):
        for ws, step in zip(found, (0, 1e-4)):
            np.testing.assert_allclose(ws[:, 0], first + (at + step)[:, None] * (second - first), atol=1e-12)


def test_noise_is_the_same_at_both_ends_and_other_for_other_samples():
    G = drawn.make_generator()
    task = make_task(G, 'ppl2_wend', 4)
    ws = G.mapping(torch.zeros(4, 8) + 1, None)
    drawn_twice = [path_length.draw(task, range(4), ws, False) for _ in range(2)]
    assert torch.equal(*drawn_twice)
    assert (drawn_twice[0][1:] - drawn_twice[0][:1]).abs().amax(dim=(1, 2, 3)).min() > 0.1


def test_great_circles():
    a, b = torch.tensor([[2., 0, 0], [0, 0, 3]]).double(), torch.tensor([[0, 5., 0], [0, 4, 4]]).double()
    found = path_length.on_sphere(a, b, torch.tensor([1 / 3, 0.5]))
    angle = np.pi / 8
    expected = [[np.cos(np.pi / 6), np.sin(np.pi / 6), 0], [0, np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert torch.equal(path_length.between(a, b, torch.tensor([0., 1.])), torch.stack([a[0], b[1]]))


def test_the_tails_do_not_count():
    values = np.arange(1000.)
    mixed = np.random.RandomState(0).permutation(values)
    assert path_length.mean_without_tails(mixed) == values[9:991].mean()
    assert path_length.mean_without_tails(np.append(values, [1e9] * 5)) < 510
    assert path_length.mean_without_tails(np.array([4.])) == 4


def test_faces_are_below_the_middle():
    class Coordinates(Flat):
        def synthesis(self, ws, **_):
            y, x = torch.meshgrid(torch.arange(16), torch.arange(32), indexing='ij')
            return torch.stack([y, x]).double()[None].expand(len(ws), -1, -1, -1)
    task = make_task(Coordinates(), 'ppl_wend', 2)
    found = path_length.draw(task, range(2), torch.zeros(2, 1, 3), True)
    assert found.shape == (2, 2, 8, 16)
    assert (found[0, 0].min(), found[0, 0].max(), found[0, 1].min(), found[0, 1].max()) == (6, 13, 8, 23)


def test_the_classifier_of_digits_is_no_measure_of_it():
    task = dataclasses.replace(make_task(Flat(), 'ppl2_wend', 4), detectors={'': 'digits'})
    with pytest.raises(ValueError, match='--metrics=ppl2_wend: found the classifier of digits as'):
        task.request.metric.compute(task)
