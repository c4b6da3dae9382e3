"""From what a user asked for to one checked TrainingConfig, and the name of its run.

`options` holds only what was asked for, by the names of the command line with `_` for `-`; a value that a
preset sets is therefore never mistaken for a wish, and never enters the run's name. Every refusal is a
ValueError of one sentence.
"""

import dataclasses
import os

from stylegan2_mspe.augpipes import PIPES
from stylegan2_mspe.config import Preset, TrainingConfig, preset

# Networks to start from by name, as StyleGAN2-ADA publishes them.
PRETRAINED_URL = ('https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/'
                  'transfer-learning-source-nets/')
PRETRAINED = {
    'ffhq256':     'ffhq-res256-mirror-paper256-noaug.pkl',
    'ffhq512':     'ffhq-res512-mirror-stylegan2-noaug.pkl',
    'ffhq1024':    'ffhq-res1024-mirror-stylegan2-noaug.pkl',
    'celebahq256': 'celebahq-res256-mirror-paper256-kimg100000-ada-target0.5.pkl',
    'lsundog256':  'lsundog-res256-paper256-kimg100000-noaug.pkl',
}  # fmt: skip
AUGPIPES = tuple(PIPES)
PLANS = ('none', 'sspe', 'mspe', 'mspe-periodic')
DEFAULT_METRIC = 'fid50k_full'


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What the config needs to know of a dataset, before the subset and the flips."""
    name: str
    size: int                           # pictures
    channels: int
    resolution: int
    label_dim: int                      # 0 = it has no labels


def check_run(options: dict) -> None:
    """Refuses numbers and names that no training takes."""
    asked = options.get
    for name, least in dict(gpus=1, snap=1, seed=0, subset=1, gamma=0, batch=1, batch_gpu=1, cbase=1, cmax=1,
                            map_depth=1, freezed=0, workers=1).items():
        if asked(name) is not None and not least <= asked(name) < float('inf'):
            raise ValueError(f'{flag(name)}={asked(name)}: expected at least {least}')
    for name in ('kimg', 'tick'):
        if asked(name) is not None and not 0 < asked(name) < float('inf'):
            raise ValueError(f'{flag(name)}={asked(name)}: expected thousands of images, above 0')
    if not 0 <= (asked('random_margin') or 0) <= 1:
        raise ValueError(f'--random-margin={asked("random_margin")}: expected a part of the pictures, 0 to 1')
    if (asked('seed') or 0) >= 2 ** 32:
        raise ValueError(f'--seed={asked("seed")}: expected at most {2 ** 32 - 1}')
    if any(character in '/\\\0' or not character.isprintable() for character in asked('desc') or ''):
        raise ValueError(f'--desc={asked("desc")!r}: expected a part of a folder name, without slashes')
    if not asked('data'):
        raise ValueError('--data is missing: expected a dataset folder, a zip, or demo')
    gpus = asked('gpus') or 1
    if gpus & (gpus - 1):
        raise ValueError(f'--gpus={gpus}: expected a power of two')


def check(options: dict) -> None:
    """Refuses what can be refused without looking at the dataset."""
    check_run(options)
    _check_augmentation(options)
    if options.get('metrics'):
        from stylegan2_mspe.metrics.registry import parse
        for name in options['metrics']:
            parse(name)


def _check_augmentation(options: dict) -> None:
    aug, p, target, cfg = (options.get(name) for name in ('aug', 'p', 'target', 'cfg'))
    cfg = cfg or 'auto'
    if p is not None and (aug != 'fixed' or not 0 <= p <= 1):
        raise ValueError(f'--p={p:g}: expected a probability from 0 to 1, together with --aug=fixed')
    if aug == 'fixed' and p is None:
        raise ValueError('--aug=fixed: expected --p with it, a probability from 0 to 1')
    if target is not None and (aug not in (None, 'ada') or not 0 <= target <= 1):
        raise ValueError(f'--target={target:g}: expected a value from 0 to 1, with --aug=ada')
    default = preset(cfg, gpus=1, resolution=256).aug     # no preset's depends on the resolution
    for name, expected in dict(target='--aug=ada', augpipe='--aug=ada or --aug=fixed').items():
        if options.get(name) is not None and (aug or default) == 'noaug':
            found = '--aug=noaug' if aug else f'--cfg={cfg}, which does not augment'
            raise ValueError(f'{flag(name)}={options[name]}: found {found}, expected {expected} with it')


def resolve(options: dict, dataset: DatasetInfo, device: str = 'cpu') -> TrainingConfig:
    """The config of a run on `device`, checked throughout.

    Raises ValueError for options that contradict each other or the dataset.
    """
    check(options)
    row = preset(options.get('cfg', 'auto'), gpus=options.get('gpus', 1), resolution=dataset.resolution)

    def given(name, otherwise):
        return otherwise if options.get(name) is None else options[name]

    gpus, batch, batch_gpu = split_batch(options, row)
    resumed = network_source(options.get('resume'))
    fp32 = given('fp32', False)
    config = TrainingConfig(
        training_set_kwargs=_training_set_kwargs(options, row, dataset),
        data_name=dataset.name, resolution=dataset.resolution, img_channels=dataset.channels,
        label_dim=dataset.label_dim if given('cond', False) else 0,
        cfg=options.get('cfg', 'auto'), pe=given('pe', row.pe), border=given('border', row.border),
        z_dim=row.z, w_dim=row.z, map_depth=given('map_depth', row.maps),
        channel_base=given('cbase', row.cbase), channel_max=given('cmax', row.cmax),
        d_architecture=row.d_arch, mbstd_group=row.mbstd,
        g_fp16_res=0 if fp32 else 4, d_fp16_res=0 if fp32 else row.fp16_d, conv_clamp=None if fp32 else 256,
        freezed=given('freezed', 0), nhwc=given('nhwc', False),
        kimg=given('kimg', row.kimg), batch=batch, batch_gpu=batch_gpu, num_gpus=gpus, lr=row.lr,
        gamma=given('gamma', row.gamma), pl_weight=row.pl, style_mixing=row.mixing, ema_kimg=row.ema,
        ema_ramp=None if resumed else row.ramp, random_resize=tuple(given('random_resize', ())),
        random_shift=given('random_shift', row.shift), random_margin=given('random_margin', 0.),
        aug=given('aug', row.aug), augpipe=given('augpipe', 'bgc'), augment_p=given('p', 0.),
        ada_target=given('target', .6), ada_kimg=100 if resumed else 500,
        resume=resumed, seed=given('seed', 0), device=device, tick=given('tick', 4),
        snap=given('snap', row.snap), metrics=given('metrics', () if device == 'cpu' else (DEFAULT_METRIC,)),
        stop_on_nan=given('stop_on_nan', False), workers=given('workers', 3),
        bench=not given('nobench', False), allow_tf32=given('allow_tf32', False),
        desc=describe(options, dataset.name))
    check_shapes(config)
    return config


def warnings(options: dict, dataset: DatasetInfo) -> list[str]:
    """What a default leaves undone that a user may have counted on, a sentence each."""
    found = []
    if dataset.label_dim and options.get('cond') is None:
        found.append(f'{dataset.name} has labels ({dataset.label_dim}), which are not used: --cond=1 trains '
                     'with them, --cond=0 is silent.')
    return found


def prepare(config: TrainingConfig, given: dict) -> tuple[TrainingConfig, list[str]]:
    """The config with the metrics that can be computed on this machine, and what there is to say of them.

    given: the options that were asked for. Raises ValueError where some were asked for and can't be.
    """
    from stylegan2_mspe.metrics.available import require

    if given.get('metrics') is not None:
        require(config.metrics)
        return config, []
    if config.device == 'cpu':
        return config, [f'{DEFAULT_METRIC}, the default of --metrics, would take hours for each snapshot on '
                        'a CPU and is left out; --metrics=none leaves it out silently.']
    try:
        require(config.metrics)
    except ValueError as error:
        return dataclasses.replace(config, metrics=()), [f'{error}; training without metrics.']
    return config, []


def split_batch(options: dict, row: Preset) -> tuple[int, int, int]:
    """Devices, images per step, and images per pass on one device."""
    gpus = options.get('gpus') or 1
    batch = options.get('batch') or row.batch
    own = share_of_device(batch, gpus)
    if options.get('batch_gpu'):
        batch_gpu = options['batch_gpu']
        if own % batch_gpu:
            raise ValueError(f'--batch-gpu={batch_gpu}: expected a divisor of {own}, the images per device')
    else:
        batch_gpu = own if options.get('batch') else min(own, row.batch // row.ref_gpus)
    group = min(row.mbstd, batch_gpu)
    if batch_gpu % group:
        name = 'batch_gpu' if options.get('batch_gpu') else 'batch'
        raise ValueError(f'{flag(name)}={options.get(name) or batch}: gives {batch_gpu} images per pass, '
                         f'expected a multiple of {group}, the group of the minibatch standard deviation')
    return gpus, batch, batch_gpu


def share_of_device(batch: int, gpus: int) -> int:
    """Images per step on one device. Raises ValueError where they can't be shared out."""
    if batch % gpus:
        raise ValueError(f'--batch={batch}: expected a multiple of --gpus={gpus}')
    return batch // gpus


def _training_set_kwargs(options: dict, row: Preset, dataset: DatasetInfo) -> dict:
    """Arguments that open the dataset again, with the subset, labels and flips asked for."""
    from stylegan2_mspe.dataset import dataset_kwargs

    cond, subset = bool(options.get('cond')), options.get('subset')
    if cond and not dataset.label_dim:
        raise ValueError(f'--cond=1: found no labels in {options["data"]}, expected them in its dataset.json')
    if subset is not None and subset > dataset.size:
        raise ValueError(f'--subset={subset}: found {dataset.size} pictures in {options["data"]}')
    mirror = row.mirror if options.get('mirror') is None else options['mirror']
    return dataset_kwargs(
        options['data'], resolution=dataset.resolution, max_size=subset or dataset.size, use_labels=cond,
        xflip=bool(mirror), random_seed=options.get('seed') or 0)


def network_source(resume: str | None) -> str | None:
    """The file or URL that --resume names, None for `noresume` and nothing."""
    if resume in (None, '', 'noresume'):
        return None
    if resume in PRETRAINED:
        return PRETRAINED_URL + PRETRAINED[resume]
    if os.path.isdir(resume):
        raise ValueError(f'--resume={resume}: found a folder, expected a network file such as '
                         'network-snapshot-*.pkl, or --resume=latest, which goes on with the newest run')
    if '://' not in resume and not os.path.isfile(resume):
        names = ', '.join(['noresume', 'latest', *PRETRAINED])
        raise ValueError(f'--resume={resume}: no such file, expected a network file, a URL or one of {names}')
    return resume


def check_shapes(config: TrainingConfig) -> None:
    """Refuses networks that cannot be built and sizes that cannot be rendered."""
    if config.resolution < 8:
        raise ValueError(f'--data: found pictures of {config.resolution}x{config.resolution} pixels, '
                         'expected at least 8x8')
    levels = [4 << i for i in range((config.resolution // 4).bit_length())]
    for level in levels:
        channels = min(config.channel_base // level, config.channel_max)
        if channels < 1 or (config.pe != 'none' and channels % 4):
            expected = 'a multiple of 4, as positional encodings need' if channels else 'at least 1'
            raise ValueError(f'--cbase={config.channel_base} with --cmax={config.channel_max}: gives '
                             f'{channels} channels at {level}x{level}, expected {expected}')
    least, most = config.resolution // 4, config.resolution * 4
    for size in config.random_resize:
        if not least <= size <= most:
            raise ValueError(f'--random-resize: found {size}, expected sizes from {least} to {most} '
                             f'for pictures of {config.resolution}x{config.resolution}')
    if config.random_margin and config.border == 'plane':
        raise ValueError(f'--random-margin={config.random_margin:g}: found --border=plane, by which all '
                         'pictures are drawn so; expected one of the two')
    if config.random_margin and round(config.random_margin * config.batch_gpu) == 0:
        raise ValueError(f'--random-margin={config.random_margin:g}: gives none of the {config.batch_gpu} '
                         'images per pass a margin, expected a larger part or a larger --batch-gpu')


def describe(options: dict, data_name: str) -> str:
    """Name of the run: dataset, preset, and what was asked for beyond it, in the order its users know."""
    asked = options.get
    cfg = asked('cfg') or 'auto'
    parts = [data_name, asked('cond') and 'cond', 'subset%d' % asked('subset') if asked('subset') else None,
             asked('mirror') and 'mirror', 'nomirror' if asked('mirror') is False else None,
             f'auto{asked("gpus") or 1}' if cfg == 'auto' else cfg]
    short = dict(gamma='gamma', kimg='kimg', batch='batch', aug='', p='p', target='target', augpipe='')
    parts += [prefix + number(asked(name)) for name, prefix in short.items() if asked(name) is not None]
    resume = asked('resume')
    if resume:
        source = resume if resume in PRETRAINED else 'custom'
        parts.append(resume if resume == 'noresume' else f'resume{source}')
    short = dict(freezed='freezed', pe='pe', border='', cbase='cbase', cmax='cmax', map_depth='map',
                 batch_gpu='batchgpu')
    parts += [prefix + number(asked(name)) for name, prefix in short.items() if asked(name) is not None]
    if asked('random_resize'):
        parts.append('resize' + ','.join(str(size) for size in asked('random_resize')))
    if asked('random_shift') is not None:
        parts.append('shift' if asked('random_shift') else 'noshift')
    if asked('random_margin') is not None:
        parts.append(f'margin{number(asked("random_margin"))}')
    return '-'.join(part for part in [*parts, asked('desc')] if part)


def flag(name: str) -> str:
    return '--' + name.replace('_', '-')


def number(value) -> str:
    """As in the name of a run: `25000`, `0.5`, `1e-05`; words as they are."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else f'{value:g}'
