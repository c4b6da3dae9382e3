"""Trains one GAN: phases, steps, ticks and snapshots, and a state to go on from beside each snapshot."""

import contextlib
import copy
import dataclasses
import os
from collections.abc import Callable, Iterator

import numpy as np
import torch

from stylegan2_mspe import (ada, allocator, averaging, chance, checkpoint, distributed, memory, networks,
                            run_folder, snapshot_metrics, snapshots, stream, transfer)
from stylegan2_mspe.config import TrainingConfig, discriminator_kwargs, generator_kwargs
from stylegan2_mspe.dataset import construct_dataset
from stylegan2_mspe.loss import PHASES, StyleGAN2Loss
from stylegan2_mspe.metrics import task
from stylegan2_mspe.step_canvas import step_canvas
from stylegan2_mspe.tick_end import end_tick
from stylegan2_mspe.ticks import Progress, Stopwatch, Ticks
from stylegan2_mspe.trouble import Trouble
from stylegan2_mspe.variety import variety
from torch_utils.ops import conv2d_gradfix, grid_sample_gradfix


@dataclasses.dataclass(frozen=True)
class Phase:
    """One of the things a step does, every `interval` steps."""
    name: str                           # Gmain, Greg, Dmain, Dreg
    module: torch.nn.Module             # the network it trains
    optimizer: torch.optim.Optimizer
    interval: int


@dataclasses.dataclass
class Training:
    """All that a run is made of while it runs."""
    config: TrainingConfig
    device: torch.device
    dataset: object
    models: dict[str, torch.nn.Module]  # G, D, G_ema
    loss: StyleGAN2Loss
    phases: list[Phase]
    progress: Progress
    strength: ada.AdaptiveStrength | None   # of the augmentation, with --aug=ada
    trouble: Trouble
    resumed: dict | None                # the training state it goes on from
    notes: list[str]                    # what there is to say of the networks it starts from


def build(config: TrainingConfig, state: dict | None = None) -> Training:
    """Opens the dataset and makes the networks; writes nothing.

    `state` is a loaded training state to go on from. Where several processes train together, each calls this.
    Raises ValueError or OSError where dataset, network file or state do not fit the config, MemoryError where
    the networks do not fit the device.
    """
    device = distributed.device(config.device)
    if device.type == 'cpu':
        allocator.keep_freed_memory()
    torch.backends.cudnn.benchmark = config.bench
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.allow_tf32
    conv2d_gradfix.enabled = grid_sample_gradfix.enabled = True
    chance.seed_all(config.seed)
    dataset = construct_dataset(**config.training_set_kwargs)
    with memory.explained(*memory.of_networks(config), device):
        models = make_models(config, device)
    G, D = models['G'], models['D']
    pipe = ada.make_pipe(config)
    parts = [distributed.parallel(module) for module in (G.mapping, G.synthesis, D)]
    loss = StyleGAN2Loss(device, *parts, augment_pipe=pipe and pipe.to(device),
                         style_mixing_prob=config.style_mixing, r1_gamma=config.gamma,
                         pl_weight=config.pl_weight)
    strength = ada.AdaptiveStrength(pipe, config) if config.aug == 'ada' else None
    training = Training(config, device, dataset, models, loss, make_phases(config, G, D), Progress(),
                        strength, Trouble(), state, [])
    if state is not None:
        restore(training, state)
    elif config.resume:
        training.notes = transfer.start_from(config.resume, models) if distributed.is_first() else []
        distributed.spread(models.values())
    return training


def make_models(config: TrainingConfig, device: torch.device) -> dict[str, torch.nn.Module]:
    """G, D and G_ema as they begin, without gradients."""
    G = networks.Generator(**generator_kwargs(config)).train().requires_grad_(False).to(device)
    D = networks.Discriminator(**discriminator_kwargs(config)).train().requires_grad_(False).to(device)
    models = dict(G=G, D=D, G_ema=copy.deepcopy(G).eval())
    snapshots.prepare_precision(models, device, fp32=config.g_fp16_res == 0)
    return models


def make_phases(config: TrainingConfig, G: torch.nn.Module, D: torch.nn.Module) -> list[Phase]:
    """The phases of a step in their order, regularisation after its main phase.

    A term computed every i-th step makes its network move i + 1 times in i steps; the learning rate and the
    memory of Adam shrink by i / (i + 1) to make up for it (StyleGAN2, appendix B). G's do so even without a
    path-length phase.
    """
    phases = []
    for kind, module, interval, regularised in [('G', G, config.g_reg_interval, config.pl_weight != 0),
                                                ('D', D, config.d_reg_interval, config.gamma != 0)]:
        ratio = interval / (interval + 1)
        betas = tuple(beta ** ratio for beta in config.betas)
        optimizer = torch.optim.Adam(module.parameters(), lr=config.lr * ratio, betas=betas, eps=config.eps,
                                     fused=True)
        phases.append(Phase(f'{kind}main', module, optimizer, 1))
        if regularised:
            phases.append(Phase(f'{kind}reg', module, optimizer, interval))
    return phases


def optimizers(training: Training) -> dict[str, torch.optim.Optimizer]:
    return {phase.name[0]: phase.optimizer for phase in training.phases}


# ----- one step ---------------------------------------------------------------------------------------------


def training_step(training: Training, pictures: torch.Tensor, labels: torch.Tensor,
                  stopwatch: Stopwatch) -> None:
    """Runs the phases that are due on this process's share of a batch.

    pictures uint8 [N, C, R, R], labels [N, c_dim].
    """
    config, progress = training.config, training.progress
    reals = stream.to_network(pictures, training.device)
    labels = labels.to(training.device)
    training.loss.step_canvas = step_canvas(config, progress.step)
    for phase in training.phases:
        if progress.step % phase.interval == 0:
            with stopwatch.time(phase.name):
                run_phase(training, phase, reals, labels)
    progress.nimg += config.batch
    progress.step += 1
    update_average(config, training.models, progress.nimg)
    if training.strength is not None:
        training.strength.after_step(progress.step)


def run_phase(training: Training, phase: Phase, reals: torch.Tensor, labels: torch.Tensor) -> None:
    """Adds up the phase's gradients over the passes of all processes to those of one pass, and steps.

    A pass takes every k-th picture of the batch, where there are k passes in all: then the groups of the
    minibatch standard deviation are those of one large pass, and so are latents and noise.
    """
    config = training.config
    count = len(reals) // config.batch_gpu
    phase.optimizer.zero_grad(set_to_none=True)
    phase.module.requires_grad_(True)
    moved = []
    start = [each.clone() for each in running_means(training)]
    for index in range(count):
        copy_to(running_means(training), start)
        own = slice(index, None, count)
        place = distributed.rank() + index * distributed.size()
        with chance.part(place, count * distributed.size(), config.seed, training.progress.step,
                         list(PHASES).index(phase.name)):
            z = chance.randn([config.batch_gpu, config.z_dim], device=training.device)
            c = random_labels(training, config.batch_gpu)
            training.loss.accumulate_gradients(phase.name, reals[own], labels[own], z, c,
                                               sync=index == count - 1, gain=phase.interval / count)
        moved.append([each.clone() for each in running_means(training)])
    phase.module.requires_grad_(False)
    means = [torch.stack(values).mean(dim=0) for values in zip(*moved)]
    distributed.average(means)
    copy_to(running_means(training), means)
    step(training, phase)


def step(training: Training, phase: Phase) -> None:
    """Moves the weights by the gradients there are; a parameter without one moves as if it were 0."""
    for parameter in phase.module.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    training.trouble.mend_gradients(phase.name, [each.grad for each in phase.module.parameters()])
    phase.optimizer.step()


def running_means(training: Training) -> list[torch.Tensor]:
    """What each pass moves a little from where the phase began; a phase moves it by the mean of them."""
    return [training.models['G'].mapping.w_avg, training.loss.pl_mean]


def copy_to(tensors: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    for tensor, value in zip(tensors, values):
        tensor.copy_(value)


def random_labels(training: Training, count: int) -> torch.Tensor:
    """Labels [count, c_dim] for generated pictures, as frequent as they are in the dataset."""
    if not training.config.label_dim:
        return torch.zeros([count, 0], device=training.device)
    indices = (chance.rand([count], dtype=torch.float64) * len(training.dataset)).long()
    labels = np.stack([training.dataset.get_label(int(index)) for index in indices])
    return torch.from_numpy(labels).to(training.device)


def update_average(config: TrainingConfig, models: dict[str, torch.nn.Module], nimg: int) -> None:
    """Moves G_ema towards G: a difference halves in ema_kimg, or ema_ramp of the pictures so far if less."""
    kept = averaging.decay(config.batch, nimg, config.ema_kimg * 1000, config.ema_ramp)
    averaging.move(models['G_ema'], models['G'], kept)


def augment_p(training: Training) -> float:
    """The probability of each transformation at the moment."""
    pipe = training.loss.augment_pipe
    return 0. if pipe is None else float(pipe.p)


# ----- a run ------------------------------------------------------------------------------------------------


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
            with memory.explained(*memory.of_step(config), training.device):
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
    return stream.batches(training.dataset, config.batch, seed=config.seed, start=training.progress.nimg,
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
    """`stats`: the newest value of every reported name, which the next ticks repeat until it is reported
    again. Of several processes all have to call this, and the first writes.
    """
    values = dict(progress=dataclasses.asdict(training.progress), stats=stats,
                  pl_mean=training.loss.pl_mean.cpu(), augment_p=augment_p(training),
                  ada=training.strength and training.strength.state(), trouble=training.trouble.since)
    if run_dir is None:
        return
    path = checkpoint.state_path(run_dir, training.progress.nimg // 1000)
    checkpoint.save_state(path, modules=training.models, optimizers=optimizers(training), values=values)
    checkpoint.keep_newest(run_dir)


def restore(training: Training, state: dict) -> None:
    checkpoint.restore(state, modules=training.models, optimizers=optimizers(training))
    training.progress = Progress(**state['values']['progress'])
    training.loss.pl_mean.copy_(state['values']['pl_mean'])
    if training.loss.augment_pipe is not None:
        training.loss.augment_pipe.p.fill_(state['values']['augment_p'])
    if training.strength is not None:
        training.strength.restore(state['values']['ada'])
    training.trouble.since = dict(state['values'].get('trouble', {}))   # states had none at first
