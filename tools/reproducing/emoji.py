"""What networks of emoji draw elsewhere: coloured pictures that fill their canvas."""

import dataclasses

from tools.reproducing.experiment import batches, experiment, networks, seeds
from tools.reproducing.report import Report


@experiment('emoji', networks(), seeds(256))
def emoji(asked, seeds):
    """How much of centred, coloured pictures is lost when they are moved.

    Needs networks emoji-baseline and emoji-mspe; others are measured beside them.
    """
    from stylegan2_mspe.experiments import emoji

    networks = asked.networks(emoji.ROLES)
    curves = emoji.measure(networks, range(seeds), batches('batches', seeds, len(networks)))
    return Report(dict(curves=[dataclasses.asdict(curve) for curve in curves]),
                  {'': emoji.plot(curves), '-samples': emoji.picture(networks)},
                  emoji.summary(curves), emoji.claims(curves))
