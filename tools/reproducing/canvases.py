"""What networks draw on canvases of all kinds: Fig. 6, 7, 8 and D, and the pictures of docs/canvas.md."""

import dataclasses
import os

import click

from tools.option_types import SeedsType
from tools.reproducing.experiment import batches, experiment, networks, seeds
from tools.reproducing.report import Report


@experiment('fig6', networks(), seeds(256))
def fig6(asked, seeds):
    """Digits at 1.5 and 2 times the trained size: are they still what they are?

    Needs networks baseline, sspe, mspe, mspe-resize and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig6
    return kept_digits(asked, seeds, fig6, fig6.views, fig6.picture)


@experiment('figD', networks(), seeds(128))
def fig_d(asked, seeds):
    """As fig6, at more sizes and aspect ratios, with more latents shown.

    Needs networks baseline, sspe, mspe, mspe-resize and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig6
    return kept_digits(asked, seeds, fig6, fig6.more_views, fig6.more_pictures)


@experiment('fig7', networks(), seeds(256))
def fig7(asked, seeds):
    """Expansion by repeating the stretch with the digit: is each copy still what it is?

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig7
    return kept_digits(asked, seeds, fig7, fig7.views, fig7.picture)


@experiment('fig8', networks(), seeds(256))
def fig8(asked, seeds):
    """More of the world than was trained: is the digit still what it is, and what is around it?

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig8

    networks = asked.networks(fig8.ROLES)
    found, around = fig8.measure(networks, range(seeds), asked.classifier,
                                 batches('batches', seeds, len(networks)))
    report = of_kept(asked, networks, fig8, found, fig8.picture)
    numbers = dict(report.numbers, around=[dataclasses.asdict(each) for each in around])
    lines = [*report.lines, *(f'{each.sentence()}.' for each in around)]
    return report._replace(numbers=numbers, lines=lines)


def kept_digits(asked, seeds, module, views, picture) -> Report:
    """What becomes of digits in these views of an experiment's networks."""
    from stylegan2_mspe.experiments import kept

    networks = asked.networks(module.ROLES)
    found = kept.measure(networks, views, range(seeds), asked.classifier,
                         batches('batches', seeds, len(networks)))
    return of_kept(asked, networks, module, found, picture)


def of_kept(asked, networks, module, found, picture) -> Report:
    from stylegan2_mspe.experiments import kept
    from stylegan2_mspe.experiments.claims import good_networks

    qualities = asked.judge(networks)
    claims = [good_networks(qualities), *module.claims(found, qualities)]
    return Report(dict(kept=[dataclasses.asdict(each) for each in found]), {'': picture(networks)},
                  kept.summary(found), claims, qualities)


@experiment('canvas',
            click.option('--network', metavar='PKL',
                         help='Network to draw with  [default: the one in the box]'),
            click.option('--seeds', type=SeedsType(), default='2,9', show_default=True,
                         help='Rows of the pictures'))
def canvas(asked, network, seeds):
    """The pictures of docs/canvas.md: shift, size, repetition, extrapolation, plane and leak."""
    from stylegan2_mspe import default_network
    from stylegan2_mspe.experiments import canvas

    network = network or default_network.bundled_network()
    G = asked.network(network)
    found = canvas.numbers(G, seeds)
    pictures = {f'-{name}': picture for name, picture in canvas.pictures(G, seeds).items()}
    lines = [f'On a plane, a shift by a quarter is the rolled picture to {found["rolled"]:.2g} of 255 '
             f'levels, and copies of a repeated stretch are alike to {found["repeated"]:.2g}.']
    return Report(dict(network=os.path.relpath(network), **found), pictures, lines)
