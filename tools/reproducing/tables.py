"""What metrics say of networks: Tables 1 and 2, and how equivariant networks are."""

import dataclasses

import click

from tools import cli
from tools.reproducing.experiment import count, experiment, networks
from tools.reproducing.report import Report

DATA = click.option('--data', metavar='PATH', required=True,
                    help='What the networks were trained with: a dataset zip, a folder, or demo')
PICTURES = count('--thousands', 5, 'Pictures of each network and size, in thousands, and as many real ones; '
                 "the paper's 50")
DETECTOR = cli.detector_option('  [default: digits, for pictures as small as those, where the others would '
                               'have to be downloaded]')


@experiment('table1', networks(), DATA, PICTURES, DETECTOR)
def table1(asked, data, thousands, detectors):
    """FID of pictures of 1, 1.5 and 2 times the trained size.

    Needs networks baseline, sspe, mspe, mspe-resize and mspe-plus.
    """
    from stylegan2_mspe.experiments import table1

    networks = asked.networks(table1.ROLES)
    scores = Scores(networks, data, detectors, ['fid'])

    def distance(G, size):
        at = '' if size is None else f'@{size[0]}x{size[1]}'
        return scores(G, f'fid{thousands}k{at}')[0]
    rows = table1.measure(networks, distance)
    pictures = {'': table1.plot(rows), '-samples': table1.samples(networks)}
    return scores.report(asked, rows, pictures, table1)


@experiment('table2', networks(), DATA, PICTURES, DETECTOR)
def table2(asked, data, thousands, detectors):
    """FID, precision and recall of pictures of the trained size.

    Needs networks baseline and mspe; others are measured beside them.
    """
    from stylegan2_mspe.experiments import table2

    networks = asked.networks(table2.ROLES)
    scores = Scores(networks, data, detectors, ['fid', 'pr3'])
    rows = scores.rows(table2.Row, f'fid{thousands}k', f'pr{thousands}k3')
    return scores.report(asked, rows, {'': table2.plot(rows)}, table2)


@experiment('eqt', networks(), DATA, PICTURES, DETECTOR)
def eqt(asked, data, thousands, detectors):
    """Equivariance to translation (EQ-T, in dB), round the picture and on a plane, beside the FID.

    Needs networks mspe and mspe-plus; others are measured beside them.
    """
    from stylegan2_mspe.experiments import eqt

    networks = asked.networks(eqt.ROLES)
    scores = Scores(networks, data, detectors, ['fid'])
    rows = scores.rows(eqt.Row, f'eqt{thousands}k_int', f'eqt{thousands}k_frac', f'fid{thousands}k')
    return scores.report(asked, rows, {'': eqt.picture(networks)}, eqt)


class Scores:
    """Computes metrics of networks against one dataset, with StyleGAN2's detectors or the one of digits."""

    def __init__(self, networks, data: str, given: dict[str, str], metrics: list[str]):
        from stylegan2_mspe import detector_file, digits
        from stylegan2_mspe.metrics.available import require
        from stylegan2_mspe.metrics.registry import parse

        self.networks, self.data, self.detectors, self.cards = networks, data, given, {}
        small = max(G.img_resolution for G in networks.values()) <= digits.RESOLUTION
        kinds = [parse(name).metric.detector for name in metrics]
        if small and not given and not all(map(detector_file.at_hand, kinds)):
            self.detectors = {'': 'digits'}
            print('Note: pictures are taken for digits, whose classifier is in the box; those of StyleGAN2 '
                  'are not at hand (--detector=FILE takes others).')
        require(metrics, self.detectors)        # one that can't be had is told before an hour's work

    def __call__(self, G, *metrics: str) -> list[float]:
        """The numbers of the metrics of these names, one after another."""
        from stylegan2_mspe.dataset import dataset_kwargs
        from stylegan2_mspe.metrics.calculation import calculate

        reals = dataset_kwargs(self.data, resolution=G.img_resolution, use_labels=G.c_dim > 0)
        numbers, shared = [], {}
        for metric in metrics:
            found = calculate(G, metric, dataset_kwargs=reals, detectors=self.detectors, shared=shared,
                              progress=cli.progress)
            self.cards[metric] = found.card
            numbers += found.results.values()
        return numbers

    def rows(self, row: type, *metrics: str) -> list:
        """A row of each network: its name, and the numbers of the metrics, one after another."""
        return [row(name, *self(G, *metrics)) for name, G in self.networks.items()]

    def report(self, asked, rows, pictures, experiment) -> Report:
        """Of the rows of an experiment (its module). Networks of digits are judged, too."""
        qualities = asked.judge(self.networks) if 'digits' in self.detectors.values() else None
        seen = ' and '.join(sorted({card['detector'] for card in self.cards.values() if 'detector' in card}))
        note = f'Seen by {seen}; the paper has the FID of Inception.'
        return Report(dict(rows=[dataclasses.asdict(row) for row in rows], measured=self.cards), pictures,
                      [note, *experiment.summary(rows)], experiment.claims(rows, qualities), qualities)
