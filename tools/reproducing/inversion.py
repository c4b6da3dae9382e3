"""Digits that are found again in a network: Fig. 5 and C."""

import dataclasses

from tools import cli
from tools.reproducing.experiment import count, experiment, held_out, networks
from tools.reproducing.report import Report

STEPS = count('--steps', 1000, 'Steps of every projection')


def progress(label: str):
    """Shows a loop over steps."""
    return lambda loop: cli.progress(loop, len(loop), label)


@experiment('fig5', networks(), *held_out('projected', 50), STEPS)
def fig5(asked, data, digits, steps):
    """Inversion of digits at other places than those of the training set, and of the places themselves.

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig5, found_places

    networks, found, scores, shown = projected(asked, data, digits, steps, fig5.PLACES, fig5.SHOWN)
    with_places = {label: network for label, network in networks.items() if label in fig5.SEARCHED}
    searches, places = found_places.search(with_places or networks, found, progress=progress)
    qualities = asked.judge(networks)
    numbers = dict(numbers_of(found, scores), searches=[dataclasses.asdict(each) for each in searches])
    lines = [*fig5.table(scores), *(each.sentence() for each in searches)]
    return Report(numbers, {'': shown, '-places': places}, lines, fig5.claims(scores, searches, qualities),
                  qualities)


@experiment('figC', networks(), *held_out('projected', 10), STEPS)
def fig_c(asked, data, digits, steps):
    """As fig5, at more places, with a digit of each class shown.

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig5

    networks, found, scores, shown = projected(asked, data, digits, steps, fig5.MORE, fig5.SHOWN_MORE)
    qualities = asked.judge(networks)
    return Report(numbers_of(found, scores), {'': shown}, fig5.table(scores),
                  fig5.more_claims(scores, qualities), qualities)


def projected(asked, data, digits, steps, places, shown):
    """(networks, digits, scores, picture): digits seen at these places, projected into every network."""
    from stylegan2_mspe.experiments import fig5
    from stylegan2_mspe.experiments.held_out import held_out_digits
    from stylegan2_mspe.inversion.projection import RECIPES

    networks, found = asked.networks(fig5.ROLES), held_out_digits(data, digits)
    recipe = dataclasses.replace(RECIPES['paper'], steps=steps)
    return networks, found, *fig5.measure(networks, found, asked.classifier, recipe, progress, places, shown)


def numbers_of(found, scores) -> dict:
    from stylegan2_mspe.experiments import fig5
    return dict(data=found.source, loss=fig5.LOSS, scores=[dataclasses.asdict(each) for each in scores])
