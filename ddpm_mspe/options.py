"""From what a user asked for to one checked DiffusionConfig, and the name of its run.

`options` holds only what was asked for, by the names of the command line with `_` for `-`. Every refusal is a
ValueError of one sentence.
"""

from ddpm_mspe.config import COARSEST, PRESET_NAMES, PRESETS, DiffusionConfig
from stylegan2_mspe.options import DatasetInfo, check_run, flag, number, share_of_device


def check(options: dict) -> None:
    """Refuses what can be refused without looking at the dataset."""
    check_run(options)
    if options.get('cfg', PRESET_NAMES[0]) not in PRESETS:
        raise ValueError(f'--cfg={options["cfg"]}: expected one of {", ".join(PRESET_NAMES)}')


def resolve(options: dict, dataset: DatasetInfo, device: str = 'cpu') -> DiffusionConfig:
    """The config of a run on `device`. Raises ValueError for options that contradict each other or the data.
    """
    from stylegan2_mspe.dataset import dataset_kwargs

    check(options)
    name = options.get('cfg', PRESET_NAMES[0])
    row = PRESETS[name]
    given = lambda name, otherwise: options.get(name, otherwise)
    levels = len(row.multipliers)
    least = COARSEST << levels - 1
    if dataset.resolution < least:
        found = f'{dataset.resolution}x{dataset.resolution}'
        raise ValueError(f'--data: found pictures of {found} pixels, expected at least {least}x{least} for '
                         f'--cfg={name}')
    if given('subset', 1) > dataset.size:
        raise ValueError(f'--subset={options["subset"]}: found {dataset.size} pictures in {options["data"]}')
    gpus, batch, batch_gpu = split_batch(given('batch', row.batch), given('gpus', 1),
                                         given('batch_gpu', None))
    kwargs = dataset_kwargs(options['data'], resolution=dataset.resolution, random_seed=given('seed', 0),
                            max_size=given('subset', dataset.size))
    return DiffusionConfig(
        training_set_kwargs=kwargs, data_name=dataset.name, resolution=dataset.resolution,
        img_channels=dataset.channels, cfg=name, pe=given('pe', 'mspe'), channels=row.channels,
        multipliers=row.multipliers, blocks=row.blocks, attention=(dataset.resolution >> levels - 1,),
        groups=row.groups, dropout=row.dropout, kimg=given('kimg', row.kimg), batch=batch,
        batch_gpu=batch_gpu, num_gpus=gpus, lr=row.lr, ema_kimg=row.ema, ema_ramp=row.ramp,
        output=row.output, debias=row.debias,
        seed=given('seed', 0), device=device, fp32=given('fp32', False), tick=given('tick', 4),
        snap=given('snap', row.snap), workers=given('workers', 1), stop_on_nan=given('stop_on_nan', False),
        bench=not given('nobench', False), allow_tf32=given('allow_tf32', False),
        desc=describe(options, dataset.name))


def split_batch(batch: int, gpus: int, batch_gpu: int | None) -> tuple[int, int, int]:
    """Devices, pictures per step, and pictures per pass on one device, None = all of its pictures."""
    own = share_of_device(batch, gpus)
    batch_gpu = batch_gpu or own
    if own % batch_gpu:
        raise ValueError(f'--batch-gpu={batch_gpu}: expected a divisor of {own}, the images per device')
    return gpus, batch, batch_gpu


def describe(options: dict, data_name: str) -> str:
    """Name of the run: dataset, preset, plan, and what was asked for beyond them."""
    asked = options.get
    parts = [data_name, f'subset{asked("subset")}' if asked('subset') else None,
             asked('cfg') or PRESET_NAMES[0], asked('pe') or 'mspe']
    for name in ('kimg', 'batch', 'batch_gpu'):
        if asked(name) is not None:
            parts.append(flag(name)[2:].replace('-', '') + number(asked(name)))
    return '-'.join(part for part in [*parts, asked('desc')] if part)
