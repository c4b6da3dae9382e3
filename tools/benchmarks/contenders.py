"""Who is measured: processes that build one contender's networks and wait while another's run."""

import functools
import importlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import click

ROOT = pathlib.Path(__file__).resolve().parents[2]

NETWORKS = {'small': 'mspe-small', 'paper256': 'paper256', 'mspe': 'mspe'}       # and the presets they are of
SIZES = {'small': 64, 'paper256': 256, 'mspe': 256}                              # pixels


# ----- the side that asks -----------------------------------------------------------------------------------


def contenders(device: str, peer: str | None) -> dict[str, str]:
    """name -> the folder its packages come from."""
    names = ['mspe', 'baseline', *(['plain'] if device == 'cpu' else [])]
    return {name: str(ROOT) for name in names} | ({'peer': peer} if peer else {})


def make_job(table: str, network: str, contender: str, folder: str, device: str, seconds: float,
             **more) -> dict:
    """All that a worker needs, as JSON can hold it: the networks' arguments, and how they are trained."""
    sys.path.insert(0, str(ROOT))
    from stylegan2_mspe import config
    row, size = config.PRESETS[NETWORKS[network]], SIZES[network]
    half = contender != 'plain' and (contender != 'peer' or device == 'cuda')
    values = config.TrainingConfig(
        training_set_kwargs={}, data_name='noise', resolution=size, img_channels=3, z_dim=row.z, w_dim=row.z,
        map_depth=row.maps, channel_base=row.cbase, channel_max=row.cmax, mbstd_group=row.mbstd,
        g_fp16_res=4 if half else 0, d_fp16_res=row.fp16_d if half else 0,
        pe='mspe' if contender in ('mspe', 'plain') else 'none')
    G = config.generator_kwargs(values)
    if contender == 'peer':
        del G['synthesis_kwargs']['pe']
    return dict(more, table=table, contender=contender, folder=folder, device=device, seconds=seconds, G=G,
                D=config.discriminator_kwargs(values),
                training=dict(lr=row.lr, gamma=row.gamma, pl=row.pl, mixing=row.mixing, ema=row.ema))


class Worker:
    """A process that says when it is ready, then measures for every line it reads; answers are JSON."""

    def __init__(self, job: dict, threads: int | None = None):
        environment = dict(os.environ, BENCHMARK_JOB=json.dumps(job))
        if threads is not None:
            environment['OMP_NUM_THREADS'] = str(threads)
        self.process = subprocess.Popen([sys.executable, str(ROOT / 'tools/benchmark.py')], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self) -> None:
        self.process.stdin.write('go\n')
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise click.ClickException('a contender ended early; its error is above')
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(jobs: dict[str, dict], rounds: int) -> dict[str, list[dict]]:
    """name -> the answers of its rounds; each round asks everyone in turn, so that a machine whose speed
    drifts treats them alike.
    """
    workers = {name: Worker(job) for name, job in jobs.items()}
    answers = {name: [] for name in jobs}
    try:
        for worker in workers.values():
            worker.answer()
        for _ in range(rounds):
            for name, worker in workers.items():
                worker.start()
                answers[name].append(worker.answer())
    finally:
        for worker in workers.values():
            worker.close()
    return answers


def median(answers: list[dict], key: str) -> float:
    return statistics.median(answer[key] for answer in answers)


def ratio(answers: dict[str, list[dict]], ours: str, other: str) -> str:
    """How many times faster `ours` is: the median of the rounds' ratios, or a dash."""
    if other not in answers:
        return '-'
    pairs = zip(answers[ours], answers[other])
    return f'{statistics.median(theirs["seconds"] / own["seconds"] for own, theirs in pairs):.3f}'


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Markdown, to be pasted into docs/benchmarks.md."""
    click.echo(f'\n{title}\n')
    for row in [header, ['---'] * len(header), *rows]:
        click.echo('| ' + ' | '.join(row) + ' |')


# ----- the side that answers --------------------------------------------------------------------------------


def work(job: dict) -> None:
    """Builds, warms up, and measures once for every line on stdin."""
    sys.path[:0] = list(dict.fromkeys([job['folder'], str(ROOT)]))
    import torch
    torch.manual_seed(0)
    if job['device'] == 'cuda':
        torch.backends.cudnn.benchmark = True
    elif job['contender'] != 'peer':
        from stylegan2_mspe.allocator import keep_freed_memory
        keep_freed_memory()
    measure = importlib.import_module(f'tools.benchmarks.{job["table"]}').prepare(job)
    print(json.dumps('ready'), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def networks(job: dict):
    """G and D of the contender, on the device, in training mode."""
    if job['contender'] == 'peer':
        from training import networks
    else:
        from stylegan2_mspe import networks
    G, D = networks.Generator(**job['G']), networks.Discriminator(**job['D'])
    if job['contender'] == 'plain':         # float32, and no kernel of ours
        from stylegan2_mspe.ops import native
        native.enabled = False
    elif job['contender'] != 'peer':
        for module in (G, D):
            networks.set_precision(module, networks.fast_dtype(job['device']))
    return G.to(job['device']).train(), D.to(job['device']).train()


def seconds_of(run, least: float, device: str) -> float:
    """Seconds that one call takes, from as many calls as take `least` seconds.

    On a GPU by its own events around all the calls, so that nothing waits in between; on a CPU with one
    thread the processor's time, which other programs do not change much, and else a clock's.
    """
    run()
    count = 1
    while True:
        took = time_of(run, count, device)
        if took >= least:
            return took / count
        count = max(count + 1, min(count * 100, math.ceil(count * least / max(took, 1e-9) * 1.1)))


def time_of(run, count: int, device: str) -> float:
    import torch
    if device == 'cuda':
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for _ in range(count):
            run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    for _ in range(count):
        run()
    return clock() - start


def peak_memory(device: str) -> float:
    """GB: on a GPU of what torch has held for tensors, on a CPU of the whole process; the most so far."""
    import torch
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 1e9
    import resource
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


@functools.cache
def where(device: str) -> str:
    """The device and the versions, for a table's title."""
    import torch
    if device == 'cuda':
        return f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}'
    threads = torch.get_num_threads()
    return (f'CPU, {threads} thread{"s" if threads > 1 else ""} '
            f'({"processor time" if threads == 1 else "elapsed time"}), torch {torch.__version__}')
