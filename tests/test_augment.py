"""Augmentation: every transformation against numpy, scipy or a formula of its own, and what is drawn."""

import ast
import copy
import inspect
import math
import pickle

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from stylegan2_mspe import augment
from stylegan2_mspe.augment import AugmentPipe, Draws
from stylegan2_mspe.augpipes import PIPES

GEOMETRY = ('xflip', 'rotate90', 'xint', 'scale', 'rotate', 'aniso', 'xfrac')
EXACT_TAPS = torch.tensor(augment.SYM6, dtype=torch.float64) / sum(augment.SYM6)


def pipe(p=1., **kwargs):
    made = AugmentPipe(**kwargs)
    made.p.fill_(p)
    return made


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape)).to(dtype)


def waves(*shape, seed=0):
    """Smooth pictures: sums of slow waves, float64."""
    *_, height, width = shape
    random = np.random.RandomState(seed)
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing='ij')
    pictures = np.zeros(shape)
    for picture in pictures.reshape(-1, height, width):
        for _ in range(6):
            fy, fx = random.uniform(-.06, .06, 2) * 2 * np.pi
            picture += random.uniform(.2, 1) * np.sin(fy * y + fx * x + random.uniform(0, 6))
    return torch.from_numpy(pictures)


# ----- interface --------------------------------------------------------------------------------------------


def test_arguments_and_buffers_are_those_of_stylegan2_ada():
    expected = dict(
        xflip=0, rotate90=0, xint=0, xint_max=0.125, scale=0, rotate=0, aniso=0, xfrac=0, scale_std=0.2,
        rotate_max=1, aniso_std=0.2, xfrac_std=0.125, brightness=0, contrast=0, lumaflip=0, hue=0,
        saturation=0, brightness_std=0.2, contrast_std=0.5, hue_max=1, saturation_std=1, imgfilter=0,
        imgfilter_bands=[1, 1, 1, 1], imgfilter_std=1, noise=0, cutout=0, noise_std=0.1, cutout_size=0.5)
    parameters = list(inspect.signature(AugmentPipe.__init__).parameters.values())[1:]
    if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:     # seen through the decorator
        parameters = list(inspect.signature(AugmentPipe.__mro__[1].__init__).parameters.values())[1:]
    assert [(each.name, each.default) for each in parameters] == list(expected.items())
    shapes = {name: tuple(value.shape) for name, value in AugmentPipe().state_dict().items()}
    assert shapes == {'p': (), 'Hz_geom': (12,), 'Hz_fbank': (4, 43)}


def test_eleven_pipes():
    blit, geom = ['xflip', 'rotate90', 'xint'], ['scale', 'rotate', 'aniso', 'xfrac']
    color = ['brightness', 'contrast', 'lumaflip', 'hue', 'saturation']
    rest = ['imgfilter', 'noise', 'cutout']
    expected = dict(blit=blit, geom=geom, color=color, filter=rest[:1], noise=rest[1:2], cutout=rest[2:],
                    bg=blit + geom, bgc=blit + geom + color, bgcf=blit + geom + color + rest[:1],
                    bgcfn=blit + geom + color + rest[:2], bgcfnc=blit + geom + color + rest)
    assert {name: list(kwargs) for name, kwargs in PIPES.items()} == expected
    assert all(set(kwargs.values()) == {1} for kwargs in PIPES.values())


def test_the_file_stands_alone():
    """Network pickles carry its text, and a checkout without this package runs it."""
    tree = ast.parse(inspect.getsource(augment))
    [guarded] = [node for node in tree.body if isinstance(node, ast.Try)]
    assert [ast.unparse(handler.type) for handler in guarded.handlers] == ['ImportError']
    tree.body.remove(guarded)           # which has torch's own functions instead
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.update(f'{node.module}.{alias.name}' for alias in node.names)
    ours = {name for name in imported if name.split('.')[0] in ('stylegan2_mspe', 'torch_utils', 'dnnlib')}
    assert ours == {'torch_utils.persistence', 'torch_utils.ops.conv2d_gradfix',
                    'torch_utils.ops.grid_sample_gradfix', 'torch_utils.ops.upfirdn2d'}


def test_pickles_and_copies_do_the_same():
    made = pipe(.7, **PIPES['bgcfnc'], noise_std=.2)
    x = noise(3, 3, 10, 12)
    results = []
    for each in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        torch.manual_seed(1)
        results.append(each(x))
        assert each.init_kwargs == {**PIPES['bgcfnc'], 'noise_std': .2}
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(made(x), results[0])


@pytest.mark.parametrize('name', PIPES)
def test_nothing_happens_with_probability_0(name):
    x = noise(4, 3, 9, 14)
    assert torch.equal(pipe(0., **PIPES[name])(x), x)


@pytest.mark.parametrize('shape', [(0, 3, 8, 8), (1, 3, 17, 10), (2, 1, 16, 16), (3, 4, 7, 33), (2, 2, 1, 5),
                                   (1, 5, 3, 3)])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_size_channels_and_precision(shape, dtype):
    x = noise(*shape, dtype=torch.float64)
    torch.manual_seed(3)
    exact = pipe(.9, **PIPES['bgcfnc'], noise_std=0.)(x) if len(x) else x
    torch.manual_seed(3)
    made = pipe(.9, **PIPES['bgcfnc'], noise_std=0.)(x.to(dtype))
    assert made.shape == x.shape and made.dtype == dtype and bool(made.isfinite().all())
    if len(x):
        tolerance = {torch.float16: 2e-2, torch.bfloat16: .15}.get(dtype, 1e-4) * float(exact.std() + 1)
        torch.testing.assert_close(made.double(), exact, rtol=.02, atol=tolerance)


def test_derivatives_of_all_together():
    made = pipe(.8, **PIPES['bgcfnc']).double()

    def call(x):
        torch.manual_seed(5)
        return made(x)

    x = noise(3, 3, 4, 5).requires_grad_(True)
    assert torch.autograd.gradcheck(call, x)
    assert torch.autograd.gradgradcheck(lambda x: call(x).square(), x, fast_mode=True)


@pytest.mark.parametrize('shape', [(8, 3, 12, 20), (4, 1, 9, 7), (5, 4, 16, 16)])
def test_nothing_is_left_on_another_device(shape, monkeypatch):
    """The meta device computes shapes only, and refuses to be mixed with the CPU as a GPU does."""
    monkeypatch.setattr(augment.conv2d_gradfix, 'conv2d', torch.nn.functional.conv2d)  # no autocast for meta
    made = AugmentPipe(**PIPES['bgcfnc']).to('meta')
    made.p = torch.tensor(.8)       # has to be a number
    x = torch.empty(shape, device='meta', requires_grad=True)
    [slopes] = torch.autograd.grad(made(x).square().sum(), x, create_graph=True)
    assert slopes.shape == shape and slopes.requires_grad and slopes.is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_a_gpu_does_the_same():
    made = pipe(.8, **PIPES['bgcf'], cutout=1)
    x = noise(6, 3, 20, 28, dtype=torch.float32)
    results = []
    for device in ('cpu', 'cuda'):
        torch.manual_seed(7)
        results.append(made.to(device)(x.to(device)).cpu())
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-3)


# ----- places -----------------------------------------------------------------------------------------------


def test_blits_are_exact_copies():
    x = noise(200, 2, 6, 6)
    torch.manual_seed(0)
    made = pipe(xflip=1)(x).numpy()
    flipped = [np.array_equal(new, old[:, :, ::-1]) for new, old in zip(made, x.numpy())]
    kept = [np.array_equal(new, old) for new, old in zip(made, x.numpy())]
    assert all(one != other for one, other in zip(flipped, kept)) and 75 < sum(flipped) < 125
    made = pipe(rotate90=1)(x).numpy()
    turns = [[np.array_equal(new, np.rot90(old, k, axes=(1, 2))) for k in range(4)]
             for new, old in zip(made, x.numpy())]
    assert np.all(np.sum(turns, axis=1) == 1) and np.all(np.sum(turns, axis=0) > 30)


def test_whole_steps_show_the_mirror_beyond_the_border():
    x = noise(60, 1, 8, 16)
    torch.manual_seed(0)
    made = pipe(xint=1, xint_max=.25)(x).numpy()
    found = []
    for new, old in zip(made[:, 0], x.numpy()[:, 0]):
        wide = np.pad(old, [(2, 2), (4, 4)], mode='reflect')
        found += [(dy, dx) for dy in range(-2, 3) for dx in range(-4, 5)
                  if np.array_equal(new, wide[2 - dy:10 - dy, 4 - dx:20 - dx])]
    assert len(found) == 60 and {dy for dy, _ in found} == {*range(-2, 3)}
    assert {dx for _, dx in found} == {*range(-4, 5)}


def forward_matrix(kind, amount, height, width):
    """Places (row, column) in the result of what was at (row, column, 1), both from the middle, in numpy."""
    cos, sin = math.cos(amount), math.sin(amount)
    return {
        'scale': np.array([[amount, 0, 0], [0, amount, 0], [0, 0, 1]]),
        'rotate': np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]),    # clockwise
        'aniso': np.array([[1 / amount, 0, 0], [0, amount, 0], [0, 0, 1]]),
        'xfrac': np.array([[1, 0, amount * height], [0, 1, amount * width], [0, 0, 1]]),
    }[kind]


@pytest.mark.parametrize('percentile', [.2, .9])
@pytest.mark.parametrize('kind', ['scale', 'rotate', 'aniso', 'xfrac'])
@pytest.mark.parametrize('size', [(48, 40), (33, 51), (20, 270)])     # the last by filters, not matrices
def test_geometry_against_scipy(kind, percentile, size):
    x = waves(2, 3, *size)
    normal = scipy.stats.norm.ppf(percentile)
    amount = dict(scale=2 ** (.3 * normal), rotate=(2 * percentile - 1) * math.pi * .25,
                  aniso=2 ** (.25 * normal), xfrac=.07 * normal)[kind]
    made = pipe(0., **{kind: 1}, scale_std=.3, rotate_max=.25, aniso_std=.25, xfrac_std=.07).double()
    made.Hz_geom.copy_(EXACT_TAPS)
    made = made(x, debug_percentile=percentile)
    inverse = np.linalg.inv(forward_matrix(kind, amount, *size))
    middle = (np.array(size) - 1) / 2
    offset = inverse[:2, :2] @ -middle + inverse[:2, 2] + middle
    places = np.einsum('ij,jyx->iyx', inverse[:2, :2], np.indices(size)) + offset[:, None, None]
    inside = ((places > 6) & (places < np.array(size)[:, None, None] - 7)).all(axis=0)
    assert inside.sum() > 100
    for new, old in zip(made.flatten(0, 1).numpy(), x.flatten(0, 1).numpy()):
        expected = scipy.ndimage.affine_transform(old, inverse[:2, :2], offset, order=5, mode='mirror')
        error = np.abs(new - expected) / expected.std()
        assert error[inside].max() < .03 and error.max() < .25     # mirrored pictures have a kink
        assert np.abs(new - old)[inside].max() > .3 * expected.std()


def test_composed_as_they_are_listed():
    """One warp for all: the matrix is the product, in order, of what each alone would do."""
    together = pipe(0., **{kind: 1 for kind in GEOMETRY})
    size, percentile = (30, 44), .8
    product = torch.eye(3, dtype=torch.float64)
    for kind in GEOMETRY:
        alone = pipe(0., **{kind: 1}).draw_positions(Draws(1, 0., percentile), *size)
        product = product @ alone[0]
    made = together.draw_positions(Draws(1, 0., percentile), *size)[0]
    torch.testing.assert_close(made, product, rtol=0, atol=1e-12)


def test_resampling_what_stays_gives_it_back():
    x = noise(2, 3, 13, 18)
    positions = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    made = augment.resample(x, positions, EXACT_TAPS, augment.DELAY_SYM6)
    inside = np.s_[..., 6:-6, 6:-6]     # of the reach of two filters
    torch.testing.assert_close(made[inside], x[inside], rtol=0, atol=1e-10)
    x = waves(2, 3, 13, 18)
    made = augment.resample(x, positions, EXACT_TAPS, augment.DELAY_SYM6)
    assert float((made - x).abs().max()) < .1 * float(x.std())      # the filter is not quite symmetric


def test_mirroring_by_resampling_is_nearly_a_copy():
    """The filter is not quite symmetric: an error that copies of whole pixels avoid, and small elsewhere."""
    x = waves(2, 3, 31, 40)
    positions = torch.tensor([[-1., 0, 39], [0, 1, 0], [0, 0, 1]], dtype=torch.float64).repeat(2, 1, 1)
    made = augment.resample(x, positions, EXACT_TAPS, augment.DELAY_SYM6)
    error = (made - x.flip(3)).abs() / x.std()
    assert float(error[..., 6:-6, 6:-6].max()) < .01 and float(error.max()) < .1


def test_dense_matrices_and_filters_agree():
    x = noise(4, 2, 9, 15)
    for margin in (0, 3, 40):       # also wider than the picture
        torch.testing.assert_close(augment.double(x, EXACT_TAPS, margin, True),
                                   augment.double(x, EXACT_TAPS, margin, False), rtol=0, atol=1e-12)
    fine = noise(2, 3, 28, 36)
    torch.testing.assert_close(augment.halve(fine, EXACT_TAPS, True), augment.halve(fine, EXACT_TAPS, False),
                               rtol=0, atol=1e-12)


def test_nothing_leaks_in_from_outside():
    x = torch.full([64, 1, 12, 9], .7, dtype=torch.float64)
    torch.manual_seed(0)
    made = pipe(**PIPES['bg'])(x)
    torch.testing.assert_close(made, x, rtol=0, atol=1e-5)


def test_shrinking_does_not_alias():
    """A wave of 0.4 cycles a pixel cannot be shown at half the size; sampling it there makes a slow wave."""
    x = torch.cos(2 * math.pi * .4 * torch.arange(64, dtype=torch.float64)).expand(1, 1, 64, 64)
    positions = augment.moving(31.5, 31.5) @ augment.stretching(2., 2.) @ augment.moving(-31.5, -31.5)
    made = augment.resample(x, positions[None], EXACT_TAPS, augment.DELAY_SYM6)
    plain = scipy.ndimage.zoom(x[0, 0].numpy(), .5, order=1)
    assert float(made[..., 20:-20, 20:-20].std()) < .35 * plain.std()


# ----- colours ----------------------------------------------------------------------------------------------


def expected_colours(rgb, kind, percentile):
    """Formulas on [..., 3], none of them a matrix product."""
    mean, normal = rgb.mean(axis=-1, keepdims=True), scipy.stats.norm.ppf(percentile)
    if kind == 'brightness':
        return rgb + .2 * normal
    if kind == 'contrast':
        return rgb * 2 ** (.5 * normal)
    if kind == 'lumaflip':
        return rgb - 2 * mean if percentile >= .5 else rgb
    if kind == 'saturation':
        return mean + (rgb - mean) * 2 ** normal
    # Hue: the plane of equal sums is turned: chroma as a complex number, times e^(iθ).
    r, g, b = np.moveaxis(rgb, -1, 0)
    chroma = (r + g * np.exp(2j * np.pi / 3) + b * np.exp(4j * np.pi / 3)) * 2 / 3
    turned = chroma * np.exp(1j * np.pi * (2 * percentile - 1))
    return mean + np.stack([(turned * np.exp(-2j * np.pi * k / 3)).real for k in range(3)], axis=-1)


COLOURS = ('brightness', 'contrast', 'lumaflip', 'hue', 'saturation')


@pytest.mark.parametrize('percentile', [.1, .5, .85])
@pytest.mark.parametrize('kinds', [*((kind,) for kind in COLOURS), COLOURS])
def test_colours_against_formulas(kinds, percentile):
    x = noise(2, 4, 5, 6)
    made = pipe(0., **dict.fromkeys(kinds, 1))(x, debug_percentile=percentile)
    expected = x[:, :3].permute(0, 2, 3, 1).numpy()
    for kind in kinds:
        expected = expected_colours(expected, kind, percentile)
    np.testing.assert_allclose(made[:, :3].permute(0, 2, 3, 1).numpy(), expected, rtol=0, atol=1e-12)
    assert torch.equal(made[:, 3], x[:, 3])         # transparency is no colour


def test_a_third_of_a_turn_permutes_the_channels():
    x = noise(1, 3, 4, 4)
    made = pipe(0., hue=1, hue_max=2 / 3)(x, debug_percentile=1)
    torch.testing.assert_close(made, x[:, [2, 0, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize('channels', [1, 2])
def test_grey_is_treated_as_equal_channels(channels):
    x = noise(5, channels, 4, 7)
    made = pipe(1., **PIPES['color'])
    torch.manual_seed(2)
    grey = made(x)
    torch.manual_seed(2)
    rgb = made(x[:, :1].repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey[:, :1], rgb.mean(dim=1, keepdim=True), rtol=0, atol=1e-12)
    assert float((grey[:, :1] - x[:, :1]).abs().min()) > 0 and torch.equal(grey[:, 1:], x[:, 1:])


# ----- frequency bands --------------------------------------------------------------------------------------


@pytest.mark.parametrize('taps', [augment.SYM2, augment.SYM6])
def test_wavelets_are_orthonormal_and_blind_to_polynomials(taps):
    """The conditions that define Daubechies' filters, K/2 vanishing moments among them."""
    taps, size = np.array(taps), len(taps)
    assert taps.sum() == pytest.approx(math.sqrt(2), abs=1e-11)
    for shift in range(size // 2):
        product = np.dot(taps[2 * shift:], taps[:size - 2 * shift])
        assert product == pytest.approx(float(shift == 0), abs=1e-11)
    k = np.arange(size) - size / 2
    for power in range(size // 2):
        assert ((-1.) ** np.arange(size) * k ** power * taps).sum() == pytest.approx(0, abs=1e-8)


def test_bands_add_up_and_pass_their_own_frequencies():
    bank = augment.filter_bank(augment.SYM2)
    delta = np.zeros(43)
    delta[21] = 1
    np.testing.assert_allclose(bank.sum(axis=0), delta, atol=1e-11)
    offsets = np.arange(-21, 22)
    for frequency, band in [(0, 0), (1 / 32, 0), (3 / 16, 1), (3 / 8, 2), (3 / 4, 3), (1, 3)]:
        response = bank @ np.exp(1j * math.pi * frequency * offsets)
        assert np.abs(response.imag).max() < 1e-12          # no delay
        assert response.real[band] > .7 and np.delete(response.real, band).max() < .3
    low = np.abs(np.fft.fft(augment.SYM2, 64)) ** 2 / 2     # the half of the frequencies that one split keeps
    np.testing.assert_allclose(np.abs(np.fft.fft(bank[3], 64)), 1 - low, atol=1e-10)
    split = low * low[np.arange(64) * 2 % 64]
    np.testing.assert_allclose(np.abs(np.fft.fft(bank[2], 64)), low - split, atol=1e-10)


def test_bands_against_scipy():
    x = noise(3, 2, 9, 50)
    made = pipe(1., imgfilter=1)
    torch.manual_seed(4)
    gains = made.draw_gains(Draws(3, 1.))
    torch.manual_seed(4)
    result = made(x)
    for picture, new, gain in zip(x.numpy(), result.numpy(), gains.numpy()):
        kernel = gain @ augment.filter_bank(augment.SYM2)
        once = scipy.ndimage.correlate1d(picture, kernel, axis=2, mode='mirror')
        expected = scipy.ndimage.correlate1d(once, kernel, axis=1, mode='mirror')
        np.testing.assert_allclose(new, expected, atol=1e-5)
        assert np.abs(new - picture).max() > .1


def test_gains_keep_the_power_of_natural_pictures():
    gains = pipe(1., imgfilter=1, imgfilter_bands=[0, 0, 1, 0]).draw_gains(Draws(1000, 1.))
    power = torch.tensor([10, 1, 1, 1], dtype=torch.float64) / 13
    torch.testing.assert_close((gains.square() * power).sum(dim=1), torch.ones(1000).double())
    assert torch.equal(gains[:, 0], gains[:, 1]) and torch.equal(gains[:, 0], gains[:, 3])
    assert float((gains[:, 2] / gains[:, 0]).log2().std()) == pytest.approx(1, abs=.08)
    assert torch.equal(pipe(0., imgfilter=1).draw_gains(Draws(5, 0.)), torch.ones(5, 4).double())


# ----- damage -----------------------------------------------------------------------------------------------


def test_noise_has_the_drawn_strength():
    torch.manual_seed(0)
    made = pipe(.5, noise=1, noise_std=.3)(torch.zeros(400, 3, 32, 16))
    stds = made.flatten(1).std(dim=1)
    assert 160 < int((stds == 0).sum()) < 240
    drawn = stds[stds > 0]      # |N(0, 0.3)|
    assert float(drawn.square().mean().sqrt()) == pytest.approx(.3, rel=.15)
    assert scipy.stats.kstest(drawn.numpy(), scipy.stats.halfnorm(scale=.3).cdf).pvalue > .001
    median = pipe(0., noise=1)(torch.zeros(1, 3, 128, 128), debug_percentile=.5).std()
    assert float(median) == pytest.approx(.1 * scipy.stats.halfnorm.ppf(.5), rel=.03)


def test_cutout_is_a_rectangle_of_zeros():
    torch.manual_seed(0)
    made = pipe(.8, cutout=1)(torch.ones(300, 2, 20, 12)).numpy()
    centres = []
    for picture in made:
        zeros = picture[0] == 0
        assert np.array_equal(picture[0], picture[1]) and set(np.unique(picture)) <= {0, 1}
        rows, cols = np.flatnonzero(zeros.any(axis=1)), np.flatnonzero(zeros.any(axis=0))
        assert zeros.sum() == len(rows) * len(cols)
        if len(rows):
            assert len(rows) <= 10 and len(cols) <= 6
            assert len(rows) == 10 or rows[0] == 0 or rows[-1] == 19
            assert len(cols) == 6 or cols[0] == 0 or cols[-1] == 11
            centres.append((rows.mean(), cols.mean()))
    assert 215 < len(centres) < 265
    assert np.std(centres, axis=0).min() > 1
    expected = np.ones([20, 12])
    expected[5:15, 3:9] = 0
    made = pipe(0., cutout=1)(torch.ones(1, 1, 20, 12), debug_percentile=.5)
    assert np.array_equal(made[0, 0].numpy(), expected)


# ----- what is drawn ----------------------------------------------------------------------------------------


def test_the_median_moves_nothing_and_flips_what_can_only_be_flipped():
    x = noise(2, 3, 12, 12)
    still = pipe(0., scale=1, rotate=1, aniso=1, xfrac=1, xint=1, brightness=1, contrast=1, hue=1,
                 saturation=1, imgfilter=1)(x, debug_percentile=.5)
    torch.testing.assert_close(still, x, rtol=0, atol=1e-6)
    blit = pipe(0., **PIPES['blit'])(x, debug_percentile=.5)
    assert torch.equal(blit, x.flip(2))         # mirrored left-right, then turned by 180°
    flipped = pipe(0., lumaflip=1)(x, debug_percentile=.5)
    torch.testing.assert_close(flipped, x - 2 * x.mean(dim=1, keepdim=True), rtol=0, atol=1e-12)


COUNT = 20000


def positions_of(p, **kwargs):
    """Linear parts and displacements of the middle of pictures 64 wide and 32 high, source to result."""
    torch.manual_seed(0)
    drawn = torch.linalg.inv(pipe(p, **kwargs).draw_positions(Draws(COUNT, p), 32, 64))
    middle = torch.tensor([31.5, 15.5, 1], dtype=torch.float64)
    return drawn[:, :2, :2].numpy(), (drawn @ middle - middle)[:, :2].numpy()


def share(values):
    return float(np.mean(values))


@pytest.mark.parametrize('p', [.3, 1.])
def test_statistics_of_geometry(p):
    near = dict(abs=4 * math.sqrt(p * (1 - p) / COUNT) + 1e-9)
    linear, _ = positions_of(p, scale=1)
    logs = np.log2(linear[:, 0, 0])
    assert share(logs != 0) == pytest.approx(p, **near)
    assert np.std(logs[logs != 0]) == pytest.approx(.2, rel=.04)
    assert np.array_equal(linear[:, 0, 0], linear[:, 1, 1])
    linear, _ = positions_of(p, aniso=1)
    logs = np.log2(linear[:, 0, 0])
    assert np.std(logs[logs != 0]) == pytest.approx(.2, rel=.04)
    np.testing.assert_allclose(linear[:, 0, 0] * linear[:, 1, 1], 1)
    _, moved = positions_of(p, xfrac=1)
    moved = moved[np.abs(moved).max(axis=1) > 1e-9]
    assert len(moved) / COUNT == pytest.approx(p, **near)
    assert moved.std(axis=0) == pytest.approx([8, 4], rel=.04)
    assert np.corrcoef(moved.T)[0, 1] == pytest.approx(0, abs=.06)
    _, moved = positions_of(p, xint=1)
    np.testing.assert_allclose(moved, moved.round(), atol=1e-9)
    assert np.abs(moved).max(axis=0).round().tolist() == [8, 4]
    linear, _ = positions_of(p, xflip=.5)
    assert share(linear[:, 0, 0] < 0) == pytest.approx(p / 4, abs=.015)


@pytest.mark.parametrize('p', [.3, .8])
def test_either_of_both_turns_happens_with_p(p):
    """Before the stretch and after it, each with 1 - √(1 - p), so that one of them does with p."""
    linear, _ = positions_of(p, rotate=1)
    angles = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    assert share(np.abs(angles) > 1e-12) == pytest.approx(p, abs=.015)
    linear, _ = positions_of(p, rotate=1, aniso=1, aniso_std=1.)
    _, singular, after = np.linalg.svd(linear)
    stretched = singular[:, 0] / singular[:, 1] > 1.01
    turned_before = np.abs(after[:, 0, 0] * after[:, 0, 1]) > 1e-9     # the stretch is along neither axis
    assert share(turned_before[stretched]) == pytest.approx(1 - math.sqrt(1 - p), abs=.02)
    linear, _ = positions_of(p, rotate=1, rotate_max=.25)
    angles = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    assert np.abs(angles).max() <= math.pi / 2


def test_statistics_of_colours():
    torch.manual_seed(0)
    p = .6

    def drawn(**kwargs):
        return pipe(p, **kwargs).draw_colours(Draws(COUNT, p)).numpy()

    lift = drawn(brightness=1)[:, 0, 3]
    assert share(lift != 0) == pytest.approx(p, abs=.015)
    assert np.std(lift[lift != 0]) == pytest.approx(.2, rel=.04)
    logs = np.log2(drawn(contrast=1)[:, 1, 1])
    assert share(logs != 0) == pytest.approx(p, abs=.015)
    assert np.std(logs[logs != 0]) == pytest.approx(.5, rel=.04)
    assert share(drawn(lumaflip=1)[:, 0, 0] < .9) == pytest.approx(p / 2, abs=.015)
    around = drawn(hue=1, hue_max=.5)
    angles = np.arccos(np.clip((np.trace(around[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert share(angles > 1e-6) == pytest.approx(p, abs=.015)
    assert angles[angles > 1e-6].mean() == pytest.approx(math.pi / 4, rel=.04)
    assert angles.max() <= math.pi / 2 + 1e-9
    logs = np.log2(1.5 * (drawn(saturation=1)[:, 0, 0] - 1 / 3))
    drawn_logs = logs[np.abs(logs) > 1e-9]
    assert len(drawn_logs) / COUNT == pytest.approx(p, abs=.015)
    assert np.std(drawn_logs) == pytest.approx(1, rel=.04)


def test_weights_scale_the_probability():
    torch.manual_seed(0)
    for weight, p, expected in [(.5, .4, .2), (0, 1, 0), (3, .5, 1), (1, 2., 1)]:
        happened = Draws(COUNT, p).when(weight, torch.ones(COUNT).double(), 0)
        assert float(happened.mean()) == pytest.approx(expected, abs=.015)


def test_the_same_seed_draws_the_same_whatever_is_in_the_pictures():
    made = pipe(.7, **PIPES['bgc'])
    torch.manual_seed(9)
    first, after = made(noise(6, 3, 8, 8)), torch.rand([])
    torch.manual_seed(9)
    second, again = made(noise(6, 3, 8, 8)), torch.rand([])
    assert torch.equal(first, second) and after == again
    torch.manual_seed(9)
    made(noise(6, 1, 20, 5, seed=3))
    assert torch.rand([]) == after
    torch.manual_seed(9)
    made.p.zero_()
    made(noise(6, 3, 8, 8))
    assert torch.rand([]) == after
