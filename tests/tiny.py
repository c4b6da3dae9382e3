"""A training small enough to be run a hundred times in a test: 16-pixel pictures, some thousand parameters.
"""

import dataclasses
import json
import os

import numpy as np
import torch
from PIL import Image

from stylegan2_mspe import training_parts
from stylegan2_mspe.config import TrainingConfig

GRID = (3, 2)


def make_dataset(folder, count=40, size=16, labels=False, seed=0):
    """A folder of random RGB pictures, with a dataset.json of three classes if asked; returns its path as
    text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    for index in range(count):
        Image.fromarray(random.randint(0, 256, [size, size, 3], dtype=np.uint8)).save(
            folder / f'{index:03d}.png'
        )
    if labels:
        pairs = [[f'{index:03d}.png', index % 3] for index in range(count)]
        (folder / 'dataset.json').write_text(json.dumps({'labels': pairs}))
    return str(folder)


def config(data, **changes):
    """4 pictures a step, 3 steps a tick, a snapshot every second tick, 9 steps in all."""
    kwargs = dict(class_name='training.dataset.ImageFolderDataset', path=data, resolution=16, max_size=None,
                  use_labels=False, xflip=True, random_seed=0)
    values = dict(
        training_set_kwargs=kwargs,
        data_name='tiny',
        resolution=16,
        img_channels=3,
        cfg='test',
        pe='mspe',
        z_dim=8,
        w_dim=8,
        map_depth=2,
        channel_base=64,
        channel_max=8,
        g_fp16_res=2,
        d_fp16_res=1,
        mbstd_group=2,
        kimg=0.036,
        batch=4,
        batch_gpu=4,
        gamma=1.0,
        pl_weight=2.0,
        g_reg_interval=2,
        d_reg_interval=3,
        ema_kimg=0.1,
        ema_ramp=0.5,
        tick=0.012,
        snap=2,
        workers=0,
        seed=3,
    )
    return TrainingConfig(**{**values, **changes})


def build(data, **changes):
    """What such a config trains with."""
    return training_parts.build(config(data, **changes))


def build_labelled(folder, **changes):
    """The same, conditional, with pictures made in the folder."""
    path = make_dataset(folder / 'labelled', labels=True)
    kwargs = dict(config(path).training_set_kwargs, use_labels=True)
    return build(path, training_set_kwargs=kwargs, label_dim=3, **changes)


def differences(first, second, path='') -> list[str]:
    """Where two nested values of tensors and plain values differ, bit by bit; seconds do not count."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return [] if first.dtype == second.dtype and torch.equal(first, second) else [path]
    if isinstance(first, dict) and isinstance(second, dict):
        found = [f'{path}/{key}' for key in first.keys() ^ second.keys()]
        return found + [each for key in first.keys() & second.keys() if key != 'seconds'
                        for each in differences(first[key], second[key], f'{path}/{key}')]
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        return [
            each
            for index, pair in enumerate(zip(first, second))
            for each in differences(*pair, f'{path}/{index}')
        ]
    return [] if type(first) is type(second) and first == second else [path]


def files(run_dir) -> set[str]:
    """Names in a run folder but TensorBoard's, which are there where it is installed."""
    return {name for name in os.listdir(run_dir) if not name.startswith('events.')}


def stats_lines(run_dir) -> list[dict]:
    """The lines of stats.jsonl without what a clock or the machine decides."""
    with open(run_dir / 'stats.jsonl', encoding='utf-8') as file:
        lines = [json.loads(line) for line in file]
    return [
        {
            name: field
            for name, field in line.items()
            if not name.startswith(('Timing/', 'Resources/', 'timestamp'))
        }
        for line in lines
    ]


def record(run_dir, made):
    """training_options.json as the train program writes it, for a config that no option can express."""
    (run_dir / 'training_options.json').write_text(json.dumps({**dataclasses.asdict(made), 'options': {}}))
