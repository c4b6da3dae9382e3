"""Two processes on two cores against one process with two threads, at the same total batch."""

import os
import statistics
import tempfile
import time

from tools.benchmarks import contenders, training


def table(networks: list[str], batch: int, rounds: int, seconds: float) -> None:
    """Prints images/s of whole training both ways; the two processes add up their gradients with gloo."""
    rows = []
    for network in networks:
        speeds = {'two threads': [], 'two processes': []}
        with tempfile.TemporaryDirectory() as folder:
            common = ('processes', network, 'mspe', str(contenders.ROOT), 'cpu', seconds)
            halves = [contenders.make_job(*common, batch=batch // 2, world=2, rank=rank,
                                          meet=os.path.join(folder, 'meet')) for rank in range(2)]
            one = contenders.Worker(contenders.make_job(*common, batch=batch, world=1), threads=2)
            two = [contenders.Worker(half, threads=1) for half in halves]
            for worker in [one, *two]:
                worker.answer()
            for _ in range(rounds):
                for name, workers in [('two threads', [one]), ('two processes', two)]:
                    for worker in workers:
                        worker.start()
                    took = max(worker.answer()['seconds'] for worker in workers)
                    speeds[name].append(batch / took)
            for worker in [one, *two]:
                worker.close()
        both = [statistics.median(values) for values in speeds.values()]
        pairs = statistics.median(b / a for a, b in zip(*speeds.values()))
        rows.append([network, str(batch), *(f'{speed:.1f}' for speed in both), f'{pairs:.2f}'])
    contenders.print_table('Training on two cores, elapsed time',
                           ['networks', 'batch', *(f'{name}, images/s' for name in speeds), 'ratio'], rows)


def prepare(job: dict):
    """A function that measures steps, the phases mixed as in training, by the clock."""
    import torch
    if job['world'] > 1:
        torch.distributed.init_process_group('gloo', init_method=f'file://{job["meet"]}', rank=job['rank'],
                                             world_size=job['world'])
    parts = training.step_parts(job, add_up if job['world'] > 1 else training.alone)
    cycle = max(interval for _, interval in parts.values())

    def measure():
        for run, _ in parts.values():
            run()
        start = time.perf_counter()
        for step in range(cycle):           # both processes run the same number of steps
            for run, interval in parts.values():
                if step % interval == 0:
                    run()
        return dict(seconds=(time.perf_counter() - start) / cycle)
    return measure


def add_up(gradients) -> None:
    import torch
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([each.numel() for each in gradients])):
        gradient.copy_(summed.view_as(gradient) / 2)
