"""The U-Net of Ho, Jain and Abbeel (2020), which takes its positions from a canvas as the generator does.

Encodings are added (Eq. 3) after every residual block of the down path, so that the skips carry them, and
after every upsampling convolution of the up path, each with a γ of its own (Sec. 4.5).
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from stylegan2_mspe import pe as encodings
from stylegan2_mspe.ops import native, norm_silu
from torch_utils import persistence


@persistence.persistent_class
class UNet(nn.Module):
    """Says of a noisy picture what is noise in it, as Diffusion.output asks: ε or v.

    img_resolution: pixels, square, divisible by 2 ** (levels - 1). channels: at the finest level;
    multipliers: of them at each level, finest first. blocks: residual blocks of each level on the down path;
    the up path has one more at each. attention: resolutions with self-attention after each block. groups: of
    the normalisation. pe: plan, as of the generator; pe_kwargs: options of its encodings.
    """

    def __init__(self, *, img_resolution: int, img_channels: int, channels: int = 128,
                 multipliers: Sequence[int] = (1, 2, 2, 2), blocks: Sequence[int] = (2, 2, 2, 2),
                 attention: Sequence[int] = (8,), dropout: float = 0.1, groups: int = 32,
                 pe: str = 'none', pe_kwargs: dict | None = None):
        super().__init__()
        levels = plan_levels(img_resolution, [channels * each for each in multipliers], blocks, attention, pe)
        check(img_resolution, levels, groups)
        self.img_resolution, self.img_channels, self.pe = img_resolution, img_channels, pe
        self.coarsest, self.channels = levels[-1].resolution, channels
        make = Maker(img_resolution, self.coarsest, channels * 4, dropout, groups, pe_kwargs or {})
        self.time1 = nn.Linear(channels, channels * 4)
        self.time2 = nn.Linear(channels * 4, channels * 4)
        self.conv_in = nn.Conv2d(img_channels, levels[0].width, 3, padding=1)
        self.down, skips = down_path(levels, make)
        width = levels[-1].width
        self.middle = nn.ModuleList([make.block(width, width), Attention(width, groups),
                                     make.block(width, width)])
        self.up = up_path(levels, make, skips)
        self.norm_out = nn.GroupNorm(groups, levels[0].width)
        self.conv_out = zeroed(nn.Conv2d(levels[0].width, img_channels, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor, canvas: encodings.Place = None) -> torch.Tensor:
        """ε or v [N, C, H, W] of x [N, C, H, W] at the times t [N], 0 … T - 1.

        canvas: what x shows, one or one per sample; H and W are its `cells`. Raises ValueError for others.
        """
        encodings.check_place(canvas, len(x))
        size = self.cells(canvas)
        if tuple(x.shape[1:]) != (self.img_channels, *size):
            raise ValueError(f'pictures of shape {list(x.shape[1:])}: expected '
                             f'{[self.img_channels, *size]} on this canvas')
        time = time_embedding(t, self.channels).to(self.time1.weight.dtype)
        time = F.silu(self.time2(F.silu(self.time1(time))))
        if native.enabled and not x.is_cuda:    # what a CPU prefers; it lasts to the end
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.conv_in(x)
        skips = [x]
        for part in self.down:
            x = part(x, time, canvas) if isinstance(part, Stage) else part(x)
            skips.append(x)
        x = self.middle[0](x, time)
        x = self.middle[2](self.middle[1](x), time)
        for part in self.up:
            if isinstance(part, Stage):
                x = torch.cat([x, skips.pop()], dim=1)
            x = part(x, time, canvas)
        return self.conv_out(norm_silu(x, self.norm_out))

    def cells(self, canvas: encodings.Place = None) -> tuple[int, int]:
        """Height and width of what is computed for a canvas: whole cells of the coarsest level."""
        return encodings.cells(canvas, self.img_resolution, self.img_resolution, self.coarsest)


# ----- the plan ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Level:
    """What happens at one resolution."""
    resolution: int
    width: int                  # channels
    blocks: int                 # residual blocks on the down path
    attends: bool
    encoding: str | None        # name of what is added there


def plan_levels(img_resolution: int, widths: Sequence[int], blocks: Sequence[int], attention: Sequence[int],
                pe: str) -> list[Level]:
    """The levels, finest first. Plans count them from the coarsest."""
    if len(blocks) != len(widths):
        raise ValueError(f'blocks of {len(blocks)} levels and channels of {len(widths)}: expected as many')
    plan, coarsest = encodings.get_plan(pe), len(widths) - 1
    return [Level(img_resolution >> index, width, count, img_resolution >> index in attention,
                  level_encoding(plan, coarsest - index))
            for index, (width, count) in enumerate(zip(widths, blocks))]


def level_encoding(plan: encodings.Plan, level: int) -> str | None:
    """Name of the encoding at level 0 (coarsest), 1, 2 …, or None; a U-Net needs no learned constant."""
    if level == 0:
        return None if plan.input == encodings.LEARNED else plan.input
    return plan.encoding if plan.added(level) else None


def check(img_resolution: int, levels: Sequence[Level], groups: int) -> None:
    """Raises ValueError for a network that cannot be built."""
    coarsen = 2 ** (len(levels) - 1)
    if img_resolution < coarsen or img_resolution % coarsen:
        raise ValueError(f'pictures of {img_resolution} pixels: expected a multiple of {coarsen}, '
                         f'for a U-Net of {len(levels)} levels')
    for level in levels:
        if level.width < 1 or level.width % groups:
            raise ValueError(f'{level.width} channels at {level.resolution}x{level.resolution}: expected a '
                             f'multiple of {groups}, the groups of the normalisation')


@dataclasses.dataclass(frozen=True)
class Maker:
    """Makes parts with the options that all of them share."""
    img_resolution: int
    coarsest: int
    time_features: int
    dropout: float
    groups: int
    options: dict               # of the encodings

    def block(self, inputs: int, outputs: int) -> 'ResidualBlock':
        return ResidualBlock(inputs, outputs, self.time_features, self.dropout, self.groups)

    def position(self, level: Level) -> 'Position | None':
        return level.encoding and Position(level.width, level.resolution, self.img_resolution, self.coarsest,
                                           level.encoding, self.options)

    def stage(self, inputs: int, level: Level, positioned: bool) -> 'Stage':
        attention = Attention(level.width, self.groups) if level.attends else nn.Identity()
        return Stage(self.block(inputs, level.width), self.position(level) if positioned else None, attention)


def down_path(levels: Sequence[Level], make: Maker) -> tuple[nn.ModuleList, list[int]]:
    """From the finest to the coarsest level, and the channels of each skip, conv_in's first."""
    parts, widths = nn.ModuleList(), [levels[0].width]
    for level in levels:
        if level is not levels[0]:
            parts.append(nn.Conv2d(widths[-1], widths[-1], 3, stride=2, padding=1))
            widths.append(widths[-1])
        for _ in range(level.blocks):
            parts.append(make.stage(widths[-1], level, positioned=True))
            widths.append(level.width)
    return parts, widths


def up_path(levels: Sequence[Level], make: Maker, skips: Sequence[int]) -> nn.ModuleList:
    """Back to the finest level; every block takes one of the skips, the last first."""
    parts, skips, width = nn.ModuleList(), list(skips), levels[-1].width
    for level in reversed(levels):
        if level is not levels[-1]:
            parts.append(Upsample(width, level.width, make.position(level)))
            width = level.width
        for _ in range(level.blocks + 1):
            parts.append(make.stage(width + skips.pop(), level, positioned=False))
            width = level.width
    assert not skips
    return parts


# ----- the parts --------------------------------------------------------------------------------------------


def time_embedding(t: torch.Tensor, channels: int) -> torch.Tensor:
    """[N, channels]: sines, then cosines, of t times frequencies from 1 to 1/10000 (Ho et al., App. B)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) / max(half - 1, 1) * torch.arange(half, device=t.device))
    angles = t.to(torch.float32)[:, None] * frequencies
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, channels % 2))


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with weights of zero: what it is the last of begins as an identity."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Position(nn.Module):
    """Adds γ times the encoding of one level."""

    def __init__(self, channels: int, resolution: int, img_resolution: int, coarsest: int, name: str,
                 options: dict):
        super().__init__()
        encodings.check_options(name, channels, options)
        self.channels, self.resolution, self.img_resolution = channels, resolution, img_resolution
        self.coarsest, self.name, self.options = coarsest, name, dict(options)
        self.gamma = nn.Parameter(torch.ones([]))

    def forward(self, x: torch.Tensor, canvas: encodings.Place) -> torch.Tensor:
        """x [N, C, H, W] of this level."""
        encoding = encodings.encode(canvas, self.name, self.channels, self.resolution, self.img_resolution,
                                    self.options, x.dtype, x.device, self.coarsest)
        return encodings.inject(x, encoding, self.gamma)


class ResidualBlock(nn.Module):
    """Two convolutions after normalisation and SiLU; the time's features are added between them."""

    def __init__(self, inputs: int, outputs: int, time_features: int, dropout: float, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_features, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """x [N, inputs, H, W], time [N, time_features] -> [N, outputs, H, W]."""
        h = self.conv1(norm_silu(x, self.norm1)) + self.time(time)[:, :, None, None]
        return self.skip(x) + self.conv2(self.dropout(norm_silu(h, self.norm2)))


class Attention(nn.Module):
    """Self-attention of one head between all places."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, channels * 3, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [N, C, H, W] -> [N, C, H, W]."""
        # [N, 1, H·W, C] each: with an axis for the only head, and the numbers of a place side by side, torch
        # does it without a matrix of all pairs.
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).contiguous()[:, None].chunk(3, dim=3)
        found = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.out(found.transpose(1, 2).reshape(x.shape))


class Stage(nn.Module):
    """A residual block, the encoding of its level if that has one, and attention if that has some."""

    def __init__(self, block: ResidualBlock, position: Position | None, attention: nn.Module):
        super().__init__()
        self.block, self.position, self.attention = block, position, attention

    def forward(self, x: torch.Tensor, time: torch.Tensor, canvas: encodings.Place) -> torch.Tensor:
        x = self.block(x, time)
        return self.attention(x if self.position is None else self.position(x, canvas))


class Upsample(nn.Module):
    """Every cell becomes four; a convolution to the next level's channels; the encoding of that level."""

    def __init__(self, inputs: int, outputs: int, position: Position | None):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.position = position

    def forward(self, x: torch.Tensor, time: torch.Tensor, canvas: encodings.Place) -> torch.Tensor:
        x = self.conv(F.interpolate(x, scale_factor=2, mode='nearest'))
        return x if self.position is None else self.position(x, canvas)
