"""What networks of digits draw, there and elsewhere: quality, Fig. 1, 2, 4, A and B."""

import dataclasses

from tools.reproducing.experiment import batches, experiment, networks, seeds
from tools.reproducing.report import Report


@experiment('quality', networks(), seeds(1000))
def quality(asked, seeds):
    """How often a network draws each class, and how surely a digit."""
    found = asked.judge(asked.networks(), seeds)
    return Report({}, {}, [f'{label}: {each.sentence()}.' for label, each in found.items()], qualities=found)


@experiment('fig1', networks(), seeds(256))
def fig1(asked, seeds):
    """Digits asked for elsewhere: have they moved, are they stuck, are they destroyed?

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig1
    return fates(asked, seeds, fig1.SHIFTS, fig1.SHIFTS, fig1.SHOWN)


@experiment('figB', networks(), seeds(128))
def fig_b(asked, seeds):
    """As fig1, at many places all round the circle, with more latents shown.

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig1

    places = fig1.scattered(fig1.PLACES)
    return fates(asked, seeds, places, places[:fig1.COLUMNS], fig1.SHOWN_MORE)


def fates(asked, seeds, shifts, columns, shown) -> Report:
    """What becomes of digits after shifts, of which the columns are shown."""
    from stylegan2_mspe.experiments import fig1
    from stylegan2_mspe.experiments.claims import good_networks

    networks = asked.networks(fig1.ROLES)
    found = fig1.measure(networks, shifts, range(seeds), asked.classifier,
                         batches('batches', seeds, len(networks)))
    qualities = asked.judge(networks)
    numbers = dict(means=fig1.means(found), means_across=fig1.means(found, across=True),
                   fates=[dataclasses.asdict(each) for each in found])
    return Report(numbers,
                  {'': fig1.picture(networks, columns, shown)}, fig1.summary(found),
                  [good_networks(qualities), *fig1.claims(found, qualities)], qualities)


@experiment('fig2', networks(), seeds(1000))
def fig2(asked, seeds):
    """Digits after shifts of 0 to 32 pixels: similarity with themselves, and whether they can still be read.

    Needs networks baseline, sspe, mspe and mspe-plus.
    """
    from stylegan2_mspe.experiments import fig2

    networks = asked.networks(fig2.ROLES)
    result = fig2.measure(networks, range(seeds), asked.classifier,
                          batches('batches', seeds, len(networks) * len(fig2.DIRECTIONS)))
    return Report(dict(shifts=fig2.SHIFTS, curves=[dataclasses.asdict(curve) for curve in result.curves]),
                  {'': fig2.plot(result), '-digits': fig2.digits(networks, range(4))},
                  map(fig2.summary, result.curves), fig2.claims(result), result.qualities)


@experiment('fig4', networks(), seeds(32))
def fig4(asked, seeds):
    """How much pictures vary with the noise, over 100 noise maps.

    Needs networks sspe and mspe.
    """
    from stylegan2_mspe.experiments import fig4

    networks = asked.networks(fig4.ROLES)
    found = fig4.measure(networks, range(seeds), progress=batches('seeds', seeds, len(networks), size=1))
    qualities = asked.judge(networks)
    return Report(dict(maps=fig4.MAPS, deviations=[each.as_dict() for each in found]),
                  {'': fig4.picture(networks, found, range(seeds))},
                  [f'{each.sentence()}.' for each in found], fig4.claims(found, qualities), qualities)


@experiment('figA', networks(), seeds(256))
def fig_a(asked, seeds):
    """A digit at successive shifts, down and to the right, as a grid.

    Needs a network mspe; others are measured beside it.
    """
    from stylegan2_mspe.experiments import fig_a

    networks = asked.networks(fig_a.ROLES)
    tables = fig_a.measure(networks, range(seeds), asked.classifier, batches('batches', seeds, len(networks)))
    qualities = asked.judge(networks)
    return Report(dict(steps=fig_a.STEPS, tables=[dataclasses.asdict(table) for table in tables]),
                  {'': fig_a.picture(networks)}, map(fig_a.summary, tables), fig_a.claims(tables, qualities),
                  qualities)
