"""What one network draws on canvases of all kinds: the pictures of docs/canvas.md."""

import os

import click

from tools import drawing
from tools.reproducing.experiment import experiment
from tools.reproducing.report import Report


@experiment('canvas',
            click.option('--network', metavar='PKL',
                         help='Network to draw with  [default: the one in the box]'),
            click.option('--seeds', type=drawing.SeedsType(), default='2,9', show_default=True,
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
