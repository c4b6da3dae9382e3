"""An experiment as a command: what it asks for, what it is given, and that what it reports is written."""

import functools
import os
import pathlib

import click

from tools import cli, drawing
from tools.reproducing import opening
from tools.reproducing.report import Report, check_outdir, write

# ----- what can be asked for --------------------------------------------------------------------------------


def labelled_files(context, parameter, values):
    """label=FILE, or FILE or a role, which are their own labels -> {label: file or role}."""
    files = {}
    for value in values:
        label, file = (None, value) if os.path.exists(value) or '=' not in value else value.split('=', 1)
        label = label or pathlib.Path(file).stem
        if label in files:
            raise click.BadParameter(f'{label!r} twice: expected a label of its own for each, as in a={file}')
        files[label] = file
    return files


def networks(metavar: str = '[LABEL=]PKL', help: str = 'Network to measure'):
    return click.option('--network', 'files', metavar=metavar, multiple=True, callback=labelled_files,
                        help=f'{help}; several times for several  [default: those in the box]')


def count(name: str, default: int, help: str, least: int = 1):
    """An option for a number of something."""
    return click.option(name, type=click.IntRange(min=least), default=default, show_default=True, help=help)


def seeds(default: int):
    return count('--seeds', default, 'Number of latents')


def held_out(verb: str, digits: int) -> tuple:
    """Digits that no network was trained on: where they are from, and how many."""
    return (click.option('--data', metavar='FOLDER', help='The four MNIST files: their test digits are '
                         f'{verb}  [default: built-in digits, which networks of MNIST have not seen either]'),
            count('--digits', digits, 'Number of digits'))


# ----- what is given ----------------------------------------------------------------------------------------


class Asked:
    """What every experiment may need, opened where it asks for it."""

    def __init__(self, device: str, files: dict[str, str]):
        self.device, self.files = device, files     # {label: file or role}, then {label: file}

    def networks(self, roles=None) -> dict:
        """{label: G} of the networks named, else of those in the box of these roles (None: all of digits)."""
        from stylegan2_mspe import default_network

        self.files = opening.named_or_boxed(self.files, roles or default_network.DIGITS, default_network)
        return {label: self.network(file) for label, file in self.files.items()}

    def network(self, file: str):
        return opening.open_network(file, self.device)

    def unets(self, roles) -> dict:
        """{label: a diffusion model of digits}, chosen alike."""
        from ddpm_mspe import default_network

        self.files = opening.named_or_boxed(self.files, roles, default_network)
        return {label: opening.open_diffusion(file, self.device) for label, file in self.files.items()}

    @functools.cached_property
    def classifier(self):
        from stylegan2_mspe.classifier import load_classifier
        return load_classifier(device=cli.pick_device(self.device))

    def judge(self, networks: dict, count: int | None = None) -> dict:
        """{label: the quality of the network}, by so many latents."""
        from stylegan2_mspe import quality

        seeds = range(count or quality.SEEDS)
        progress = batches('quality: batches', len(seeds), len(networks))
        return {label: quality.measure(G, seeds, self.classifier, progress=progress)
                for label, G in networks.items()}


def batches(label: str, count: int, loops: int, size: int = 32):
    """What wraps each of several loops over batches of `count` latents, to show the progress of them all."""
    total = -(-count // size) * loops
    shown = iter(cli.progress(range(total), total, label))

    def wrap(loop):
        for batch in loop:
            next(shown)
            yield batch
    return wrap


# ----- the command ------------------------------------------------------------------------------------------


def experiment(name: str, *options):
    """Makes a command of a function (asked, and its options by name) that returns a Report.

    --outdir and --device come by themselves. The values of the options are written beside its numbers.
    """
    def make(measure) -> click.Command:
        def command(outdir, device, files=None, **values):
            check_outdir(outdir)
            asked = Asked(device, files)
            report: Report = measure(asked, **values)
            if files is not None:
                values['networks'] = {label: os.path.relpath(file) for label, file in asked.files.items()}
            write(name, outdir, values, report)

        outdir = click.option('--outdir', default='./out', show_default=True, help='Where results go')
        for option in (drawing.options('device'), outdir, *reversed(options)):
            command = option(command)
        return click.command(name, help=measure.__doc__)(command)
    return make
