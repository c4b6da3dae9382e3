"""What a training has left in its run folder: its curves."""

import functools

import click

from tools.reproducing.experiment import batches, count, experiment, labelled_files
from tools.reproducing.report import Report


@experiment('curves',
            click.option('--run', 'runs', metavar='[LABEL=]DIR', multiple=True, callback=labelled_files,
                         required=True, help='Run folder; several times for several'),
            count('--judge', 0, 'Number of latents to judge every snapshot by, as digits', least=0))
def curves(asked, runs, judge):
    """Training curves: losses, variety, and with --judge the quality of every snapshot (of a GAN)."""
    from stylegan2_mspe import default_network
    from stylegan2_mspe.experiments import curves

    found = [curves.read_run(label, folder) for label, folder in runs.items()]
    if judge:
        snapshots = [default_network.all_snapshots(folder) for folder in runs.values()]
        for folder, each in zip(runs.values(), snapshots):
            if not each:
                raise ValueError(f'--judge={judge}: found no network-snapshot-*.pkl in {folder}, expected '
                                 'at least one')
        progress = batches('snapshots', sum(map(len, snapshots)), 1, size=1)
        found = [curves.judge_snapshots(
            run, ((kimg, functools.partial(asked.network, file)) for kimg, file in progress(each)),
            judge, asked.classifier) for run, each in zip(found, snapshots)]
    return Report(dict(curves=[run.as_dict() for run in found]), {'': curves.plot(found)},
                  [f'{run.sentence()}.' for run in found])
