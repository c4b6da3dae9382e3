"""What a metric generates: a function of the seed and the sample alone, of the size that was asked for."""

import dataclasses

import numpy as np
import pytest
import torch

from stylegan2_mspe import free_memory, images, rendering
from stylegan2_mspe.dataset import construct_dataset
from stylegan2_mspe.metrics import registry, samples
from stylegan2_mspe.metrics.task import MetricTask
from stylegan2_mspe.pe import Canvas
from tests import drawn, tiny


def make_task(G, name='fid', seed=0, pictures=20, **kwargs):
    request = dataclasses.replace(registry.parse(name), pictures=pictures)
    return MetricTask(G=rendering.prepare(G, 'cpu'), request=request, seed=seed, **kwargs)


def without_noise(**kwargs):
    G = drawn.make_generator(**kwargs)
    for name, parameter in G.named_parameters():
        if name.endswith('noise_strength'):
            parameter.zero_()
    return G


@pytest.mark.parametrize('seed, first', [(0, 0), (3, 3_000_000)])
def test_samples_are_what_generate_draws(seed, first):
    G = without_noise()
    found = samples.generated(make_task(G, seed=seed), range(4, 7)).numpy()
    for picture, index in zip(found, range(4, 7)):
        drawn.assert_alike(picture, drawn.expected(G, first + index))


def test_noise_is_random_but_each_samples_own():
    task = make_task(drawn.make_generator())
    whole = samples.draw(task, range(6))
    torch.testing.assert_close(samples.draw(task, range(4, 6)), whole[4:], rtol=0, atol=1e-4)
    calm = samples.draw(make_task(without_noise()), range(6))
    differences = (whole - calm).flatten(1)
    assert (differences.std(dim=1) > 0.05).all()
    assert (torch.corrcoef(differences) - torch.eye(6)).abs().max() < 0.5
    other = samples.draw(make_task(drawn.make_generator(), seed=1), range(6))
    assert (other - whole).abs().mean() > 0.1


def test_a_size_is_that_of_the_canvas():
    G = without_noise()
    found = samples.generated(make_task(G, 'fid@24x40'), range(2)).numpy()
    assert found.shape == (2, 3, 24, 40)
    drawn.assert_alike(found[1], drawn.expected(G, 1, canvas=Canvas.identity(16).resized(24, 40)))


def test_where_memory_is_short_fewer_are_drawn_at_a_time(monkeypatch):
    """And fewer looked at: what a detector makes of a picture is as large as the picture."""
    task, counts = make_task(drawn.make_generator(), 'fid@24x40', pictures=35), []

    def compute(part):
        counts.append(len(part))
        return samples.generated(task, part)
    whole = torch.cat(list(samples.of_all(task, compute, 'pictures')))
    assert counts == [32, 3]
    one = rendering.picture_bytes(task.G, 24, 40)
    monkeypatch.setattr(free_memory, 'usable', lambda device: 15 * one + 1)
    found = list(samples.of_all(task, compute, 'pictures'))
    drawn.assert_alike(torch.cat(found).numpy(), whole.numpy())
    assert counts[2:] == [15, 15, 2, 3] and [len(each) for each in found] == [32, 3]
    monkeypatch.setattr(free_memory, 'usable', lambda device: 10)
    with pytest.raises(ValueError, match='--metrics=fid@24x40: a picture of 24x40 pixels takes'):
        next(samples.of_all(task, compute, 'pictures'))


def test_pictures_are_rounded_as_files_are():
    edges = torch.tensor([-2, -1, -1 + 1 / 255, 0, 0.5 / 127.5, 1 - 1 / 255, 1, 2, torch.nan, torch.inf])
    values = torch.cat([edges, torch.linspace(-1.1, 1.1, 5000)]).reshape(1, 1, 10, -1)
    assert torch.equal(samples.images_of(values), torch.from_numpy(images.to_uint8(values)))


def test_labels_are_as_frequent_as_in_the_dataset(tmp_path):
    kwargs = tiny.config(tiny.make_dataset(tmp_path / 'data', count=4, labels=True)).training_set_kwargs
    dataset = construct_dataset(**dict(kwargs, use_labels=True, xflip=False))      # classes 0 1 2 0
    task = make_task(drawn.make_generator(c_dim=3))
    found = samples.labels(task, range(600), dataset)
    assert found.shape == (600, 3) and torch.equal(found.sum(dim=1), torch.ones(600))
    np.testing.assert_allclose(found.mean(dim=0), [0.5, 0.25, 0.25], atol=0.06)
    assert torch.equal(samples.labels(task, range(50, 60), dataset), found[50:60])
    np.testing.assert_allclose(samples.labels(task, range(600), None).mean(dim=0), [1 / 3] * 3, atol=0.06)
    assert samples.labels(make_task(drawn.make_generator()), range(5), dataset).shape == (5, 0)


def test_the_card_says_which_labels_are_asked_for(tmp_path):
    kwargs = tiny.config(tiny.make_dataset(tmp_path / 'data', count=4, labels=True)).training_set_kwargs
    kwargs, seen, alike = dict(kwargs, use_labels=True), 'as frequent as in the dataset', 'all classes alike'
    for c_dim, given, found in ((3, kwargs, seen), (4, kwargs, alike), (3, None, alike), (0, kwargs, None)):
        task = make_task(drawn.make_generator(c_dim=c_dim), dataset_kwargs=given)
        dataset = samples.label_source(task)
        assert task.notes.get('labels') == found and (dataset is not None) == (found == seen)
        assert samples.labels(task, range(5), dataset).shape == (5, c_dim)
    reals = construct_dataset(**kwargs)
    assert samples.label_source(make_task(drawn.make_generator(c_dim=3)), reals) is reals


@pytest.mark.parametrize('count', [0, 1, 7, 9, 20])
def test_what_is_computed_comes_in_order_with_its_progress(count, monkeypatch):
    monkeypatch.setattr(samples, 'BATCH', 3)
    seen = []

    def progress(loop, total, label):
        for item in loop:
            yield item
            seen.append((total, label))
    task = make_task(drawn.make_generator(), progress=progress)
    numbers = lambda part: torch.tensor([[index] for index in part])
    found = list(samples.in_order(task, count, numbers, 'cats'))
    assert [len(part) for part in found] == [3] * (count // 3) + [count % 3] * (count % 3 > 0)
    assert [int(index) for part in found for index in part] == list(range(count))
    assert seen == [(-(-count // 3), 'fid: cats')] * -(-count // 3)
