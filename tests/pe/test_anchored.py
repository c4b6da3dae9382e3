"""Noise by place: its bits against plain integers and numpy's uint32, its values against scipy, its
statistics, and that it is the same however it is asked for.
"""

import math

import numpy as np
import pytest
import scipy.special
import torch

from stylegan2_mspe.pe.anchored import anchored, hashes, normal

SIDE = 512


def plain_mix(word, second=0, third=0):
    """One cell at a time, in Python's integers."""
    word = (word ^ word >> 16) * 0x21f0aaad % 2 ** 32 ^ second
    word = (word ^ word >> 15) * 0x735a2d97 % 2 ** 32 ^ third
    return word ^ word >> 15


def plain_hash(seed, layer, y, x):
    def words(salts, cell):
        for salt in salts:
            for number in (seed, layer, cell):
                for half in (number % 2 ** 32, number // 2 ** 32 % 2 ** 32):
                    salt = plain_mix(((salt ^ half) + 0x9e3779b9) % 2 ** 32)
            yield salt
    (a, b), (c, d) = words((1, 2), y), words((3, 4), x)
    return plain_mix(a ^ c, b, d)


def numpy_hash(seed, layer, rows, cols):
    """The same in numpy's uint32, whose products wrap by themselves: [H, W]."""
    def mix(word, second=0, third=0):
        word = (word ^ word >> np.uint32(16)) * np.uint32(0x21f0aaad) ^ second
        word = (word ^ word >> np.uint32(15)) * np.uint32(0x735a2d97) ^ third
        return word ^ word >> np.uint32(15)

    def words(salt, cells):
        state = np.full(len(cells), salt, np.uint32)
        for numbers in (np.full(len(cells), seed), np.full(len(cells), layer), np.asarray(cells)):
            for half in numbers.astype('<i8').view('<u4').reshape(-1, 2).T:
                state = mix((state ^ half) + np.uint32(0x9e3779b9))
        return state
    y1, y2 = (words(salt, rows)[:, None] for salt in (1, 2))
    x1, x2 = (words(salt, cols)[None, :] for salt in (3, 4))
    return mix(y1 ^ x1, y2, x2)


def cells(*numbers):
    return torch.tensor(numbers, dtype=torch.int64)


def whole(start, count):
    return torch.arange(start, start + count, dtype=torch.float64)


def field(seed=0, layer=0, side=SIDE, start=-300):
    """One sample [side, side] in float64 whose cells begin at `start`, negative ones included."""
    return anchored(seed, layer, whole(start, side), whole(start + 7, side), dtype=torch.float64)[0, 0]


# ----- bits and values --------------------------------------------------------------------------------------


@pytest.mark.parametrize('seed, layer, y, x, bits', [
    (0, 0, 0, 0, 0x5a234526), (0, 0, 0, 1, 0x4356ec24), (1, 0, 0, 0, 0x26b982de),
    (0, 1, 0, 0, 0xb6912520), (2 ** 32, 13, -1, 2 ** 40, 0x259c0bc3), (-7, 3, -2 ** 31, 2 ** 31, 0xd9daad17),
])
def test_bits_are_these(seed, layer, y, x, bits):
    assert hashes(cells(seed), layer, cells(y), cells(x)).item() == plain_hash(seed, layer, y, x) == bits


def test_bits_are_numpys():
    random = np.random.RandomState(0)
    rows = np.concatenate([random.randint(-2 ** 40, 2 ** 40, 40), np.arange(-20, 20)])
    cols = np.concatenate([random.randint(-2 ** 62, 2 ** 62, 30), np.arange(-20, 21)])
    seeds = [0, 5, 2 ** 32 - 1, -1]
    found = hashes(cells(*seeds), 11, torch.from_numpy(rows), torch.from_numpy(cols)).numpy()
    for seed, each in zip(seeds, found):
        np.testing.assert_array_equal(each, numpy_hash(seed, 11, rows, cols))
    assert found.min() >= 0 and found.max() < 2 ** 32


def test_values_are_the_inverse_normal_distribution_of_the_bits():
    found = field(3, 4, side=64, start=-20).numpy()
    bits = numpy_hash(3, 4, range(-20, 44), range(-13, 51))
    np.testing.assert_allclose(found, scipy.special.ndtri((bits + 0.5) / 2.0 ** 32), rtol=0, atol=1e-12)


def test_the_farthest_bits_are_finite():
    ends = normal(cells(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1))
    np.testing.assert_allclose(ends[0], scipy.special.ndtri(2.0 ** -33), rtol=1e-9)
    assert ends[0] == -ends[-1] and ends[2] == -ends[3] and 0 > ends[2] > -1e-9


# ----- statistics: every bound is about four and a half standard errors of independent normal numbers -------


@pytest.mark.parametrize('seed, layer', [(0, 0), (1, 0), (123456789, 13), (2 ** 33 + 5, 26)])
def test_moments(seed, layer):
    noise, root = field(seed, layer), SIDE             # the root of the number of cells
    assert abs(noise.mean()) * root < 4.5
    assert abs(noise.var() - 1) * root < 4.5 * math.sqrt(2)
    assert abs((noise ** 3).mean()) * root < 4.5 * math.sqrt(15)
    assert abs((noise ** 4).mean() - 3) * root < 4.5 * math.sqrt(96)


def test_the_distribution_is_normal():
    uniform = scipy.special.ndtr(np.sort(field(7, 2).flatten().numpy()))
    steps = (np.arange(len(uniform)) + 0.5) / len(uniform)
    assert np.abs(uniform - steps).max() * SIDE < 2.0       # Kolmogorov and Smirnov: 2.0 is .07 %


def correlations(one, other):
    """Of the numbers, their squares and the two crossed, in standard errors."""
    square = lambda x: (x ** 2 - 1) / math.sqrt(2)
    pairs = [(one, other), (square(one), square(other)), (one, square(other)), (square(one), other)]
    return [abs((a * b).mean().item()) * math.sqrt(a.numel()) for a, b in pairs]


@pytest.mark.parametrize('dy, dx', [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (64, 0), (3, -5)])
def test_neighbours_have_nothing_to_do_with_each_other(dy, dx):
    noise = field(0, 1)
    assert max(correlations(noise, noise.roll((dy, dx), (0, 1)))) < 4.5


@pytest.mark.parametrize('other', [dict(seed=1), dict(layer=2), dict(seed=256), dict(layer=-1),
                                   dict(seed=2 ** 32), dict(start=-301)])
def test_seeds_layers_and_places_have_nothing_to_do_with_each_other(other):
    asked = dict(seed=0, layer=1, start=-300)
    assert max(correlations(field(**asked), field(**{**asked, **other}))) < 4.5


def test_rows_and_columns_are_not_mirror_images():
    noise = anchored(0, 1, whole(0, 512), whole(0, 512), dtype=torch.float64)[0, 0]
    upper = torch.triu_indices(512, 512, 1)
    assert max(correlations(noise[*upper], noise.T[*upper])) < 4.5
    both = anchored(0, 1, -whole(0, 512), whole(0, 512), dtype=torch.float64)[0, 0]
    assert max(correlations(noise[1:], both[1:])) < 4.5


def test_the_spectrum_is_flat():
    power = torch.fft.rfft2(field(0, 3)).abs().square()[1:SIDE // 2, 1:SIDE // 2] / SIDE ** 2
    assert power.max() < math.log(power.numel()) + 6            # exponentially distributed, mean 1
    for axis in (0, 1):
        assert (power.mean(axis) - 1).abs().max() < 5 / math.sqrt(SIDE // 2)


def test_rectangles_of_cells_are_independent():
    # The words of rows and columns repeat at the four corners of every rectangle.
    noise = field(0, 4)
    for dy, dx in [(1, 1), (5, 2), (64, 128)]:
        corners = noise * noise.roll(dy, 0) * noise.roll(dx, 1) * noise.roll((dy, dx), (0, 1))
        assert abs(corners.mean()) * SIDE < 4.5


# ----- the same wherever it is asked for --------------------------------------------------------------------


@pytest.mark.parametrize('step', [1.0, 0.37, -1.0, 2.5])
def test_a_tile_is_that_part_of_the_whole(step):
    y, x = whole(-9, 40) * step + 0.25 * (step != 1), whole(3, 31)
    everything = anchored(5, 6, y, x, dtype=torch.float64)
    for rows, cols in [(slice(3, 20), slice(0, 31)), (slice(39, 40), slice(30, 31)),
                       (slice(7, 8), slice(5, 9))]:
        tile = anchored(5, 6, y[rows], x[cols], dtype=torch.float64)
        assert torch.equal(tile, everything[:, :, rows, cols])


def test_each_sample_has_its_seed_and_its_place():
    seeds, y, x = cells(4, 0, 9), whole(-3, 12), whole(0, 7)
    together = anchored(seeds, 2, y, x)
    assert together.shape == (3, 1, 12, 7) and together.dtype == torch.float32
    places = torch.stack([y, y + 0.5, -y])
    apart = anchored(seeds, 2, places, x)
    one_seed = anchored(4, 2, places, x)
    for n, seed in enumerate(seeds.tolist()):
        assert torch.equal(together[n:n + 1], anchored(seed, 2, y, x))
        assert torch.equal(apart[n:n + 1], anchored(seed, 2, places[n], x))
        assert torch.equal(one_seed[n:n + 1], anchored(4, 2, places[n], x))
    assert anchored(cells(), 2, y, x).shape == (0, 1, 12, 7)


def test_between_cells_it_is_the_bilinear_mean_at_unit_variance():
    y, x = torch.tensor([-1.75, 0.5, 3.0, 2.25]), torch.tensor([0.0, -0.1, 7.9])
    corners = anchored(1, 8, whole(-2, 7), whole(-1, 10), dtype=torch.float64)[0, 0]
    found = anchored(1, 8, y.double(), x.double(), dtype=torch.float64)[0, 0]
    for i, at_y in enumerate(y.double().tolist()):
        for j, at_x in enumerate(x.double().tolist()):
            row, col = math.floor(at_y), math.floor(at_x)
            fy, fx = at_y - row, at_x - col
            weights = np.outer([1 - fy, fy], [1 - fx, fx])
            four = corners[row + 2:row + 4, col + 1:col + 3].numpy()
            wanted = (weights * four).sum() / np.sqrt((weights ** 2).sum())
            assert found[i, j].item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('y, x', [(0.5, 0.5), (0.1, 0.0), (0.0, 0.9), (1 / 3, 0.77)])
def test_its_variance_is_one_everywhere(y, x):
    noise = anchored(0, 9, whole(0, 512) + y, whole(-100, 512) + x, dtype=torch.float64)[0, 0]
    # Interpolation correlates neighbours: the standard error is up to 2.25 times that of independent cells.
    assert abs(noise.var() - 1) < 4.5 * 2.25 * math.sqrt(2) / 512


def test_it_begins_again_after_the_period():
    y, x = whole(-5, 30), whole(-11, 25)
    for beyond in (0.0, 0.375):
        found = anchored(2, 3, y + beyond, x, (8, None), dtype=torch.float64)
        assert torch.equal(found[:, :, :22], found[:, :, 8:])
        free = anchored(2, 3, y + beyond, x, dtype=torch.float64)
        assert torch.equal(found[:, :, 5:12], free[:, :, 5:12]) and not torch.equal(found, free)
    seam = anchored(2, 3, torch.tensor([7.5, -0.5, 15.5]).double(), x, (8, 4), dtype=torch.float64)
    assert torch.equal(seam[:, :, 0], seam[:, :, 1]) and torch.equal(seam[:, :, 0], seam[:, :, 2])
    pair = anchored(2, 3, torch.tensor([7.0, 0.0]).double(), x, (8, 4), dtype=torch.float64)
    torch.testing.assert_close(seam[:, :, 0], pair.sum(2) / math.sqrt(2), rtol=0, atol=1e-12)


def test_places_no_integer_holds():
    far = torch.tensor([1e300, -1e300, 2.0 ** 60, 0.5]).double()
    assert anchored(0, 0, far, far).isfinite().all()
