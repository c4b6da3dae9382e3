"""What is random belongs to a sample's place in its batch, however the batch is divided."""

import random

import numpy as np
import pytest
import torch

from stylegan2_mspe import chance


def drawn(index, count, *numbers, total=12):
    with chance.part(index, count, *numbers):
        first = chance.randn([total // count, 3, 2])
        common = torch.rand([], generator=chance.shared())
        return first, chance.rand([total // count], dtype=torch.float64), common


@pytest.mark.parametrize('count', [2, 3, 12])
def test_parts_are_rows_of_the_whole(count):
    whole = drawn(0, 1, 5, 7)
    parts = [drawn(index, count, 5, 7) for index in range(count)]
    for index, (first, second, common) in enumerate(parts):
        assert torch.equal(first, whole[0][index::count]) and torch.equal(second, whole[1][index::count])
        assert torch.equal(common, whole[2]) and first.is_contiguous()
    assert whole[1].dtype == torch.float64 and 0 <= float(whole[1].min()) <= float(whole[1].max()) < 1


def test_other_numbers_draw_others():
    several = [(5, 7), (7, 5), (5, 8), (6, 7), (5, 7, 1), (5,)]
    seen = {float(drawn(0, 1, *numbers)[1][0]) for numbers in several}
    assert len(seen) == 6
    normal = drawn(0, 1, 3, total=60000)[0]
    assert abs(float(normal.mean())) < .01 and abs(float(normal.std()) - 1) < .01


def test_what_knows_nothing_of_parts_differs_between_them_and_repeats():
    def own(index, *numbers):
        with chance.part(index, 2, *numbers):
            return float(torch.rand([])), np.random.rand(), random.random()

    first = own(0, 1, 2)
    assert first == own(0, 1, 2) and not set(first) & set(own(1, 1, 2)) and not set(first) & set(own(0, 1, 3))


def drawn_each(seeds, shapes=((3, 2), (4, 5))):
    with chance.each(seeds):
        return [chance.randn([len(seeds), *shape]) for shape in shapes] + [chance.rand([len(seeds), 6])]


def test_samples_with_a_seed_each_draw_alike_in_any_batch():
    whole, seeds = drawn_each([5, 2 ** 62, 7]), (5, 2 ** 62, 7)
    for index, seed in enumerate(seeds):
        for alone, together in zip(drawn_each([seed]), whole):
            assert torch.equal(alone[0], together[index])
    numbers = torch.cat([each.flatten() for each in whole])
    assert len(numbers.unique()) == len(numbers)        # no draw, sample or place repeats another
    with pytest.raises(AssertionError), chance.each([1, 2]):
        chance.randn([3, 4])


def test_samples_with_a_seed_each_draw_the_right_distribution():
    with chance.each(list(range(50))):
        assert chance.shared() is None
        normal, uniform = chance.randn([50, 2, 10, 60]), chance.rand([50, 1200])
    assert normal.dtype == uniform.dtype == torch.float32
    assert abs(float(normal.mean())) < .01 and abs(float(normal.std()) - 1) < .01
    assert abs(float((normal < 1).double().mean()) - 0.841345) < .005
    assert abs(float((uniform < .3).double().mean()) - .3) < .008 and 0 <= float(uniform.min()) < 1e-3
    neighbours = torch.stack([normal[..., :-1].flatten(), normal[..., 1:].flatten()])
    assert abs(float(torch.corrcoef(neighbours)[0, 1])) < .015


def test_outside_they_are_torchs_own():
    with pytest.raises(KeyError), chance.part(0, 2, 1):
        raise KeyError
    assert chance.shared() is None
    for own, torchs in ((chance.randn, torch.randn), (chance.rand, torch.rand)):
        torch.manual_seed(3)
        found = own([4, 5])
        torch.manual_seed(3)
        assert torch.equal(found, torchs([4, 5]))
