"""EQ-T of generators whose equivariance is known, and of a small network where it is exact."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from stylegan2_mspe import rendering
from stylegan2_mspe.metrics import equivariance
from stylegan2_mspe.pe import Window
from tests.drawn import make_generator

R = 32


class Painter(torch.nn.Module):
    """A generator that paints each world position as `paint(y, x)` says, coordinates [N, H, 1], [N, 1, W]."""

    def __init__(self, paint):
        super().__init__()
        self.paint, self.img_resolution, self.z_dim, self.c_dim = paint, R, 4, 0
        self.nothing = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def mapping(self, z, c):
        return z[:, None]

    def synthesis(self, ws, canvas, noise_mode, noise_seed):
        canvases = canvas.canvases if isinstance(canvas, Window) else canvas
        canvases = canvases if isinstance(canvases, (list, tuple)) else [canvases]
        coordinates = [each.coordinates(R) for each in canvases]
        y = torch.stack([each.y for each in coordinates]).expand(len(ws), R)
        x = torch.stack([each.x for each in coordinates]).expand(len(ws), R)
        return self.paint(y[:, :, None], x[:, None, :])[:, None].expand(-1, 3, -1, -1)
    synthesis.border = 'zero'


def waves(y, x):
    return 0.5 * torch.sin(2 * math.pi / R * y + 1) * torch.cos(2 * math.pi / R * (2 * x) - 1)


def unmoved_ramp(y, x):
    """Goes by the pixel and not by the coordinate."""
    pixels = torch.arange(R, dtype=torch.float64)
    return (0.1 * pixels[:, None] + 0.05 * pixels).expand(len(y), R, R)


def measure(paint, seeds=range(20), **how):
    return equivariance.decibels(equivariance.translation_errors(Painter(paint), seeds, **how))


@pytest.mark.parametrize('place', ['circle', 'plane'])
def test_a_painter_of_the_world_is_equivariant(place):
    assert measure(waves, place=place, whole=True) == equivariance.CEILING
    # Waves of 16 pixels and more, by a Lanczos filter of three lobes: off by hundredths of the range at most
    assert measure(waves, place=place, whole=False) > 50


def test_a_painter_of_the_screen_is_not(monkeypatch):
    monkeypatch.setattr(equivariance, 'draw_shifts', lambda *_: torch.tensor([[2., -1.], [0., 4.]]))
    # A shift by (2, -1) changes the ramp by 0.1 * 2 - 0.05 wherever both show it: 30 x 31 pixels, and one by
    # (0, 4) by 0.2 in 32 x 28.
    mean = (0.15 ** 2 * 30 * 31 + 0.2 ** 2 * 32 * 28) / (30 * 31 + 32 * 28)
    found = measure(unmoved_ramp, range(2), place='plane', whole=True)
    assert found == pytest.approx(10 * math.log10(4 / mean), abs=1e-9)
    # Round a circle, 2 rows differ by 0.1 * (2 - 32) besides, and one column by 0.05 * (-1 + 32) and so on.
    first = sum((0.1 * (2 - 32 * (y < 2)) + 0.05 * (-1 + 32 * (x > 30))) ** 2
                for y in range(32) for x in range(32))
    second = 32 * (28 * 0.2 ** 2 + 4 * (0.05 * (4 - 32)) ** 2)
    found = measure(unmoved_ramp, range(2), place='circle', whole=True)
    assert found == pytest.approx(10 * math.log10(4 / ((first + second) / 2048)), abs=1e-9)


def test_shifting_is_lanczos_interpolation():
    """Against the filter as it is written, one pixel at a time."""
    row = np.random.RandomState(0).standard_normal(13)
    distances = torch.tensor([1.25, -0.6, 3.0], dtype=torch.float64)
    matrices, known = equivariance.shifting(distances, 13, wrap=False)
    for shift, matrix, valid in zip((1.25, -0.6, 3.0), matrices.numpy(), known.tolist()):
        for new in range(13):
            old = new - shift
            taps = [n for n in range(-10, 30) if abs(old - n) < 3 and abs(np.sinc(old - n)) > 1e-12]
            assert valid[new] == all(0 <= n < 13 for n in taps)
            weights = [np.sinc(old - n) * np.sinc((old - n) / 3) for n in taps]
            value = np.dot(weights, [row[n % 13] for n in taps]) / sum(weights)
            assert matrix[new] @ row == pytest.approx(value, abs=1e-12)
    assert known.sum(dim=1).tolist() == [8, 8, 10]


def test_whole_shifts_move_pixels_as_they_are():
    pictures = torch.randn([2, 3, 11, 14], generator=torch.Generator().manual_seed(0))
    rolled = torch.stack([pictures[0].roll((3, -5), (1, 2)), pictures[1].roll((-2, 0), (1, 2))])
    errors, counts = equivariance.squared_errors(rolled, pictures, torch.tensor([[3, -5], [-2, 0.]]), True)
    assert errors.tolist() == [0, 0] and counts.tolist() == [3 * 11 * 14] * 2
    _, counts = equivariance.squared_errors(rolled, pictures, torch.tensor([[3, -5], [-2, 0.]]), False)
    assert counts.tolist() == [3 * 8 * 9, 3 * 9 * 14]


def test_fractions_agree_with_another_interpolation():
    """Smooth pictures by a spline of scipy, round the picture; away from the seam, which does not count."""
    smooth = scipy.ndimage.gaussian_filter(np.random.RandomState(1).standard_normal([24, 18]), 3, mode='wrap')
    moved = scipy.ndimage.shift(smooth, (2.3, -1.6), order=5, mode='grid-wrap')
    both = [torch.from_numpy(each)[None, None] for each in (moved, smooth)]
    errors, counts = equivariance.squared_errors(*both, torch.tensor([[2.3, -1.6]]), True)
    assert counts.item() == (24 - 5) * (18 - 5)
    assert errors.item() / counts.item() < 1e-4 * smooth.var()
    wrong, _ = equivariance.squared_errors(*both, torch.tensor([[-2.3, 1.6]]), True)
    assert wrong.item() > 100 * errors.item()


def test_shifts_belong_to_the_seed():
    shifts = equivariance.draw_shifts(range(100), 64, whole=False)
    assert torch.equal(equivariance.draw_shifts([7, 3], 64, whole=False), shifts[[7, 3]])
    assert shifts.abs().max() <= 8 and shifts.min() < -7 and shifts.max() > 7
    assert torch.equal(equivariance.draw_shifts(range(100), 64, whole=True), shifts.round())
    assert equivariance.draw_shifts([], 64, whole=True).shape == (0, 2)


@pytest.fixture(scope='module')
def G():
    return rendering.prepare(make_generator(), 'cpu', 'fp64')


def test_a_network_on_a_plane_is_equivariant_to_whole_cells(G, monkeypatch):
    """Of the 4x4 level, 4 pixels here: every level then evaluates coordinates that it has already."""
    monkeypatch.setattr(equivariance, 'draw_shifts', lambda *_: torch.tensor([[4., -8.], [0., 4.], [8., 0.]]))
    measured = {place: equivariance.decibels(equivariance.translation_errors(
        G, range(3), place=place, whole=True)) for place in equivariance.PLACES}
    assert measured['plane'] == equivariance.CEILING and measured['circle'] < 60
    monkeypatch.setattr(equivariance, 'draw_shifts', lambda *_: torch.tensor([[4., -8.], [0., 4.], [7., 0.]]))
    assert equivariance.decibels(equivariance.translation_errors(G, range(3), place='plane', whole=True)) < 60


def test_batches_do_not_matter(G):
    whole = equivariance.translation_errors(G, range(5), place='circle', whole=False)
    parts = [equivariance.translation_errors(G, part, place='circle', whole=False)
             for part in ([0, 1, 2], [3, 4])]
    assert whole.shape == (5, 2)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-9, atol=0)
    assert 0 < equivariance.decibels(whole) < 60
    assert math.isnan(equivariance.decibels(torch.empty([0, 2])))
