"""What a training run is made of: every value once, resolved, and the presets they come from.

Nothing here imports torch, so that a command line can offer the presets before anything heavy is loaded.
"""

import dataclasses
import difflib
from typing import NamedTuple


class Preset(NamedTuple):
    """One row of PRESETS. `None` means: see the column's comment."""
    ref_gpus: int               # the batch is split over this many devices; it fixes the images per pass
    kimg: float                 # length, thousands of real images shown to the discriminator
    batch: int                  # images per step, all devices together
    mbstd: int                  # group of the minibatch standard deviation
    cbase: int                  # channels at resolution r: min(cbase // r, cmax)
    cmax: int
    z: int                      # latent and intermediate latent widths, z = w
    lr: float                   # learning rate of both networks, before the lazy-regularisation correction
    gamma: float                # R1 weight
    ema: float                  # half-life of the averaged generator, kimg
    ramp: float | None          # the half-life is at most this share of the training so far; None = no ramp
    maps: int                   # layers of the mapping network
    pl: float                   # path-length weight; 0 = the term and its phase are absent
    pe: str                     # plan of the positional encoding
    mixing: float = .9          # probability of style mixing
    d_arch: str = 'resnet'      # architecture of the discriminator
    fp16_d: int = 4             # finest levels of D that compute in half precision (G: always 4)
    mirror: bool = False        # horizontal flips
    aug: str = 'ada'            # augmentation unless --aug says otherwise
    shift: bool = False         # random shifts
    border: str = 'zero'        # of G's pictures: zero = padding, plane = none
    snap: int = 50              # ticks between snapshots


C3 = dict(aug='noaug', mirror=True)                 # what the paper's three share
ORIG = dict(mixing=0, d_arch='orig')               # what cifar has of its own
CPU = dict(aug='noaug', fp16_d=3, snap=5, mixing=0)     # what the small ones share
BEYOND = dict(shift=True, border='plane')           # what is not the paper's
C3P, CPUP = C3 | BEYOND, CPU | BEYOND               # and that with it: plus
ROUND = 'mspe-periodic'                             # and its encodings

# StyleGAN2-ADA's but auto, the paper's, and networks that two CPU cores can train at 64 pixels. These keep
# D's 8x8 and 4x4 blocks in float32, mix no styles and take many steps: with γ = 4 they draw one shape for the
# first 4,000 steps, and digits of all kinds soon after; with γ = 0.5 from the start they stay at one.
PRESETS = {
    # name                gpus    kimg bat  mb  cbase cmax    z     lr gamma ema  ramp map pl pe
    'stylegan2':      Preset(8,  25000, 32,  4, 32768, 512, 512,  .002,  10,  10, None, 8, 2, 'none'),
    'paper256':       Preset(8,  25000, 64,  8, 16384, 512, 512, .0025,   1,  20, None, 8, 2, 'none'),
    'paper512':       Preset(8,  25000, 64,  8, 32768, 512, 512, .0025,  .5,  20, None, 8, 2, 'none'),
    'paper1024':      Preset(8,  25000, 32,  4, 32768, 512, 512,  .002,   2,  10, None, 8, 2, 'none'),
    'cifar':          Preset(2, 100000, 64, 32, 32768, 512, 512, .0025, .01, 500,  .05, 2, 0, 'none', **ORIG),
    'mspe':           Preset(8,   6400, 32,  4, 32768, 512, 512,  .002,  10,  10, None, 8, 0, 'mspe', **C3),
    'mspe-plus':      Preset(8,   6400, 32,  4, 32768, 512, 512,  .002,  10,  10, None, 8, 0, ROUND, **C3P),
    'sspe':           Preset(8,   6400, 32,  4, 32768, 512, 512,  .002,  10,  10, None, 8, 0, 'sspe', **C3),
    'baseline':       Preset(8,   6400, 32,  4, 32768, 512, 512,  .002,  10,  10, None, 8, 0, 'none', **C3),
    'mspe-small':     Preset(1,    300, 16,  8,  2048,  64,  64,  .004,   4,   5,  .05, 2, 0, 'mspe', **CPU),
    'sspe-small':     Preset(1,    300, 16,  8,  2048,  64,  64,  .004,   4,   5,  .05, 2, 0, 'sspe', **CPU),
    'baseline-small': Preset(1,    300, 16,  8,  2048,  64,  64,  .004,   4,   5,  .05, 2, 0, 'none', **CPU),
    'mspe-plus-small': Preset(1,   300, 16,  8,  2048,  64,  64,  .004,   4,   5,  .05, 2, 0, ROUND, **CPUP),
}  # fmt: skip

PRESET_NAMES = ('auto', *PRESETS)


def preset(name: str, *, gpus: int, resolution: int) -> Preset:
    """The row of that name; `auto` is worked out. Raises ValueError with near names for an unknown one."""
    if name == 'auto':
        return auto_preset(gpus, resolution)
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESET_NAMES, n=3, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}?' if near else f'expected one of {", ".join(PRESET_NAMES)}'
        raise ValueError(f'--cfg={name} is not a preset; {hint}')
    return PRESETS[name]


def auto_preset(gpus: int, resolution: int) -> Preset:
    """StyleGAN2-ADA's rules of thumb for a dataset seen for the first time."""
    batch = max(min(gpus * min(4096 // resolution, 32), 64), gpus)  # about constant memory
    return PRESETS['stylegan2']._replace(
        ref_gpus=gpus,
        batch=batch,
        mbstd=min(batch // gpus, 4),
        cbase=32768 if resolution >= 512 else 16384,
        lr=.002 if resolution >= 1024 else .0025,
        gamma=.0002 * resolution ** 2 / batch,
        ema=batch * 10 / 32,
        ramp=.05,
        maps=2,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Every value a run depends on, as training_options.json records it."""

    # What is shown.
    training_set_kwargs: dict           # arguments of the dataset, class_name among them
    data_name: str                      # name of the dataset, first part of the run's
    resolution: int                     # pixels, square, a power of two
    img_channels: int                   # 1, 3 or 4
    label_dim: int = 0                  # 0 = unconditional

    # Networks.
    cfg: str = 'auto'                   # name of the preset
    pe: str = 'none'                    # plan of the positional encoding, see pe.registry
    border: str = 'zero'                # of G's pictures: zero = padding, plane = none, as inside larger ones
    z_dim: int = 512                    # latent
    w_dim: int = 512                    # intermediate latent
    map_depth: int = 8                  # layers of the mapping network
    channel_base: int = 32768           # channels at resolution r: min(channel_base // r, channel_max)
    channel_max: int = 512
    g_fp16_res: int = 4                 # finest levels in half precision, 0 = float32 throughout
    d_fp16_res: int = 4
    conv_clamp: float | None = 256      # bound of activations where half precision is in use
    d_architecture: str = 'resnet'      # resnet, skip, orig
    mbstd_group: int = 4
    freezed: int = 0                    # layers of D that keep their weights
    nhwc: bool = False                  # channels-last memory for the half-precision levels

    # Optimisation.
    kimg: float = 25000                 # length, thousands of images
    batch: int = 32                     # images per step, all devices together
    batch_gpu: int = 32                 # images per pass; their gradients are accumulated
    num_gpus: int = 1
    lr: float = .002
    betas: tuple[float, float] = (0., .99)
    eps: float = 1e-8
    gamma: float = 10                   # R1 weight
    d_reg_interval: int = 16            # steps between R1 terms
    g_reg_interval: int = 4             # steps between path-length terms; scales G's lr also without them
    pl_weight: float = 2                # 0 = no path-length phase
    style_mixing: float = .9            # probability
    ema_kimg: float = 10                # half-life of the averaged generator
    ema_ramp: float | None = None       # share of the training so far that bounds it; None = no ramp
    random_resize: tuple[int, ...] = () # sizes G is rendered at, one drawn per step; () = the trained one
    random_shift: bool = False          # G's content is moved by a shift drawn per step, rolled back for D
    random_margin: float = 0            # part of G's pictures that are drawn without a border (plane mode)
    aug: str = 'noaug'                  # noaug, ada = a strength that adapts, fixed
    augpipe: str = 'bgc'                # which transformations, a name of augpipes.PIPES
    augment_p: float = 0                # probability of each transformation; of ada at the start
    ada_target: float = .6              # mean sign of D's logits of training pictures that ada aims at
    ada_interval: int = 4               # steps between its moves
    ada_kimg: float = 500               # in which it could take the probability from 0 to 1
    resume: str | None = None           # network file the weights start from

    # Run.
    seed: int = 0
    device: str = 'cpu'                 # cpu, cuda
    tick: float = 4                     # kimg between status lines
    snap: int = 50                      # ticks between snapshots
    workers: int = 3                    # processes that read the dataset; 0 = this one
    metrics: tuple[str, ...] = ()
    stop_on_nan: bool = False           # end the run, saved, at a NaN or a collapse
    bench: bool = True                  # cuDNN may time its algorithms
    allow_tf32: bool = False
    desc: str = ''                      # run folder: <id>-<desc>


def from_json(kind: type, values: dict):
    """A config of the dataclass `kind`, back from `dataclasses.asdict` by way of JSON. Raises ValueError for
    anything else.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    missing = sorted(name for name, field in fields.items()
                     if name not in values and field.default is dataclasses.MISSING)
    if unknown or missing:
        raise ValueError(f'training options with unknown entries {unknown[:3]} and without {missing[:3]}')
    tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return kind(**{**values, **tuples})


def generator_kwargs(config: TrainingConfig) -> dict:
    """Arguments of networks.Generator."""
    own = dict(fp16_channels_last=True) if config.nhwc else {}
    if config.border != 'zero':         # StyleGAN2-ADA's networks know of none
        own['border'] = config.border
    return dict(
        z_dim=config.z_dim, c_dim=config.label_dim, w_dim=config.w_dim,
        img_resolution=config.resolution, img_channels=config.img_channels,
        mapping_kwargs=dict(num_layers=config.map_depth),
        synthesis_kwargs=dict(
            channel_base=config.channel_base, channel_max=config.channel_max, num_fp16_res=config.g_fp16_res,
            conv_clamp=config.conv_clamp, pe=config.pe, **own))


def discriminator_kwargs(config: TrainingConfig) -> dict:
    """Arguments of networks.Discriminator."""
    block_kwargs = dict(freeze_layers=config.freezed) if config.freezed else {}
    if config.nhwc:
        block_kwargs['fp16_channels_last'] = True
    return dict(
        c_dim=config.label_dim, img_resolution=config.resolution, img_channels=config.img_channels,
        architecture=config.d_architecture, channel_base=config.channel_base, channel_max=config.channel_max,
        num_fp16_res=config.d_fp16_res, conv_clamp=config.conv_clamp,
        block_kwargs=block_kwargs, epilogue_kwargs=dict(mbstd_group_size=config.mbstd_group))
