"""What processes of test_distributed and test_processes do: functions by a name that a new one can import."""

import dataclasses
import signal
import time

import torch

from stylegan2_mspe import checkpoint, distributed, loading, steps, training_loop, training_parts
from stylegan2_mspe.metrics.registry import parse
from stylegan2_mspe.metrics.task import MetricTask
from tests import brightness, drawn, tiny  # noqa: F401 (registers a metric)
from tests.golden import fill


def gradients(config):
    """{phase.parameter: gradient}, and what else a phase moves, on filled networks."""
    training = training_parts.build(config)
    for module in training.models.values():
        fill(module).train()
    pictures, labels = next(training_loop.open_stream(training))
    reals = loading.to_network(pictures, training.device)
    found = {}
    for phase in training.phases:
        steps.run_phase(training, dataclasses.replace(phase, optimizer=Resting(phase)), reals, labels)
        found |= {f'{phase.name}.{name}': each.grad.clone() for name, each in phase.module.named_parameters()}
        found |= {f'{phase.name}.w_avg': training.models['G'].mapping.w_avg.clone(),
                  f'{phase.name}.pl_mean': training.loss.pl_mean.clone()}
    return found


class Resting:
    """An optimizer that leaves the weights, so that every phase sees the same."""

    def __init__(self, phase):
        self.zero_grad = phase.optimizer.zero_grad

    def step(self):
        pass


def train(config, run_dir, state=None, **kwargs):
    training = training_parts.build(config, state)
    mine = str(run_dir) if distributed.is_first() else None
    training_loop.train(training, mine, say=lambda line: None, grid=tiny.GRID, **kwargs)
    return training


def all_jobs(world, store, folder, configs, run, one, kinds):
    """What the two processes that many tests look at do in one start: gradients, runs, a run resumed."""
    with distributed.joined(world, store):
        for name, config in configs.items():
            found = gradients(config)
            torch.save(found, f'{folder}/{name}-{world.rank}.pt')
        for name, changes in kinds.items():
            train(dataclasses.replace(run, **changes), f'{folder}/{name}')
        train(run, one, checkpoint.newest_state(one))
        torch.save(torch.get_num_threads(), f'{folder}/threads-{world.rank}.pt')
        torch.save(measured(run), f'{folder}/measured-{world.rank}.pt')
        drifted(world, folder)


def measured(config):
    """FID and accuracy of 70 pictures: three batches, which two processes cannot share alike."""
    found = {}
    for name in ('fid', 'acc_mnist'):
        request = dataclasses.replace(parse(name), pictures=70)
        task = MetricTask(G=drawn.make_generator(), request=request,
                          dataset_kwargs=config.training_set_kwargs)
        found[name] = request.metric.compute(task)
    return found


def drifted(world, folder):
    """What the check says when one weight of one process is another."""
    module = torch.nn.Linear(2, 3)
    distributed.spread([module])
    distributed.check([module])
    if world.rank == 1:
        module.weight.data[1, 1] += 1e-6
    try:
        distributed.check([module])
    except ValueError as error:
        torch.save(str(error), f'{folder}/drifted-{world.rank}.pt')
    distributed.share(None)


def harmed(kind):
    """Works on together with the others, until something happens to the second process."""
    for count in range(10 ** 6):
        distributed.share(count)
        if distributed.rank() == 1 and count == 5:
            if kind == 'refused':
                raise ValueError('picture 7 in a.zip: found a hole, expected a picture')
            if kind == 'mistake':
                raise AttributeError('no such thing')
            signal.raise_signal(getattr(signal, kind))
            time.sleep(60)
