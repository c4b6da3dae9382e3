"""What a training of a diffusion model is made of: every value once, resolved, and the presets.

Nothing here imports torch, so that a command line can offer the presets before anything heavy is loaded.
"""

import dataclasses
from typing import NamedTuple


class Preset(NamedTuple):
    """One row of PRESETS."""
    kimg: float                 # length, thousands of pictures
    batch: int                  # pictures per step, all devices together
    channels: int               # at the finest level
    multipliers: tuple[int, ...]    # of them at each level, finest first
    blocks: tuple[int, ...]     # residual blocks of each level on the down path; one more on the up path
    groups: int                 # of the normalisation
    dropout: float
    lr: float
    ema: float                  # half-life of the averaged weights, kimg
    ramp: float | None          # ... at most this share of the training so far; None = no ramp
    snap: int                   # ticks between snapshots
    output: str = 'noise'       # of the network: noise or velocity, see diffusion.Diffusion
    debias: bool = False        # weigh the loss of every time by √((1 - ā) / ā) (Yu et al. 2023)


# The paper's (C.2; width, depth and what it leaves open are Ho et al.'s of CIFAR), and one for two CPU cores:
# most of its work is at 32x32 and below. With the paper's loss that one had learnt nothing of t > 600 after
# 14,000 steps; with the last two columns it has after 2,000.
PRESETS = {
    # name                kimg bat   ch  multipliers   blocks        grp drop  lr    ema  ramp snap
    'ddpm64':       Preset(9600, 16, 128, (1, 2, 2, 2), (2, 2, 2, 2), 32, .1, 2e-4, 110, .05, 50),
    'ddpm64-small': Preset( 500, 16,  16, (1, 2, 4, 4), (0, 1, 1, 1),  8, 0., 1e-3,  10, .05, 5,
                           'velocity', True),
}  # fmt: skip
PRESET_NAMES = tuple(PRESETS)
COARSEST = 4                    # cells a side that the coarsest level has at least; attention is there


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """Every value a run depends on, as training_options.json records it."""

    # What is shown.
    training_set_kwargs: dict           # arguments of the dataset, class_name among them
    data_name: str                      # name of the dataset, first part of the run's
    resolution: int                     # pixels, square, a power of two
    img_channels: int                   # 1, 3 or 4

    # The network.
    cfg: str                            # name of the preset
    pe: str                             # plan of the positional encoding, see pe.registry
    channels: int
    multipliers: tuple[int, ...]
    blocks: tuple[int, ...]
    attention: tuple[int, ...]          # resolutions
    groups: int
    dropout: float

    # The process.
    steps: int = 1000                   # T
    beta_first: float = 1e-4
    beta_last: float = .02
    variance: str = 'beta'              # of the ancestral sampler
    output: str = 'noise'               # of the network: noise, velocity

    # Optimisation.
    kimg: float
    batch: int                          # pictures per step, all devices together
    batch_gpu: int                      # pictures per pass; their gradients are accumulated
    num_gpus: int = 1
    lr: float
    betas: tuple[float, float] = (0., .99)
    eps: float = 1e-8
    clip: float = 1.                    # largest norm of the gradient of a step
    debias: bool = False                # weigh the loss of a time by √((1 - ā) / ā)
    ema_kimg: float
    ema_ramp: float | None = None

    # Run.
    seed: int = 0
    device: str = 'cpu'                 # cpu, cuda
    fp32: bool = False                  # no half precision
    tick: float = 4                     # kimg between status lines
    snap: int = 50                      # ticks between snapshots
    workers: int = 1                    # processes that read the dataset; 0 = this one
    stop_on_nan: bool = False
    bench: bool = True                  # cuDNN may time its algorithms
    allow_tf32: bool = False
    desc: str = ''                      # run folder: <id>-<desc>


def unet_kwargs(config: DiffusionConfig) -> dict:
    """Arguments of unet.UNet."""
    return dict(img_resolution=config.resolution, img_channels=config.img_channels, channels=config.channels,
                multipliers=list(config.multipliers), blocks=list(config.blocks),
                attention=list(config.attention), dropout=config.dropout, groups=config.groups, pe=config.pe)


def diffusion_kwargs(config: DiffusionConfig) -> dict:
    """Arguments of diffusion.Diffusion."""
    return dict(steps=config.steps, first=config.beta_first, last=config.beta_last, variance=config.variance,
                output=config.output)
