"""Which picture comes when: a function of (seed, position) alone."""

import itertools

import numpy as np
import pytest
import torch

from stylegan2_mspe.loading import Batches, batches, to_network


class Squares:
    """Picture i holds i everywhere, its label is i²; number 13 can't be read if `bad`."""

    def __init__(self, size, bad=None):
        self.size, self.bad = size, bad

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index == self.bad:
            raise ValueError(f'picture {index} in here: found a hole, expected a picture')
        return np.full([3, 2, 4], index, np.uint8), np.array([index ** 2], np.float32)


def take(count, **kwargs):
    return list(itertools.islice(Batches(**kwargs), count))


def test_every_epoch_shows_everything_once_in_its_own_order():
    flat = sum(take(6, size=15, batch=5, seed=1), [])
    assert sorted(flat[:15]) == sorted(flat[15:]) == list(range(15))
    assert flat[:15] != flat[15:] != list(range(15))
    assert flat == sum(take(6, size=15, batch=5, seed=1), []) != sum(take(6, size=15, batch=5, seed=2), [])


@pytest.mark.parametrize('start', [4, 12, 36, 400])
def test_starting_anywhere_shows_what_would_have_come(start):
    """Batches straddle epochs: 4 does not divide 10."""
    whole = sum(take(110, size=10, batch=4, seed=7), [])
    assert sum(take(5, size=10, batch=4, seed=7, start=start), []) == whole[start:start + 20]


def test_more_replicas_share_the_same_stream():
    whole = take(7, size=10, batch=6, seed=7)
    shares = [take(7, size=10, batch=6, seed=7, rank=rank, replicas=3) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert [index for pair in zip(*(share[step] for share in shares)) for index in pair] == batch


def test_a_dataset_smaller_than_a_batch():
    assert sorted(take(1, size=3, batch=9, seed=0)[0]) == sorted(list(range(3)) * 3)


@pytest.mark.parametrize('workers', [0, 2])
def test_processes_change_nothing(workers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    stream = batches(Squares(20), 4, seed=1, start=8, workers=workers)
    for expected in take(7, size=20, batch=4, seed=1, start=8):
        pictures, labels = next(stream)
        assert pictures.dtype == torch.uint8 and pictures.shape == (4, 3, 2, 4)
        assert pictures[:, 0, 0, 0].tolist() == expected
        assert labels.dtype == torch.float32 and labels.tolist() == [[float(index**2)] for index in expected]
    stream.close()
    assert torch.equal(before, torch.get_rng_state())   # reading draws nothing from the training's generator


@pytest.mark.parametrize('workers', [0, 1])
def test_a_bad_picture_is_named_without_a_traceback(workers):
    stream = batches(Squares(20, bad=13), 4, seed=1, start=0, workers=workers)
    with pytest.raises(ValueError) as caught:
        for _ in range(6):
            next(stream)
    assert str(caught.value) == 'picture 13 in here: found a hole, expected a picture'


def test_pixels_become_minus_one_to_one():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert to_network(pixels, 'cpu').tolist() == pytest.approx([-1, -.6, 1], abs=1e-7)
    assert pixels.tolist() == [0, 51, 255]
