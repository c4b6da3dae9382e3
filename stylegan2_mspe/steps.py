"""One step of a training: the phases that are due, their passes, and the average of the weights."""

import numpy as np
import torch

from stylegan2_mspe import averaging, chance, distributed, loading
from stylegan2_mspe.config import TrainingConfig
from stylegan2_mspe.loss import PHASES
from stylegan2_mspe.step_canvas import step_canvas
from stylegan2_mspe.ticks import Stopwatch
from stylegan2_mspe.training_parts import Phase, Training


def training_step(training: Training, pictures: torch.Tensor, labels: torch.Tensor,
                  stopwatch: Stopwatch) -> None:
    """Runs the phases that are due on this process's share of a batch.

    pictures uint8 [N, C, R, R], labels [N, c_dim].
    """
    config, progress = training.config, training.progress
    reals = loading.to_network(pictures, training.device)
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
