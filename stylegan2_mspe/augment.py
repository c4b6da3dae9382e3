"""Augmentation of what the discriminator sees: with a probability p below 1 the generator does not learn it.

After Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix B. One file
that needs of this project only torch_utils' public names, because network pickles carry its text and other
checkouts run it. What happens to each picture is drawn on the CPU, where it is known at once which pictures a
stage leaves alone; these skip it.
"""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F

from torch_utils import persistence
from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix, upfirdn2d

try:
    from stylegan2_mspe.chance import rand, randn   # the same however a batch is divided
except ImportError:
    from torch import rand, randn

# Daubechies' least asymmetric orthonormal low-pass filters with 2 and 6 vanishing moments; they sum to √2.
SYM2 = [-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025]
SYM6 = [
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148]  # fmt: skip
DELAY_SYM6 = sum(i * tap for i, tap in enumerate(SYM6)) / sum(SYM6)     # taps, of low frequencies
BAND_POWER = [10 / 13, 1 / 13, 1 / 13, 1 / 13]  # expected in natural pictures (1/f), by band, coarse to fine


@persistence.persistent_class
class AugmentPipe(torch.nn.Module):
    """Each transformation happens to each picture with probability p (a buffer) times its weight.

    All weights are 0 unless given. Lengths are fractions of the picture's width and height; the standard
    deviations of scale, aniso, contrast, saturation and imgfilter are those of a log2.
    """

    def __init__(self,
                 xflip=0,                       # weight of: mirroring left-right
                 rotate90=0,                    # turning by quarters
                 xint=0,                        # moving by whole pixels
                 xint_max=0.125,                # farthest
                 scale=0,                       # magnifying
                 rotate=0,                      # turning
                 aniso=0,                       # stretching in one direction, shrinking across it
                 xfrac=0,                       # moving by fractions of a pixel
                 scale_std=0.2,
                 rotate_max=1,                  # widest angle, 1 = half a turn either way
                 aniso_std=0.2,
                 xfrac_std=0.125,
                 brightness=0,                  # weight of: adding to all channels
                 contrast=0,                    # multiplying all channels
                 lumaflip=0,                    # turning dark into bright, keeping hue and saturation
                 hue=0,                         # turning colours around the grey axis
                 saturation=0,                  # multiplying distances from the grey axis
                 brightness_std=0.2,
                 contrast_std=0.5,
                 hue_max=1,                     # widest angle, 1 = half a turn either way
                 saturation_std=1,
                 imgfilter=0,                   # weight of: amplifying frequency bands
                 imgfilter_bands=[1, 1, 1, 1],  # weights of the bands 0…π/8…π/4…π/2…π
                 imgfilter_std=1,
                 noise=0,                       # weight of: additive noise
                 cutout=0,                      # a rectangle of zeros
                 noise_std=0.1,                 # of the noise's own standard deviation
                 cutout_size=0.5):
        super().__init__()
        self.register_buffer('p', torch.ones([]))
        self.xflip, self.rotate90, self.xint, self.xint_max = xflip, rotate90, xint, xint_max
        self.scale, self.rotate, self.aniso, self.xfrac = scale, rotate, aniso, xfrac
        self.scale_std, self.rotate_max, self.aniso_std = scale_std, rotate_max, aniso_std
        self.xfrac_std = xfrac_std
        self.brightness, self.contrast, self.lumaflip = brightness, contrast, lumaflip
        self.hue, self.saturation = hue, saturation
        self.brightness_std, self.contrast_std = brightness_std, contrast_std
        self.hue_max, self.saturation_std = hue_max, saturation_std
        self.imgfilter, self.imgfilter_bands = imgfilter, imgfilter_bands
        self.imgfilter_std = imgfilter_std
        self.noise, self.cutout = noise, cutout
        self.noise_std, self.cutout_size = noise_std, cutout_size
        self.register_buffer('Hz_geom', upfirdn2d.setup_filter(SYM6))
        self.register_buffer('Hz_fbank', torch.as_tensor(filter_bank(SYM2), dtype=torch.float32))

    def forward(self, images, debug_percentile=None):
        """images [N, C, H, W], about -1…1, any floating dtype → the same, augmented, differentiable twice.

        With `debug_percentile` (0…1) every transformation with a weight happens to every picture, each as
        strong as that percentile of its distribution.
        """
        assert images.ndim == 4, f'expected [N, C, H, W], got {list(images.shape)}'
        if images.numel() == 0:
            return images
        draw = Draws(len(images), float(self.p), debug_percentile)
        x = images if images.dtype == torch.float64 else images.to(torch.float32)
        if self.xflip or self.rotate90 or self.xint or self.scale or self.rotate or self.aniso or self.xfrac:
            x = move(x, self.draw_positions(draw, *x.shape[2:]), self.Hz_geom)
        if self.brightness or self.contrast or self.lumaflip or self.hue or self.saturation:
            x = recolour(x, self.draw_colours(draw))
        if self.imgfilter and any(self.imgfilter_bands):
            x = amplify_bands(x, self.draw_gains(draw), self.Hz_fbank)
        if self.noise and self.noise_std:
            x = add_noise(x, draw.when(self.noise, draw.half_normal(self.noise_std), 0))
        if self.cutout:
            size = draw.when(self.cutout, draw.constant(self.cutout_size), 0)
            x = cut_out(x, size, draw.uniform(0, 1), draw.uniform(0, 1))
        return x.to(images.dtype)

    def draw_positions(self, draw, height, width):
        """[N, 3, 3]: from a pixel's (column, row, 1) in the result to the place in the picture it shows."""
        inverse = torch.eye(3, dtype=torch.float64).repeat(draw.count, 1, 1)   # of all that is done
        if self.xflip:
            inverse = inverse @ stretching(1 - 2 * draw.when(self.xflip, draw.integer(2), 0), 1)
        if self.rotate90:
            inverse = inverse @ quarter_turns(-draw.when(self.rotate90, draw.integer(4), 0))
        if self.xint:
            x, y = draw.uniform(-self.xint_max, self.xint_max), draw.uniform(-self.xint_max, self.xint_max)
            x, y = draw.when(self.xint, torch.stack([x * width, y * height]).round(), 0)
            inverse = inverse @ moving(-x, -y)
        if self.scale:
            factor = 2 ** -draw.when(self.scale, draw.normal(self.scale_std), 0)
            inverse = inverse @ stretching(factor, factor)
        # Turning before and after the stretch makes its direction random; one of both happens with rotate·p.
        turned_once = 1 - math.sqrt(1 - draw.probability(self.rotate))
        if self.rotate:
            angle = draw.uniform(-math.pi * self.rotate_max, math.pi * self.rotate_max)
            inverse = inverse @ turning(-draw.chosen(turned_once, angle, 0))
        if self.aniso:
            factor = 2 ** draw.when(self.aniso, draw.normal(self.aniso_std), 0)
            inverse = inverse @ stretching(1 / factor, factor)
        if self.rotate:
            angle = draw.uniform(-math.pi * self.rotate_max, math.pi * self.rotate_max)
            angle = angle if draw.percentile is None else angle * 0     # that percentile of one turn
            inverse = inverse @ turning(-draw.chosen(turned_once, angle, 0))
        if self.xfrac:
            x, y = draw.normal(self.xfrac_std * width), draw.normal(self.xfrac_std * height)
            x, y = draw.when(self.xfrac, torch.stack([x, y]), 0)
            inverse = inverse @ moving(-x, -y)
        x, y = (width - 1) / 2, (height - 1) / 2    # everything turns around the middle
        return moving(x, y) @ inverse @ moving(-x, -y)

    def draw_colours(self, draw):
        """[N, 4, 4]: from (r, g, b, 1) to the new one."""
        grey = torch.tensor([1, 1, 1, 0], dtype=torch.float64) / math.sqrt(3)   # direction of equal channels
        luma, identity = torch.outer(grey, grey), torch.eye(4, dtype=torch.float64)
        colours = identity.repeat(draw.count, 1, 1)
        if self.brightness:
            colours[:, :3, 3] = draw.when(self.brightness, draw.normal(self.brightness_std), 0)[:, None]
        if self.contrast:
            factor = 2 ** draw.when(self.contrast, draw.normal(self.contrast_std), 0)
            colours = scaling(factor) @ colours
        if self.lumaflip:
            flipped = draw.when(self.lumaflip, draw.integer(2), 0)[:, None, None]
            colours = (identity - 2 * luma * flipped) @ colours
        if self.hue:
            angle = draw.when(self.hue, draw.uniform(-math.pi * self.hue_max, math.pi * self.hue_max), 0)
            colours = turning_around(grey[:3], angle) @ colours
        if self.saturation:
            factor = 2 ** draw.when(self.saturation, draw.normal(self.saturation_std), 0)
            colours = (luma + (identity - luma) * factor[:, None, None]) @ colours
        return colours

    def draw_gains(self, draw):
        """[N, 4]: factors of the frequency bands that keep the power expected of a natural picture."""
        power = torch.tensor(BAND_POWER, dtype=torch.float64)
        gains = torch.ones([draw.count, len(power)], dtype=torch.float64)
        for band, weight in enumerate(self.imgfilter_bands):
            if weight:
                one = torch.ones_like(gains)
                one[:, band] = 2 ** draw.when(self.imgfilter * weight, draw.normal(self.imgfilter_std), 0)
                gains = gains * one / (power * one.square()).sum(dim=1, keepdim=True).sqrt()
        return gains


# ----- what is drawn ----------------------------------------------------------------------------------------


class Draws:
    """Numbers for `count` pictures, float64 [N], from the CPU's generator; or of all distributions the same
    `percentile`, happening always.
    """

    def __init__(self, count, p, percentile=None):
        assert percentile is None or 0 <= percentile <= 1, percentile
        self.count, self.p, self.percentile = count, p, percentile

    def probability(self, weight):
        return min(max(weight * self.p, 0), 1)

    def when(self, weight, values, otherwise):
        """`values` [..., N] for the pictures to which something of this weight happens."""
        return self.chosen(self.probability(weight), values, otherwise)

    def chosen(self, probability, values, otherwise):
        """`values` [..., N] with that probability."""
        if self.percentile is not None:
            return values
        return torch.where(rand([self.count], dtype=torch.float64) < probability, values, otherwise)

    def constant(self, value):
        return torch.full([self.count], value, dtype=torch.float64)

    def uniform(self, low, high):
        share = rand([self.count], dtype=torch.float64) if self.percentile is None else self.percentile
        return self.constant(low) + (high - low) * share

    def integer(self, count):
        """0 … count − 1"""
        return self.uniform(0, count).floor().clamp(max=count - 1)

    def normal(self, std):
        return self._normal(self.percentile) * std

    def half_normal(self, std):
        """The absolute value of a normal number."""
        return self._normal(None if self.percentile is None else (1 + self.percentile) / 2).abs() * std

    def _normal(self, percentile):
        if percentile is None:
            return randn([self.count], dtype=torch.float64)
        bounded = min(max(percentile, 1e-3), 1 - 1e-3)  # both ends are at infinity
        return torch.special.ndtri(self.constant(bounded))


# ----- positions --------------------------------------------------------------------------------------------


def matrices(rows):
    """[N, k, k] from k rows of k numbers or tensors [N], at least one of them a tensor."""
    entries = torch.broadcast_tensors(*(torch.as_tensor(entry, dtype=torch.float64)
                                        for row in rows for entry in row))
    return torch.stack(entries, dim=-1).unflatten(-1, [len(rows), len(rows)])


def moving(x, y):
    return matrices([[1, 0, x], [0, 1, y], [0, 0, 1]])


def stretching(x, y):
    return matrices([[x, 0, 0], [0, y, 0], [0, 0, 1]])


def turning(angle):
    """From x towards y, which is clockwise to the eye."""
    return _turn(angle.cos(), angle.sin())


def quarter_turns(number):
    """As `turning`, in whole numbers."""
    number = number.long() % 4
    cos = torch.tensor([1., 0., -1., 0.], dtype=torch.float64)
    return _turn(cos[number], cos[number - 1])


def _turn(cos, sin):
    return matrices([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def move(images, positions, taps):
    """Moves each picture [N, C, H, W] as `positions` [N, 3, 3] say, mirrored beyond its border.

    Those that only change places of whole pixels are copied, exactly; the others are resampled with a
    low-pass filter `taps`.
    """
    still = (positions == torch.eye(3, dtype=positions.dtype)).flatten(1).all(dim=1)
    copied = ~still & only_copies(positions)
    resampled = ~still & ~copied
    resampling = functools.partial(resample, taps=taps, delay=DELAY_SYM6)
    for chosen, function in ((copied, copy_pixels), (resampled, resampling)):
        images = apply_to(chosen, function, images, positions)
    return images


def only_copies(positions):
    """[N]: whether each place is a pixel's, after mirrorings, quarter turns and whole steps."""
    linear = positions[:, :2, :2].abs()
    square = (linear.sum(dim=1) == 1).all(dim=1) & (linear.sum(dim=2) == 1).all(dim=1)
    return square & (positions == positions.round()).flatten(1).all(dim=1)


def apply_to(chosen, function, images, parameters):
    """function(images, parameters) of the chosen pictures; the others stay."""
    if chosen.all():
        return function(images, parameters)
    index = chosen.nonzero().flatten()
    if len(index) == 0:
        return images
    there = sent(index, images.device)
    return images.index_copy(0, there, function(images[there], parameters[index]))


def sent(tensor, device, dtype=None):
    """On the device, without waiting for it."""
    return tensor.to(dtype or tensor.dtype).to(device, non_blocking=True)


def copy_pixels(images, positions):
    count, channels, height, width = images.shape
    x, y, _ = pixel_places(positions, height, width).round().long().unbind(dim=1)
    source = mirrored(y, height) * width + mirrored(x, width)                           # [N, H·W]
    source = sent(source, images.device)[:, None].expand(-1, channels, -1)
    return images.flatten(2).gather(2, source).reshape(images.shape)


def pixel_places(positions, height, width):
    """[N, 3, H·W]: (column, row, 1) of the place that each pixel shows."""
    rows, cols = torch.meshgrid(*(torch.arange(size, dtype=positions.dtype) for size in (height, width)),
                                indexing='ij')
    return positions @ torch.stack([cols, rows, torch.ones_like(rows)]).flatten(1)


def mirrored(index, size):
    """Whole positions folded into 0…size − 1 at the middles of the outermost pixels."""
    if size == 1:
        return torch.zeros_like(index)
    return (size - 1) - (index % (2 * (size - 1)) - (size - 1)).abs()


def mirror_pad(images, margin):
    """Adds a margin that mirrors the picture, of any width."""
    height, width = images.shape[2:]
    if margin < min(height, width):
        return F.pad(images, [margin] * 4, mode='reflect')
    rows, cols = (mirrored(torch.arange(-margin, size + margin, device=images.device), size)
                  for size in (height, width))
    return images[:, :, rows][:, :, :, cols]


def resample(images, positions, taps, delay):
    """Doubles the resolution, takes each point of the doubled result from there (bilinear), and halves it.

    `taps` [K] are orthonormal up to their sum, which is 1, so that what stays is given back inside
    the border; `delay` is their centre of mass.
    """
    height, width = images.shape[2:]
    last = len(taps) - 1
    margin = math.ceil(max(delay, last - delay) / 2)    # so that all of the picture is doubled
    # On a CPU, a dense matrix for each side of a small picture takes a quarter of a filter's time.
    dense = images.device.type == 'cpu' and max(height, width) <= 256
    x = double(images, taps, margin, dense)
    # As upfirdn2d counts them, point k of the doubled result is at pixel (k - delay)/2 of the result, and
    # point k of the doubled picture at pixel (k - delay + last)/2 - margin of the picture.
    relative = stretching(1 / max(width - 1, 1), 1 / max(height - 1, 1)) @ positions  # outermost pixels: 0, 1
    points = relative @ stretching(.5, .5) @ moving(-delay, -delay)
    grid = affine_grid(sent(points, x.device, x.dtype), 2 * height - 1 + last, 2 * width - 1 + last)
    grid = grid.sub_((grid / 2).round_(), alpha=2).abs_()       # mirrored beyond them, again and again
    # grid_sample counts from -1 to 1 between outer edges.
    sizes = torch.tensor([[width, height], [x.shape[3], x.shape[2]]], dtype=torch.float64)
    first = (2 * (2 * margin + delay - last) + 1) / sizes[1] - 1
    step = 4 * (sizes[0] - 1) / sizes[1]
    grid = grid.mul_(sent(step, x.device, x.dtype)).add_(sent(first, x.device, x.dtype))
    return halve(grid_sample_gradfix.grid_sample(x, grid), taps, dense)


def double(images, taps, margin, dense):
    """Mirrors a margin around the picture and doubles its resolution, as far as `taps` find pixels."""
    if not dense:
        return upfirdn2d.upfirdn2d(mirror_pad(images, margin), taps, up=2, gain=4)
    over_rows, over_cols = (doubling(taps, size, margin).to(images.dtype) for size in images.shape[2:])
    return over_rows @ (images @ over_cols.T)


def halve(images, taps, dense):
    if not dense:
        return upfirdn2d.upfirdn2d(images, taps, down=2, flip_filter=True)
    over_rows, over_cols = (spread_taps(taps, (length - len(taps)) // 2 + 1).to(images.dtype)
                            for length in images.shape[2:])
    return over_rows @ (images @ over_cols.T)


def doubling(taps, size, margin):
    """[2·(size + 2·margin) - K + 1, size]: what each point gets of each pixel, mirrored ones added."""
    padded = torch.arange(-margin, size + margin)
    points = spread_taps(2 * taps, len(padded)).T[len(taps) - 1:2 * len(padded)]
    return points.new_zeros([len(points), size]).index_add_(1, mirrored(padded, size), points)


def spread_taps(taps, count):
    """[count, 2·count - 2 + K]: the taps in each row, two columns on from row to row."""
    rows = taps.new_zeros([count, 2 * count - 2 + len(taps)])
    for tap, value in enumerate(taps):
        rows[range(count), range(tap, tap + 2 * count, 2)] = value
    return rows


def affine_grid(matrices, height, width):
    """[N, H, W, 2]: where the matrices [N, 3, 3] take (column, row, 1)."""
    cols = torch.arange(width, dtype=matrices.dtype, device=matrices.device)[:, None]
    rows = torch.arange(height, dtype=matrices.dtype, device=matrices.device)[:, None, None]
    along_x, along_y, offset = (column[:, None, None] for column in matrices[:, :2].unbind(dim=2))
    return along_x * cols + (along_y * rows + offset)


# ----- colours ----------------------------------------------------------------------------------------------


def scaling(factor):
    """[N, 4, 4]"""
    return matrices([[factor, 0, 0, 0], [0, factor, 0, 0], [0, 0, factor, 0], [0, 0, 0, 1]])


def turning_around(axis, angle):
    """[N, 4, 4]: rotation around a unit vector [3] (Rodrigues)."""
    x, y, z = axis.tolist()
    cos, sin = angle.cos(), angle.sin()
    rest = 1 - cos
    return matrices([[cos + x * x * rest, x * y * rest - z * sin, x * z * rest + y * sin, 0],
                     [y * x * rest + z * sin, cos + y * y * rest, y * z * rest - x * sin, 0],
                     [z * x * rest - y * sin, z * y * rest + x * sin, cos + z * z * rest, 0],
                     [0, 0, 0, 1]])


def recolour(images, colours):
    """Applies `colours` [N, 4, 4] to the first three channels; other channels stay.

    The first of fewer channels is a grey: what becomes of (g, g, g), averaged.
    """
    if (colours == torch.eye(4, dtype=colours.dtype)).all():
        return images
    colours = sent(colours[:, :3], images.device, images.dtype)
    count = 3 if images.shape[1] >= 3 else 1
    if count == 1:
        colours = torch.stack([colours[:, :, :3].sum(dim=2), colours[:, :, 3]], dim=2)
        colours = colours.mean(dim=1, keepdim=True)
    factors, offset = colours[:, :, :count], colours[:, :, count:]
    changed = torch.baddbmm(offset, factors, images[:, :count].flatten(2)).unflatten(2, images.shape[2:])
    return changed if images.shape[1] == count else torch.cat([changed, images[:, count:]], dim=1)


# ----- frequency bands --------------------------------------------------------------------------------------


def filter_bank(taps):
    """[4, 43]: filters of no delay for 0…π/8…π/4…π/2…π that add up to a single tap in the middle.

    `taps` [4]: an orthonormal low-pass filter H that sums to √2. |H|²/2 splits off the upper half of the
    frequencies, and again of what is left.
    """
    low = np.convolve(taps, taps[::-1]) / 2
    high = low * [-1, 1, -1, 1, -1, 1, -1]  # at distance k from the middle times (-1)^k: shifted by π
    bands = [np.ones(1)]
    for _ in range(3):
        coarser = []
        for band in bands:
            spread = np.zeros(2 * len(band) - 1)
            spread[::2] = band
            coarser.append(np.convolve(spread, low))
        bands = [*coarser, np.pad(high, (len(coarser[0]) - len(high)) // 2)]
    return np.stack(bands)


def amplify_bands(images, gains, bank):
    """Multiplies the frequency bands of each picture by `gains` [N, 4], along rows and along columns."""
    changed = (gains != 1).any(dim=1)
    return apply_to(changed, functools.partial(filter_each, bank=bank), images, gains)


def filter_each(images, gains, bank):
    """Filters along both axes, mirrored beyond the border."""
    kernels = sent(gains, images.device, images.dtype) @ bank.to(images.dtype)     # [N, 43]
    count, channels, height, width = images.shape
    margin = kernels.shape[1] // 2
    x = mirror_pad(images, margin).flatten(0, 1)[None]
    kernels = kernels.repeat_interleave(channels, dim=0)[:, None]
    x = conv2d_gradfix.conv2d(x, kernels[:, :, None, :], groups=count * channels)
    x = conv2d_gradfix.conv2d(x, kernels[:, :, :, None], groups=count * channels)
    return x.reshape(images.shape)


# ----- damage -----------------------------------------------------------------------------------------------


def add_noise(images, std):
    """Adds to each picture normal noise of its own standard deviation `std` [N]."""
    noise = randn(list(images.shape), dtype=images.dtype, device=images.device)
    if not std.any():       # drawn all the same: what is drawn next must not depend on who is in this batch
        return images
    return images + noise * sent(std, images.device, images.dtype)[:, None, None, None]


def cut_out(images, size, x, y):
    """Sets to zero a rectangle of `size` [N] times the picture's, around (x, y) [N] of it."""
    inside = []
    for length, centre in ((images.shape[2], y), (images.shape[3], x)):
        place = (torch.arange(length, dtype=centre.dtype) + .5) / length
        inside.append(sent((place - centre[:, None]).abs() < size[:, None] / 2, images.device))
    rows, cols = inside
    return images.masked_fill((rows[:, :, None] & cols[:, None, :])[:, None], 0)
