"""Trains one GAN: steps, ticks and snapshots, and a state to go on from beside each snapshot."""

import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np
import torch

from stylegan2_mspe import (checkpoint, distributed, loading, run_folder, shortage, snapshot_metrics,
                            snapshots, training_parts)
from stylegan2_mspe.metrics import task
from stylegan2_mspe.steps import training_step
from stylegan2_mspe.tick_end import end_tick
from stylegan2_mspe.ticks import Ticks
from stylegan2_mspe.training_parts import Training, augment_p
from stylegan2_mspe.variety import variety


def train(training: Training, run_dir: str | None, *, say: Callable[[str], None] = print,
          watch: Callable[[int], None] = lambda nimg: None, wait: task.Progress = task.silent,
          grid: tuple[int, int] | None = None) -> None:
    """Trains to the end, in an existing folder.

    run_dir: None in all but the first of several processes, which write nothing. say: takes the lines of the
    log. watch: takes the number of pictures shown, after each step. wait: wraps the loops of metrics. grid:
    (columns, rows) of the picture grids, None = what fills a large screen. Raises ValueError for a picture
    that can't be used, Stopped where the config asks to end a run that has gone wrong, MemoryError where a
    step or a grid does not fit.
    """
    config, progress = training.config, training.progress
    shown = real = None
    if run_dir is not None:
        shown = snapshots.make_grid(training.dataset, config.z_dim, config.seed, grid)
        real = variety(snapshots.real_pictures(shown, training.dataset))
    if training.resumed is None:
        write_start(training, run_dir, shown)
    elif run_dir is not None:
        run_folder.cut_stats(run_dir, progress.tick)
    ticks = Ticks(run_dir, progress, device=training.device, say=say,
                  latest=training.resumed and training.resumed['values']['stats'])
    if training.resumed is not None and config.metrics:
        snapshot_metrics.measure_lacking(training.models['G_ema'], config, run_dir, progress.nimg // 1000,
                                         say=say, progress=wait)
    with contextlib.closing(open_stream(training)) as pictures:
        done = progress.nimg >= config.kimg * 1000
        while not done:
            shares = next(pictures)
            with shortage.explained(*shortage.of_step(config), training.device):
                training_step(training, *shares, ticks.stopwatch)
            watch(progress.nimg)
            done = progress.nimg >= config.kimg * 1000
            if ticks.due(config.tick, done):
                close_tick(training, ticks, shown, real, done=done, say=say, wait=wait)


def close_tick(training: Training, ticks: Ticks, grid: snapshots.Grid | None, real: float | None, *,
               done: bool, say: Callable[[str], None], wait: task.Progress) -> None:
    """Closes a tick: statistics, what has gone wrong, and a snapshot, with its metrics, where one is due.

    grid, and real (the variety of its real pictures): None where another process draws it. Raises Stopped,
    after a snapshot.
    """
    config = training.config
    ticks.stop()
    due = done or training.progress.tick % config.snap == 0
    pictures = draw_fakes(training, grid) if due and grid is not None else None
    share = distributed.share(variety(pictures) / real if pictures is not None and real > 0 else None)
    tensors = {f'the weights of {name}': [*module.parameters(), *module.buffers()]
               for name, module in training.models.items()}
    tensors['the mean path length'] = [training.loss.pl_mean]
    end_tick(ticks, training.trouble, tensors, due=due, stop_on_nan=config.stop_on_nan, say=say,
             save=lambda: save(training, ticks, grid, pictures, say, wait),
             augment=augment_p(training), variety=share)


def save(training: Training, ticks: Ticks, grid: snapshots.Grid | None, pictures: np.ndarray | None,
         say: Callable[[str], None], wait: task.Progress) -> None:
    """Writes a snapshot, and then computes its metrics: a kill meanwhile loses none of the training."""
    config, kimg = training.config, training.progress.nimg // 1000
    write_snapshot(training, ticks.run_dir, grid, ticks.latest, pictures)
    if training.trouble.finite:
        found = snapshot_metrics.measure(config.metrics, training.models['G_ema'], config, ticks.run_dir,
                                         kimg, say=say, progress=wait)
        ticks.show({f'Metrics/{name}': value for name, value in found.items()})


def open_stream(training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    config = training.config
    return loading.batches(training.dataset, config.batch, seed=config.seed, start=training.progress.nimg,
                          workers=config.workers, pin_memory=training.device.type == 'cuda',
                          rank=distributed.rank(), replicas=distributed.size())


def write_start(training: Training, run_dir: str | None, grid: snapshots.Grid | None) -> None:
    """What a run shows before its first step, and a state: from here on it can be killed at any instant."""
    if run_dir is not None:
        reals = snapshots.real_pictures(grid, training.dataset)
        snapshots.save_pictures(grid, reals, os.path.join(run_dir, 'reals.png'))
        snapshots.save_pictures(grid, draw_fakes(training, grid), os.path.join(run_dir, 'fakes_init.png'))
    write_state(training, run_dir, {})


def write_snapshot(training: Training, run_dir: str | None, grid: snapshots.Grid | None, stats: dict,
                   pictures: np.ndarray | None = None) -> None:
    """Pictures, then networks, then the state: where there is a state, all that belongs to it is there.

    pictures: of the grid, where they have been drawn already. Weights that are not finite are not written, so
    that the states that are kept are those from before. Raises ValueError, and writes nothing, where the
    processes have drifted apart.
    """
    kimg, pipe = training.progress.nimg // 1000, training.loss.augment_pipe
    distributed.check([*training.models.values(), *([pipe] if pipe else [])])
    if run_dir is not None:
        pictures = draw_fakes(training, grid) if pictures is None else pictures
        snapshots.save_pictures(grid, pictures, os.path.join(run_dir, f'fakes{kimg:06d}.png'))
    if not training.trouble.finite:
        return
    if run_dir is not None:
        snapshots.save_networks(os.path.join(run_dir, snapshots.snapshot_name(kimg)), training.models,
                                training.config.training_set_kwargs, pipe)
    write_state(training, run_dir, stats)


def draw_fakes(training: Training, grid: snapshots.Grid) -> np.ndarray:
    return snapshots.draw_pictures(grid, training.models['G_ema'], device=training.device)


def write_state(training: Training, run_dir: str | None, stats: dict) -> None:
    """`stats` as of `state_values`. Of several processes all have to call this, and the first writes."""
    values, optimizers = training_parts.state_values(training, stats), training_parts.optimizers(training)
    if run_dir is None:
        return
    path = checkpoint.state_path(run_dir, training.progress.nimg // 1000)
    checkpoint.save_state(path, modules=training.models, optimizers=optimizers, values=values)
    checkpoint.keep_newest(run_dir)
