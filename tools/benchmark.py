"""Measures speed as ratios: against our own plain path and, with --peer, against StyleGAN2-ADA-PyTorch.

Every contender is a process of its own that waits while another runs; rounds are interleaved, and a ratio is
the median of the rounds' ratios, so that a machine whose speed drifts still gives the right answer.
"""

import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import click

ROOT = pathlib.Path(__file__).resolve().parents[1]

NETWORKS = {
    'small': dict(resolution=64, dim=64, layers=2, half_G=4, half_D=3,
                  synthesis=dict(channel_base=2048, channel_max=64)),
    'paper256': dict(resolution=256, dim=512, layers=8, half_G=4, half_D=4,
                     synthesis=dict(channel_base=16384, channel_max=512)),
}


TASKS = ('train', 'infer', 'dataset')


def names_of(known):
    """A comma list of known names."""
    def split(context, parameter, value):
        names = value.split(',')
        for name in names:
            if name not in known:
                raise click.BadParameter(f'{name!r}: expected a comma list of {", ".join(known)}')
        return names
    return split


@click.command(epilog='Example: python tools/benchmark.py --networks=small --peer=../stylegan2-ada-pytorch')
@click.option('--networks', default='small,paper256', show_default=True, callback=names_of(NETWORKS),
              help='comma list of small, paper256')
@click.option('--tasks', default='train,infer', show_default=True, callback=names_of(TASKS),
              help='comma list of train (G main + D main), infer, dataset')
@click.option('--batch', default=16, show_default=True, type=click.IntRange(min=2))
@click.option('--rounds', default=5, show_default=True, type=click.IntRange(min=1), help='interleaved rounds')
@click.option('--seconds', default=3.0, show_default=True, help='least time a contender runs in each round')
@click.option('--device', default='cpu', show_default=True, help='cpu or cuda')
@click.option('--peer', metavar='DIR', help='a StyleGAN2-ADA-PyTorch checkout to compare with')
def main(networks, tasks, batch, rounds, seconds, device, peer):
    """Prints images/s of training and inference and how many times faster our fast path is."""
    if peer and not os.path.isfile(os.path.join(peer, 'training', 'networks.py')):
        raise click.BadParameter(f'{peer}: found no StyleGAN2-ADA-PyTorch checkout', param_hint='--peer')
    contenders = {'mspe': None, 'baseline': None, 'plain': None} | ({'peer': peer} if peer else {})
    if 'dataset' in tasks:
        compare_datasets(rounds)
    for network in networks:
        for task in (task for task in tasks if task != 'dataset'):
            job = dict(network=network, task=task, batch=batch, seconds=seconds, device=device)
            workers = {name: Worker(dict(job, contender=name, folder=str(folder or ROOT)))
                       for name, folder in contenders.items()}
            speeds = {name: [] for name in workers}
            for index in range(rounds):
                for name, worker in workers.items():
                    speeds[name].append(worker.run())
                report(f'{network} {task} {index + 1}/{rounds}', speeds,
                       end='\r' if sys.stdout.isatty() else '')
            for worker in workers.values():
                worker.close()
            report(f'{network} {task}, batch {batch}, {device}', speeds, end='\n')


def report(title, speeds, end):
    if not end:
        return
    ratio = lambda name, other: statistics.median(a / b for a, b in zip(speeds[name], speeds[other]))
    parts = [f'{name} {statistics.median(values):.1f} img/s' for name, values in speeds.items()]
    parts.append(f'mspe/plain {ratio("mspe", "plain"):.2f}x')
    parts.append(f'mspe/baseline {ratio("mspe", "baseline"):.3f}')
    if 'peer' in speeds:
        parts.append(f'mspe/peer {ratio("mspe", "peer"):.2f}x')
    click.echo(f'{title}: ' + '   '.join(parts), nl=False)
    click.echo(end, nl=False)


class Worker:
    """A process that builds one contender's networks and answers every line it reads with its images/s."""

    def __init__(self, job):
        environment = dict(os.environ, BENCHMARK_JOB=json.dumps(job))
        self.process = subprocess.Popen([sys.executable, __file__], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self):
        self.process.stdin.write('go\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise click.ClickException('a contender ended early; its error is above')
        return float(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def work(job):
    """The contender's side of Worker."""
    sys.path.insert(0, job['folder'])
    import torch
    torch.manual_seed(0)
    G, D = build(job)
    run = dict(train=train_step, infer=infer_step)[job['task']](G, D, job['batch'], job['device'])
    for _ in range(2):
        run()
    for _ in sys.stdin:
        count, start = 0, time.perf_counter()
        while count < 2 or time.perf_counter() - start < job['seconds']:
            run()
            count += 1
        if job['device'] == 'cuda':
            torch.cuda.synchronize()
        print(count * job['batch'] / (time.perf_counter() - start), flush=True)


def build(job):
    """G and D of the contender, on the device, in training mode."""
    import torch
    preset = NETWORKS[job['network']]
    if job['contender'] == 'peer':
        from training import networks
    else:
        from stylegan2_mspe import networks
    half = job['contender'] not in ('plain', 'peer') or job['device'] == 'cuda'
    synthesis = dict(preset['synthesis'], num_fp16_res=preset['half_G'] if half else 0, conv_clamp=256)
    if job['contender'] in ('mspe', 'plain'):
        synthesis['pe'] = 'mspe'
    size = dict(img_resolution=preset['resolution'], img_channels=3)
    G = networks.Generator(preset['dim'], 0, preset['dim'], synthesis_kwargs=synthesis,
                           mapping_kwargs=dict(num_layers=preset['layers']), **size)
    D = networks.Discriminator(0, num_fp16_res=preset['half_D'] if half else 0, conv_clamp=256,
                               **preset['synthesis'], **size)
    if job['contender'] == 'plain':         # float32, and no kernel of ours
        from stylegan2_mspe.ops import native
        native.enabled = False
    elif job['contender'] != 'peer':
        for module in (G, D):
            networks.set_precision(module, networks.fast_dtype(job['device']))
    return G.to(job['device']).train(), D.to(job['device']).train()


def train_step(G, D, batch, device):
    """G main and D main with their optimizer steps; the real pictures are noise."""
    import torch
    real = torch.randn(batch, G.img_channels, G.img_resolution, G.img_resolution, device=device)
    c = torch.zeros(batch, 0, device=device)
    optimizers = [torch.optim.Adam(module.parameters(), lr=.002, betas=(0., .99)) for module in (G, D)]
    softplus = torch.nn.functional.softplus

    def step():
        z = torch.randn(batch, G.z_dim, device=device)
        D.requires_grad_(False)
        softplus(-D(G(z, c), c)).mean().backward()
        D.requires_grad_(True)
        with torch.no_grad():
            fake = G(z, c)
        (softplus(D(fake, c)).mean() + softplus(-D(real, c)).mean()).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return step


def infer_step(G, D, batch, device):
    """Pictures from latents, without gradients."""
    import torch
    G.eval()
    z, c = torch.randn(batch, G.z_dim, device=device), torch.zeros(batch, 0, device=device)

    def step():
        with torch.inference_mode():
            G(z, c, noise_mode='const')
    return step


# ----- dataset_tool -----------------------------------------------------------------------------------------

PHOTOS, PHOTO_SIZE, DATASET_SIZE = 400, (640, 480), 256     # JPEGs (width, height), cut and scaled to squares


def compare_datasets(rounds):
    """Prints pictures a second of dataset_tool per core, and of a plain Pillow loop doing the same."""
    sys.path.insert(0, str(ROOT))
    from stylegan2_mspe.conversion import _cpu_count, convert
    from stylegan2_mspe.fit import Fit
    from stylegan2_mspe.sources import open_source
    fit = Fit(transform='center-crop', width=DATASET_SIZE, height=DATASET_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        source, dest = (os.path.join(folder, name) for name in ('photos.zip', 'dataset.zip'))
        write_photos(source)
        cores = _cpu_count()
        runs = {'plain loop': lambda: plain_loop(source, dest),
                'one process': lambda: convert(open_source(source), dest, fit, workers=1),
                f'{cores} cores': lambda: convert(open_source(source), dest, fit, workers=cores)}
        walls, per_core = {name: [] for name in runs}, {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                start, used = time.perf_counter(), sum(os.times()[:4])
                run()
                walls[name].append(PHOTOS / (time.perf_counter() - start))
                per_core[name].append(PHOTOS / (sum(os.times()[:4]) - used))
    click.echo(f'dataset, {PHOTO_SIZE[0]}x{PHOTO_SIZE[1]} JPEG to {DATASET_SIZE}:')
    for name in runs:
        ratio = statistics.median(a / b for a, b in zip(per_core[name], per_core['plain loop']))
        click.echo(f'    {name}: {statistics.median(walls[name]):.0f} img/s, '
                   f'{statistics.median(per_core[name]):.0f} for each second of a core, '
                   f'{ratio:.2f}x the plain loop')


def write_photos(path):
    """A zip of JPEGs as smooth as photographs are; a few different ones, many times."""
    import numpy as np
    from PIL import Image
    random, photos = np.random.RandomState(0), []
    for _ in range(8):
        coarse = Image.fromarray(random.randint(0, 256, [30, 40, 3], np.uint8))
        coarse = coarse.resize(PHOTO_SIZE, Image.BICUBIC)
        noisy = np.clip(np.asarray(coarse) + random.normal(0, 6, [*PHOTO_SIZE[::-1], 3]), 0, 255)
        photos.append(io.BytesIO())
        Image.fromarray(noisy.astype(np.uint8)).save(photos[-1], 'jpeg', quality=90)
    with zipfile.ZipFile(path, 'w') as archive:
        for number in range(PHOTOS):
            archive.writestr(f'{number:04d}.jpg', photos[number % len(photos)].getvalue())


def plain_loop(source, dest):
    """What anyone would write first: open, crop, resize, save, one after the other."""
    from PIL import Image
    with zipfile.ZipFile(source) as photos, zipfile.ZipFile(dest, 'w') as dataset:
        for number, name in enumerate(photos.namelist()):
            picture = Image.open(io.BytesIO(photos.read(name))).convert('RGB')
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
            picture = picture.resize([DATASET_SIZE] * 2, Image.LANCZOS)
            buffer = io.BytesIO()
            picture.save(buffer, 'png', compress_level=0, optimize=False)
            dataset.writestr(f'{number:08d}.png', buffer.getvalue())


if __name__ == '__main__':
    work(json.loads(os.environ['BENCHMARK_JOB'])) if 'BENCHMARK_JOB' in os.environ else main()
