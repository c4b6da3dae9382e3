"""Encodings against Eq. 1 and 2 written out, the authors' numbers, and rolled copies of themselves."""

import math

import numpy as np
import pytest
import torch

from stylegan2_mspe import pe
from stylegan2_mspe.pe import Canvas, Coordinates

from tests.golden import golden


def eq1(i, j, channels, base=100.0):
    """Eq. 1 and 2 for one position, as the paper writes them."""
    d = channels // 4
    half = lambda p: [f(p / base ** (k / d)) for k in range(d) for f in (math.sin, math.cos)]
    return half(i) + half(j)


def test_eq_1_and_2():
    encoding = pe.sinusoidal(Canvas.identity(8).extended(0, 8, 2, 0).coordinates(8), 12, 8).dense()
    assert encoding.shape == (1, 12, 16, 10)
    for row, col in [(0, 0), (3, 5), (15, 8)]:
        expected = torch.tensor(eq1(row, col - 2, 12), dtype=torch.float64)
        assert torch.allclose(encoding[0, :, row, col], expected, rtol=0, atol=1e-12)


def test_first_values_by_hand():
    encoding = pe.sinusoidal(Canvas.identity(4).coordinates(4), 8, 4).dense()[0]
    # d = 2: frequencies 1 and 1/10.
    expected = [math.sin(2), math.cos(2), math.sin(.2), math.cos(.2),
                math.sin(3), math.cos(3), math.sin(.3), math.cos(.3)]
    assert torch.allclose(encoding[:, 2, 3], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_periodic_frequencies_by_hand():
    encoding = pe.periodic(Canvas.identity(16).coordinates(16), 8, 16).dense()[0]
    # d = 2: frequencies 1 and 1/10 are 2.5 and .25 turns in 16 cells; 3 and 1 are the nearest that fit.
    angles = [2 * math.pi * turns * cell / 16 for cell in (2, 3) for turns in (3, 1)]
    expected = torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)], dtype=torch.float64)
    assert torch.allclose(encoding[:, 2, 3], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('resolution', [4, 8, 16, 32, 64])
def test_periodic_repeats_at_every_level_and_only_there(resolution):
    canvas = Canvas.identity(64).shifted(2.5, -9).extended(0, 64, 64, 0)
    encoding = pe.periodic(canvas.coordinates(resolution), 16, resolution).dense()
    assert torch.allclose(encoding, encoding.roll((resolution, -resolution), (2, 3)), rtol=0, atol=1e-12)
    assert (encoding - encoding.roll(resolution // 2, 2)).abs().max() > 1


@pytest.mark.parametrize('resolution', [4, 8, 16, 32, 64])
def test_whole_cell_wrapped_shifts_roll_the_encoding_at_every_level(resolution):
    encode = lambda canvas: pe.sinusoidal(canvas.coordinates(resolution), 16, resolution).dense()
    plain = encode(Canvas.identity(64))
    cell = 64 // resolution
    for dy, dx in [(cell, 0), (0, 2 * cell), (-cell, 3 * cell)]:
        moved = encode(Canvas.identity(64).shifted(dy, dx))
        assert torch.allclose(moved, plain.roll((dy // cell, dx // cell), (2, 3)), rtol=0, atol=1e-12)


def test_the_authors_variant():
    numbers = golden('authors_generator16')
    for name in [name for name in numbers if name.startswith('pe_')]:
        dy, dx = map(float, name.split('_')[1:])
        coordinates = Canvas.identity(8).shifted(dy, dx).coordinates(8)
        encoding = pe.sinusoidal(coordinates, 16, 8, base=10000, rows_first=False).dense()[0]
        ours, theirs = encoding.numpy(), numbers[name]
        # Their wrap is (i - r) mod N + (r - s), r the rounded shift; ours (i - s) mod N: a turn apart where s
        # passes r.
        position = [(np.arange(8) - round_half_up(s)) % 8 + round_half_up(s) - s for s in (dy, dx)]
        same = np.ix_(*(np.isclose(p, c.numpy()) for p, c in zip(position, coordinates[:2])))
        assert np.isclose(position[0], coordinates.y.numpy()).sum() >= 7
        np.testing.assert_allclose(ours[(slice(None), *same)], theirs[(slice(None), *same)], atol=1e-5)


def round_half_up(value):
    return math.floor(value + .5)


def test_cartesian_grid_spans_the_trained_image():
    rows, cols, rows_first = pe.cartesian(Canvas.identity(8).extended(0, 0, 8, 0).coordinates(4), 8, 4)
    assert torch.allclose(rows[0], torch.tensor([-.75, -.25, .25, .75], dtype=torch.float64).expand(4, 4))
    assert rows_first
    assert torch.allclose(cols[0, 0], torch.arange(-11, 4, 2).double() / 4)


def test_per_sample_coordinates_equal_one_by_one():
    canvases = [Canvas.identity(16).shifted(dy, -dy) for dy in (0, 1.5, 4)]
    batch = pe.encode(canvases, 'sinusoidal', 8, 8, 16, {}, torch.float64, torch.device('cpu')).dense()
    assert batch.shape == (3, 8, 8, 8)
    for one, canvas in zip(batch, canvases):
        assert torch.equal(one, pe.sinusoidal(canvas.coordinates(8), 8, 8).dense()[0])
    with pytest.raises(ValueError, match='expected all alike'):
        pe.coordinates([Canvas.identity(16), Canvas.identity(16).resized(16, 32)], 8, 16)


CONST = torch.arange(24.).double().reshape(2, 4, 3).sin()


@pytest.mark.parametrize('encode', [
    lambda y, x: pe.sinusoidal(Coordinates(y, x), 8, 8).dense(),
    lambda y, x: pe.cartesian(Coordinates(y, x), 8, 8).dense(),
    lambda y, x: pe.learned_constant(CONST, Coordinates(y, x, (True, False)))])
def test_coordinates_have_first_and_second_derivatives(encode):
    y = torch.tensor([[.3, 1.7, 2.4], [-.2, .9, 3.1]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([.6, 1.4], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encode, (y, x))
    assert torch.autograd.gradgradcheck(encode, (y, x))


def test_learned_constant_against_scipy():
    ndimage = pytest.importorskip('scipy.ndimage')
    const = torch.randn(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for wrap, mode in [(True, 'grid-wrap'), (False, 'nearest')]:
        canvas = Canvas.identity(16).shifted(5.2, -2.7, wrap=wrap)
        where = canvas.coordinates(4)
        ours = pe.learned_constant(const, where)[0]
        grid = np.meshgrid(where.y.numpy(), where.x.numpy(), indexing='ij')
        for channel in range(3):
            expected = ndimage.map_coordinates(const[channel].numpy(), grid, order=1, mode=mode)
            np.testing.assert_allclose(ours[channel], expected, atol=1e-12)


def test_learned_constant_is_itself_on_the_trained_canvas():
    const = torch.randn(2, 4, 4)
    assert torch.equal(pe.learned_constant(const, Canvas.identity(64).coordinates(4))[0], const)


@pytest.mark.parametrize('channels', [0, 2, 6])
def test_channels_must_be_a_multiple_of_four(channels):
    for encode in (pe.sinusoidal, pe.periodic, pe.cartesian):
        with pytest.raises(ValueError, match='multiple of 4'):
            encode(Canvas.identity(8).coordinates(4), channels, 4)


def test_the_registry_takes_a_users_plan_and_names_near_misses():
    plan = pe.Plan(input='cartesian', added=lambda level: level % 2 == 1, encoding='cartesian')
    pe.register_plan('test-odd-levels', plan)
    assert pe.get_plan('test-odd-levels').added(1) and not pe.get_plan('test-odd-levels').added(2)
    with pytest.raises(ValueError, match="'msp'.*did you mean 'mspe'"):
        pe.get_plan('msp')


def test_the_last_registration_of_a_name_counts():
    for value in (1.0, 2.0):
        @pe.register_encoding('test-constant')
        def constant(coordinates, channels, resolution, value=value):
            return torch.full([1, channels, coordinates.y.shape[-1], coordinates.x.shape[-1]], value)
        assert pe.get_encoding('test-constant') is constant


@pytest.mark.parametrize('options', [dict(bass=3), dict(base=[1, 2])])
def test_options_an_encoding_does_not_take(options):
    with pytest.raises(ValueError, match="options .* of the positional encoding 'sinusoidal'"):
        pe.check_options('sinusoidal', 8, options)


def test_inject_adds_gamma_times_the_encoding():
    x = torch.randn(2, 8, 4, 6, dtype=torch.float64, requires_grad=True)
    gamma = torch.tensor(.7, dtype=torch.float64, requires_grad=True)
    encoding = pe.sinusoidal(Canvas.identity(4).resized(4, 6).coordinates(4, coarsest=2), 8, 4)
    assert torch.allclose(pe.inject(x, encoding, gamma), x + .7 * encoding.dense())
    assert torch.autograd.gradcheck(lambda *a: pe.inject(a[0], encoding, a[1]), (x, gamma))
    assert torch.autograd.gradgradcheck(lambda *a: pe.inject(a[0], encoding, a[1]), (x, gamma))
