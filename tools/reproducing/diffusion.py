"""What diffusion models of digits do: Fig. 9 and E."""

import dataclasses

from tools import diffusing
from tools.reproducing.experiment import count, experiment, held_out, networks
from tools.reproducing.report import Report

UNETS = networks('[LABEL=]FILE', 'Network of train_ddpm.py')


@experiment('fig9', UNETS, *held_out('reconstructed', 100),
            count('--steps', 100, 'Of the way back, at most; the pictures shown take all'))
def fig9(asked, data, digits, steps):
    """Diffusion models: are digits that are placed at the bottom left reconstructed there?

    Needs networks baseline and mspe.
    """
    from ddpm_mspe.experiments import fig9
    from stylegan2_mspe.experiments.held_out import held_out_digits

    networks, found = asked.unets(fig9.ROLES), held_out_digits(data, digits)
    few = [min(steps, t) for t in fig9.TIMES]
    places = fig9.measure(networks, found, steps, counting('Reconstructing', networks, digits, few))
    qualities = judge(asked, networks)
    shown = fig9.sources(found)[:fig9.SHOWN]
    ways = fig9.ways_back(networks, shown, counting('Sheet', networks, len(shown), fig9.TIMES), **fig9.FULL)
    return Report(dict(data=found.source, places=[dataclasses.asdict(each) for each in places]),
                  {'': fig9.sheet(shown, ways), '-places': fig9.plot(places)}, fig9.table(places),
                  fig9.claims(places, qualities), qualities)


@experiment('figE', UNETS, *held_out('reconstructed', 10))
def fig_e(asked, data, digits):
    """As fig9, with every step of the way back: a digit of each class, all of them shown.

    Needs networks baseline and mspe.
    """
    from ddpm_mspe.experiments import fig9
    from stylegan2_mspe.experiments.held_out import held_out_digits

    networks, found = asked.unets(fig9.ROLES), held_out_digits(data, digits)
    pictures = fig9.sources(found)
    ways = fig9.ways_back(networks, pictures, counting('Reconstructing', networks, digits, fig9.TIMES),
                          **fig9.FULL)
    places, qualities = fig9.places_of(pictures, ways), judge(asked, networks)
    return Report(dict(data=found.source, places=[dataclasses.asdict(each) for each in places]),
                  {'': fig9.sheet(pictures, ways)}, fig9.table(places), fig9.claims(places, qualities),
                  qualities)


def judge(asked, networks):
    """{label: whether the network's own digits can be read}"""
    from ddpm_mspe.experiments import fig9

    progress = counting('Sampling', networks, fig9.SEEDS, [fig9.JUDGED])
    return {label: fig9.judge(saved, asked.classifier, progress) for label, saved in networks.items()}


def counting(label, networks, pictures, steps):
    """One progress line for so many pictures of each network, each with all of these steps."""
    from ddpm_mspe.experiments.fig9 import BATCH
    return diffusing.counting(len(networks) * -(-pictures // BATCH) * sum(steps), f'{label}: steps')
