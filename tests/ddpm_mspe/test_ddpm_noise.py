"""Noise that belongs to seed, time and place."""

import pytest
import torch

from ddpm_mspe.noise import noise_of
from stylegan2_mspe.pe import Canvas

PLAIN = Canvas.identity(16)


def test_is_white_and_different_for_every_seed_time_and_channel():
    noise = noise_of(range(40), 3, PLAIN, 4)
    fields = torch.cat([noise(0), noise(7)]).flatten(0, 1).flatten(1).double()      # [240, 256]
    assert fields.mean().abs() < .02 and abs(fields.std() - 1) < .02
    correlation = torch.corrcoef(fields) - torch.eye(240)
    assert correlation.abs().max() < .4     # of 256 numbers: six standard deviations
    neighbours = noise(3)[..., 1:] * noise(3)[..., :-1]
    assert neighbours.mean().abs() < .02


def test_a_batch_does_not_change_a_picture():
    canvases = [PLAIN.shifted(0, 0), PLAIN.shifted(5, 2), PLAIN.shifted(.5, 0)]
    together = noise_of([3, 9, 3], 2, canvases, 4)
    for index, (seed, canvas) in enumerate(zip([3, 9, 3], canvases)):
        assert torch.equal(noise_of([seed], 2, canvas, 4)(11)[0], together(11)[index])


def test_moves_with_its_canvas():
    for distance in (3, 16, 37):
        rolled = noise_of([5], 3, PLAIN, 4)(8).roll((distance, -distance), (2, 3))
        assert torch.equal(noise_of([5], 3, PLAIN.shifted(distance, -distance), 4)(8), rolled)
    larger = noise_of([5], 3, PLAIN.extended(8, 0, 4, 4), 4)(8)
    assert larger.shape == (1, 3, 24, 24)
    assert torch.equal(larger[:, :, 8:, 4:20], noise_of([5], 3, PLAIN, 4)(8))


@pytest.mark.parametrize('canvas', [PLAIN.resized(32, 20), PLAIN.extended(0, 16, 0, 0).wrapped(),
                                    PLAIN.shifted(.3, .7), PLAIN.repeated(rows=(0, 8, 3))])
def test_no_two_pixels_share_noise(canvas):
    field = noise_of([1], 1, canvas, 4)(0)
    assert len(field.unique()) > .999 * field.numel() and abs(field.std() - 1) < .15


def test_no_seeds():
    assert noise_of([], 3, PLAIN.resized(18, 32), 4)(5).shape == (0, 3, 20, 32)
