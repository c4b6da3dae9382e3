"""What diffusion models of digits do: Fig. 9."""

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
    counting = lambda label, batches, of: diffusing.counting(len(networks) * batches * sum(of), label)
    parts, ways = -(-digits // fig9.BATCH), [min(steps, t) for t in fig9.TIMES]
    places = fig9.measure(networks, found, steps, counting('Reconstructing: steps', parts, ways))
    progress = counting('Sampling: steps', -(-fig9.SEEDS // fig9.BATCH), [steps])
    qualities = {label: fig9.judge(saved, asked.classifier, steps, progress)
                 for label, saved in networks.items()}
    shown = fig9.sheet(networks, found, counting('Sheet: steps', 1, fig9.TIMES))
    return Report(dict(data=found.source, places=[dataclasses.asdict(each) for each in places]),
                  {'': shown, '-places': fig9.plot(places)}, fig9.table(places),
                  fig9.claims(places, qualities), qualities)
