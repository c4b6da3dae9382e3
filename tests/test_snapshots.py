"""The grids of pictures that a run shows."""

import pytest
import torch

from stylegan2_mspe import snapshots
from tests import tiny


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def test_grid_sizes():
    assert snapshots.grid_size(64) == (32, 32)
    assert snapshots.grid_size(256) == (30, 16)
    assert snapshots.grid_size(1024) == (7, 4)
    assert snapshots.grid_size(2048) == (7, 4)


def test_a_grid_shows_a_class_a_row(tmp_path):
    training = tiny.build_labelled(tmp_path)
    grid = snapshots.make_grid(training.dataset, 8, seed=0, size=(5, 7))
    assert grid.c.argmax(dim=1).reshape(7, 5).tolist() == [[row % 3] * 5 for row in range(7)]
    assert grid.indices.shape == (35,) and len(set(grid.indices)) == 35     # 26 of each class, flips included
    assert all(torch.equal(torch.from_numpy(training.dataset.get_label(int(index))), label)
               for index, label in zip(grid.indices, grid.c))
    other = snapshots.make_grid(training.dataset, 8, seed=1, size=(5, 7))
    assert list(other.indices) != list(grid.indices) and torch.equal(other.c, grid.c)


def test_a_grid_larger_than_the_dataset(data):
    training = tiny.build(data)
    grid = snapshots.make_grid(training.dataset, 8, seed=0, size=(11, 9))
    assert len(grid.indices) == 99 and set(grid.indices) == set(range(80))
    assert grid.z.shape == (99, 8) and grid.c.shape == (99, 0)
