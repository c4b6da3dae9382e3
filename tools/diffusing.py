"""What the programs of the diffusion model share: options, opening a network, how many pictures at a time."""

import click

from ddpm_mspe.default_network import RUNS
from tools import cli

MOST = 64                       # pictures at a time

OPTIONS = {
    'network': click.option('--network', metavar='FILE', help='Network of train_ddpm.py, file or URL  '
                            f'[default: newest snapshot under {RUNS}, else the bundled one]'),
    'steps': click.option('--steps', type=click.IntRange(min=1), metavar='N',
                          help='Steps from noise to picture; all of the schedule is best and slowest'),
    'eta': click.option('--eta', type=click.FloatRange(0, 1), metavar='X', help='How much noise each step of '
                        'ddim draws  [default: 0]'),
}

options = cli.choose_options(OPTIONS)     # adds those of the names given to a program


def sampler_option(default: str):
    return click.option('--sampler', type=click.Choice(['ancestral', 'ddim']), default=default,
                        show_default=True, help="Ho et al.'s, which draws noise at each step, or DDIM")


def check_eta(sampler: str) -> None:
    """Raises ValueError for --eta with a sampler that has none."""
    cli.refuse_unused('--eta', sampler == 'ddim', f'--sampler={sampler}', '--sampler=ddim with it')


def open_network(network: str | None, device: str, precision: str):
    """(unet, diffusion, path): of that file or of the default one, which is said; ready on the device."""
    from ddpm_mspe import sampling
    from ddpm_mspe.default_network import default_network
    from ddpm_mspe.unet_file import load_unet

    where = cli.pick_device(device)
    network = network or default_network()
    print(f'Network: {network}')
    saved = load_unet(network)
    return sampling.prepare(saved.unet, where, precision), saved.diffusion, network


def batch_that_fits(unet, canvas, asked_by: str) -> int:
    """How many pictures to draw at a time. Raises ValueError in the words of `asked_by` where none fits."""
    from ddpm_mspe import sampling
    from stylegan2_mspe import free_memory

    needed, device = sampling.picture_bytes(unet, canvas), next(unet.parameters()).device
    return free_memory.batch_that_fits(needed, device, f'{asked_by}: a picture', MOST)


def check_steps(steps: int | None, diffusion) -> None:
    """Raises ValueError for more steps than the schedule has."""
    if steps is not None and steps > diffusion.steps:
        raise ValueError(f'--steps={steps}: expected 1 to {diffusion.steps}, the steps of the schedule')


def counting(total: int, label: str):
    """One progress line over the steps of several batches: a function that wraps each loop.

    total: steps in all.
    """
    import itertools

    ticks = cli.progress(itertools.repeat(None, total), total=total, label=label)

    def wrap(steps):
        for step in steps:
            next(ticks, None)
            yield step
    return wrap
