"""Quality of a network of digits, by hand-worked judgements and by networks whose pictures are known."""

import math

import numpy as np
import pytest
import torch

from stylegan2_mspe import digits, quality
from stylegan2_mspe.classifier import Judgement


def judged(classes, confidence=1.0):
    return Judgement(torch.tensor(classes), torch.full([len(classes)], confidence))


def test_by_hand():
    found = quality.of_judgement(Judgement(torch.tensor([3, 3, 7, 0]), torch.tensor([0.95, 0.9, 0.4, 0.91])))
    assert found.seeds == 4 and found.shares == [0.25, 0, 0, 0.5, 0, 0, 0, 0.25, 0, 0]
    assert found.confident == 0.5 and found.mean_confidence == pytest.approx(0.79)  # 0.9 itself is not above
    assert found.entropy == pytest.approx(1.5)                  # 1/2 * 1 + 2 * 1/4 * 2 bits
    assert not found.varied and not found.good
    assert 'not good; 50.0% surely a digit' in found.sentence() and '3:50.0%' in found.sentence()


def test_good_is_every_class_and_most_of_them_legible():
    even = [label for label in range(10) for _ in range(10)]
    assert quality.of_judgement(judged(even)).good
    assert quality.of_judgement(judged(even)).entropy == pytest.approx(math.log2(10))
    assert not quality.of_judgement(judged(even, 0.8)).good
    assert quality.of_judgement(judged(even, 0.8)).varied
    missing = [label % 9 for label in even]                     # 9 of the ten classes
    assert not quality.of_judgement(judged(missing)).varied
    crowded = even + [5] * 13                                   # 23 of 113 are more than 20 %
    assert not quality.of_judgement(judged(crowded)).varied
    bare = [0] * 4 + [label for label in range(1, 10) for _ in range(10)] + [1, 2, 3, 4, 5, 6]
    assert quality.of_judgement(judged(bare)).shares[0] == 0.04 and quality.of_judgement(judged(bare)).varied


class Stub(torch.nn.Module):
    """Draws demo picture number `seed`, but for its scale."""

    def __init__(self, resolution=64):
        super().__init__()
        self.img_resolution, self.z_dim, self.c_dim = resolution, 1, 0
        self.weight = torch.nn.Parameter(torch.ones([]))
        self.numbers = {round(float(np.random.RandomState(seed).randn(1, 1)[0, 0]), 6): seed
                        for seed in range(50)}

    def mapping(self, z, c):
        return z[:, None]

    def synthesis(self, ws, canvas=None, noise_mode='random', **_):
        assert noise_mode == 'const' and canvas is None
        seeds = [self.numbers[round(value, 6)] for value in ws[:, 0, 0].tolist()]
        pictures = np.stack([digits.demo_picture(seed) for seed in seeds]).transpose(0, 3, 1, 2)
        step = 64 // self.img_resolution
        return torch.from_numpy(pictures[:, :, ::step, ::step].copy()) / 127.5 - 1


class Recorder:
    def __init__(self):
        self.patches = []

    def judge(self, patches):
        self.patches.append(patches)
        return judged([0] * len(patches))


@pytest.mark.parametrize('resolution', [64, 32])
def test_what_is_judged_is_the_grey_upper_left_of_each_seed(resolution):
    recorder, rounds = Recorder(), []
    found = quality.measure(Stub(resolution), range(7), recorder, batch=3,
                            progress=lambda loop: rounds.append(len(loop)) or loop)
    assert found.seeds == 7 and rounds == [3]
    assert [patches.shape for patches in recorder.patches] == [(3, 32, 32), (3, 32, 32), (1, 32, 32)]
    expected = digits.demo_picture(4)[:32, :32] @ np.array([0.299, 0.587, 0.114]) / 255
    if resolution == 64:
        np.testing.assert_allclose(recorder.patches[1][1], expected, atol=1e-6)
    else:       # half the pixels, enlarged
        assert abs(float(recorder.patches[1][1].mean()) - expected.mean()) < 0.02
