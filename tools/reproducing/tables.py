"""How good pictures are, in numbers: Tables 1 and 2."""

import dataclasses

import click

from tools import cli
from tools.reproducing.experiment import count, experiment, networks
from tools.reproducing.report import Report

DATA = click.option('--data', metavar='PATH', required=True,
                    help='What the networks were trained with: a dataset zip, a folder, or demo')
PICTURES = count('--thousands', 5, 'Pictures of each network and size, in thousands, and as many real ones; '
                 "the paper's 50")


def detector_files(context, parameter, values):
    """KIND=FILE, or FILE for every kind -> {kind: file}, '' for every kind."""
    pairs = (value.partition('=') if value.startswith(('inception=', 'vgg16=')) else ('', '', value)
             for value in values)
    return {kind: file for kind, _, file in pairs}


DETECTOR = click.option('--detector', metavar='[KIND=]FILE', multiple=True, callback=detector_files,
                        help='What sees the pictures: TorchScript files of inception and vgg16, or digits, '
                             'the classifier in the box  [default: digits, for pictures as small as those, '
                             'where the others would have to be downloaded]')


@experiment('table1', networks(), DATA, PICTURES, DETECTOR)
def table1(asked, data, thousands, detector):
    """FID of pictures of 1, 1.5 and 2 times the trained size.

    Needs networks baseline, sspe, mspe and mspe-resize.
    """
    from stylegan2_mspe.experiments import table1

    networks = asked.networks(table1.ROLES)
    scores = Scores(networks, data, detector, ['inception'])

    def distance(G, size):
        at = '' if size is None else f'@{size[0]}x{size[1]}'
        return scores(G, f'fid{thousands}k{at}')[0]
    rows = table1.measure(networks, distance)
    pictures = {'': table1.plot(rows), '-samples': table1.samples(networks)}
    return scores.report(asked, rows, pictures, table1.claims)


@experiment('table2', networks(), DATA, PICTURES, DETECTOR)
def table2(asked, data, thousands, detector):
    """FID, precision and recall of pictures of the trained size.

    Needs networks baseline and mspe; others are measured beside them.
    """
    from stylegan2_mspe.experiments import table2

    networks = asked.networks(table2.ROLES)
    scores = Scores(networks, data, detector, ['inception', 'vgg16'])
    rows = table2.measure(networks, lambda G: (*scores(G, f'fid{thousands}k'),
                                               *scores(G, f'pr{thousands}k3')))
    return scores.report(asked, rows, {'': table2.plot(rows)}, table2.claims)


class Scores:
    """Computes metrics of networks against one dataset, with StyleGAN2's detectors or the one of digits."""

    def __init__(self, networks, data: str, given: dict[str, str], kinds: list[str]):
        from stylegan2_mspe import detector_file, digits
        from stylegan2_mspe.dataset import dataset_kwargs
        from stylegan2_mspe.metrics.detectors import open_detector

        self.networks, self.dataset_kwargs, self.cards = networks, dataset_kwargs(data), {}
        self.detectors = given
        small = max(G.img_resolution for G in networks.values()) <= digits.RESOLUTION
        if small and not given and not all(map(detector_file.at_hand, kinds)):
            self.detectors = {'': 'digits'}
        for kind in kinds:                          # one that is missing is told before an hour's work
            open_detector(kind, self.detectors, next(next(iter(networks.values())).parameters()).device)

    def __call__(self, G, metric: str) -> list[float]:
        """The numbers of a metric of that name."""
        from stylegan2_mspe.metrics.calculation import calculate

        found = calculate(G, metric, dataset_kwargs=self.dataset_kwargs, detectors=self.detectors,
                          progress=cli.progress)
        self.cards[metric] = found.card
        return list(found.results.values())

    def report(self, asked, rows, pictures, claims) -> Report:
        """Of rows that these numbers are in. Networks of digits are judged, too."""
        qualities = asked.judge(self.networks) if 'digits' in self.detectors.values() else None
        seen = ' and '.join(sorted({card['detector'] for card in self.cards.values()}))
        note = f'Seen by {seen}; the paper has the FID of Inception.'
        return Report(dict(rows=[dataclasses.asdict(row) for row in rows], measured=self.cards), pictures,
                      [note, *(row.sentence() for row in rows)], claims(rows, qualities), qualities)
