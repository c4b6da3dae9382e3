"""Trains one diffusion model: steps, ticks and snapshots, and a state to go on from beside each snapshot."""

import contextlib
import copy
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ddpm_mspe import sampling
from ddpm_mspe.config import DiffusionConfig, diffusion_kwargs, unet_kwargs
from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.unet import UNet
from ddpm_mspe.unet_file import save_unet
from stylegan2_mspe import (
    allocator,
    averaging,
    chance,
    checkpoint,
    distributed,
    images,
    loading,
    run_folder,
    shortage,
)
from stylegan2_mspe.dataset import construct_dataset
from stylegan2_mspe.tick_end import end_tick
from stylegan2_mspe.ticks import Progress, Ticks
from stylegan2_mspe.trouble import Trouble
from torch_utils import misc, training_stats

GRID = (8, 4)           # columns, rows of the picture grids
GRID_STEPS = 50         # of DDIM, for them


@dataclasses.dataclass
class Training:
    """All that a run is made of while it runs."""
    config: DiffusionConfig
    device: torch.device
    dataset: object
    diffusion: Diffusion
    models: dict[str, torch.nn.Module]  # unet, unet_ema
    parallel: torch.nn.Module           # the U-Net as the processes train it together
    optimizer: torch.optim.Optimizer
    half: torch.dtype | None            # what the U-Net computes in
    progress: Progress
    trouble: Trouble
    resumed: dict | None                # the training state it goes on from
    notes: list[str] = dataclasses.field(default_factory=list)


def build(config: DiffusionConfig, state: dict | None = None) -> Training:
    """Opens the dataset and makes the network; writes nothing.

    `state` is a loaded training state to go on from. Raises ValueError or OSError where dataset or state do
    not fit the config.
    """
    device = distributed.device(config.device)
    if device.type == 'cpu':
        allocator.keep_freed_memory()
    torch.backends.cudnn.benchmark = config.bench
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.allow_tf32
    chance.seed_all(config.seed)
    dataset = construct_dataset(**config.training_set_kwargs)
    unet = UNet(**unet_kwargs(config)).train().requires_grad_(True).to(device)
    models = dict(unet=unet, unet_ema=copy.deepcopy(unet).eval().requires_grad_(False))
    models['unet_ema'].half_dtype = half = half_dtype(config, device)
    optimizer = torch.optim.Adam(unet.parameters(), lr=config.lr, betas=config.betas, eps=config.eps,
                                 fused=True)
    training = Training(config, device, dataset, Diffusion(**diffusion_kwargs(config)), models,
                        distributed.parallel(unet), optimizer, half, Progress(), Trouble(), state)
    if state is not None:
        checkpoint.restore(state, modules=models, optimizers=dict(unet=optimizer))
        training.progress = Progress(**state['values']['progress'])
        training.trouble.since = dict(state['values']['trouble'])
    return training


def half_dtype(config: DiffusionConfig, device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it, which needs no loss scaling. Older GPUs only imitate it."""
    if device.type == 'cuda':
        able = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        able = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if able and not config.fp32 else None


# ----- one step ---------------------------------------------------------------------------------------------


def training_step(training: Training, pictures: torch.Tensor) -> None:
    """One step on this process's share of a batch, pictures uint8 [N, C, R, R] (Ho et al., Alg. 1)."""
    config, progress = training.config, training.progress
    reals = loading.to_network(pictures, training.device)
    count = len(reals) // config.batch_gpu
    training.optimizer.zero_grad(set_to_none=True)
    places = count * distributed.size()
    for index in range(count):
        place = distributed.rank() + index * distributed.size()
        with chance.part(place, places, config.seed, progress.step), \
                misc.ddp_sync(training.parallel, index == count - 1):
            t = draw_times(training.diffusion.steps, config.batch, range(place, config.batch, places))
            accumulate(training, reals[index::count], t, 1 / count)
    gradients = [parameter.grad for parameter in training.models['unet'].parameters()]
    training.trouble.mend_gradients('the U-Net', gradients)
    torch.nn.utils.clip_grad_norm_(training.models['unet'].parameters(), config.clip)
    training.optimizer.step()
    progress.nimg += config.batch
    progress.step += 1
    kept = averaging.decay(config.batch, progress.nimg, config.ema_kimg * 1000, config.ema_ramp)
    averaging.move(training.models['unet_ema'], training.models['unet'], kept)


def draw_times(steps: int, batch: int, samples: Sequence[int]) -> torch.Tensor:
    """Times [N] for these samples of a batch: each is uniform, and each part of the schedule has one sample.

    The loss depends on the time more than on the picture, so that this takes much noise from its gradient.
    """
    shares = chance.rand([len(samples)], dtype=torch.float64) + torch.tensor(list(samples))
    return (shares / batch * steps).long().clamp(max=steps - 1)


def accumulate(training: Training, x0: torch.Tensor, t: torch.Tensor, gain: float) -> None:
    """Adds the gradient of the loss of x0 [N, C, R, R] at the times t [N], times gain."""
    diffusion, t = training.diffusion, t.to(training.device)
    noise = chance.randn(list(x0.shape), device=training.device)
    with torch.autocast(training.device.type, training.half, enabled=training.half is not None):
        losses = diffusion.losses(functools.partial(diffusion.predicted, training.parallel), x0, t, noise)
    training_stats.report('Loss/noise', losses)
    if training.config.debias:
        losses = losses * diffusion.noise_to_signal(t, losses)
    losses.mean().mul(gain).backward()


def of_pass(config: DiffusionConfig) -> tuple[str, str]:
    """What a step takes, and what to change, as shortage.explained says it."""
    count, size = config.batch_gpu, f'{config.resolution}x{config.resolution}'
    what = f'--batch-gpu={count}: a pass of {count} picture{"s" * (count > 1)} of {size} pixels'
    return what, 'a smaller one, which trains alike in more passes' if count > 1 else '--cfg=ddpm64-small'


# ----- a run ------------------------------------------------------------------------------------------------


def train(training: Training, run_dir: str | None, *, say: Callable[[str], None] = print,
          watch: Callable[[int], None] = lambda nimg: None) -> None:
    """Trains to the end, in an existing folder.

    run_dir: None in all but the first of several processes, which write nothing. say: takes the lines of the
    log. watch: takes the number of pictures shown, after each step. Raises ValueError for a picture that
    can't be used, MemoryError where a step does not fit.
    """
    config, progress = training.config, training.progress
    if training.resumed is None:
        write_start(training, run_dir)
    elif run_dir is not None:
        run_folder.cut_stats(run_dir, progress.tick)
    ticks = Ticks(run_dir, progress, device=training.device, say=say,
                  latest=training.resumed and training.resumed['values']['stats'])
    batches = loading.batches(training.dataset, config.batch, seed=config.seed, start=progress.nimg,
                             workers=config.workers, pin_memory=training.device.type == 'cuda',
                             rank=distributed.rank(), replicas=distributed.size())
    with contextlib.closing(batches):
        done = progress.nimg >= config.kimg * 1000
        while not done:
            pictures, _ = next(batches)
            with shortage.explained(*of_pass(config), training.device), ticks.stopwatch.time('step'):
                training_step(training, pictures)
            watch(progress.nimg)
            done = progress.nimg >= config.kimg * 1000
            if ticks.due(config.tick, done):
                close_tick(training, ticks, done=done, say=say)


def close_tick(training: Training, ticks: Ticks, *, done: bool, say: Callable[[str], None]) -> None:
    """Closes a tick: statistics, what has gone wrong, and a snapshot where one is due.

    Raises Stopped, after a snapshot, where the config asks to end a run that has gone wrong.
    """
    config = training.config
    ticks.stop()
    tensors = {f'the weights of {name}': list(module.parameters())
               for name, module in training.models.items()}
    end_tick(ticks, training.trouble, tensors, due=done or training.progress.tick % config.snap == 0,
             stop_on_nan=config.stop_on_nan, say=say,
             save=lambda: write_snapshot(training, ticks.run_dir, ticks.latest))


def write_start(training: Training, run_dir: str | None) -> None:
    """What a run shows before its first step, and a state: from here on it can be killed at any instant."""
    if run_dir is not None:
        count = GRID[0] * GRID[1]
        indices = np.resize(np.random.RandomState(training.config.seed).permutation(len(training.dataset)),
                            count)
        reals = np.stack([training.dataset[int(index)][0] for index in indices])
        images.save_image_grid(reals, os.path.join(run_dir, 'reals.png'), GRID)
    write_state(training, run_dir, {})


def write_snapshot(training: Training, run_dir: str | None, stats: dict) -> None:
    """Pictures, then the network, then the state: where there is a state, all that belongs to it is there.

    Weights that are not finite are not written. Raises ValueError, and writes nothing, where the processes
    have drifted apart.
    """
    kimg = training.progress.nimg // 1000
    distributed.check(training.models.values())
    if not training.trouble.finite:
        return
    if run_dir is not None:
        images.save_image_grid(draw_fakes(training), os.path.join(run_dir, f'fakes{kimg:06d}.png'), GRID)
        save_unet(os.path.join(run_dir, f'network-snapshot-{kimg:06d}.safetensors'),
                  training.models['unet_ema'], training.diffusion, training.config.training_set_kwargs)
    write_state(training, run_dir, stats)


def draw_fakes(training: Training) -> torch.Tensor:
    """The same seeds at every snapshot, in batches that fit where a training step fits: [32, C, R, R]."""
    seeds, batch = range(GRID[0] * GRID[1]), training.config.batch_gpu
    steps = min(GRID_STEPS, training.diffusion.steps)
    return torch.cat([sampling.sample(training.models['unet_ema'], training.diffusion,
                                      seeds[start:start + batch], sampler='ddim', steps=steps).cpu()
                      for start in range(0, len(seeds), batch)])


def write_state(training: Training, run_dir: str | None, stats: dict) -> None:
    """`stats`: the newest value of every reported name, which the next ticks repeat until it is reported
    again.
    """
    if run_dir is None:
        return
    values = dict(progress=dataclasses.asdict(training.progress), stats=stats,
                  trouble=training.trouble.since)
    path = checkpoint.state_path(run_dir, training.progress.nimg // 1000)
    checkpoint.save_state(path, modules=training.models, optimizers=dict(unet=training.optimizer),
                          values=values)
    checkpoint.keep_newest(run_dir)
