"""Repeats an experiment of the paper: one command, a picture, the numbers as JSON, what the paper says."""

import pathlib
import sys

import click

if not __package__:     # started as `python tools/reproduce.py`
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tools import cli  # noqa: E402
from tools.reproducing import canvases, diffusion, digits, emoji, inversion, tables, training  # noqa: E402

EXPERIMENTS = (
    digits.quality, digits.fig1, digits.fig2, digits.fig4, digits.fig_a, digits.fig_b,
    inversion.fig5, inversion.fig_c,
    canvases.canvas, canvases.fig6, canvases.fig7, canvases.fig8, canvases.fig_d,
    diffusion.fig9, diffusion.fig_e,
    tables.table1, tables.table2, tables.eqt,
    emoji.emoji,
    training.curves,
)


@click.group(context_settings=cli.SETTINGS, epilog='Example: python tools/reproduce.py fig2 --seeds=256')
def main():
    """Repeats an experiment of the paper; results go to ./out.

    Networks are those in the box unless --network names others: a file, LABEL=FILE, or one in the box by what
    it is: baseline, sspe, mspe, mspe-resize, mspe-plus, emoji-baseline or emoji-mspe. What a paper says of
    MS-PE is asked of the network labelled mspe, and so on.
    """


for each in EXPERIMENTS:
    main.add_command(each)


if __name__ == '__main__':
    cli.run(main)
