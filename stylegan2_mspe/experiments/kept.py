"""Which digits are still what they are on the canvases of Fig. 6, 7 and 8, by network and canvas."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.experiments.claims import Claim, needs, settled
from stylegan2_mspe.experiments.markdown import table
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.experiments.views import View, look
from stylegan2_mspe.quality import Quality

MOST = 0.5
BETWEEN = ', between cells'     # ends the names of canvases on which digits are not at whole cells of the 4x4
                                # input; at whole cells the baseline moves its content as well
BY_BOX = ('similarity', 'error', 'kept', 'sure', 'ink')     # lists of a Kept


@dataclasses.dataclass(frozen=True)
class Kept:
    """One network's digits on one canvas, in each of its boxes."""
    network: str
    view: str
    similarity: list[float]             # to the digits of the trained picture (Eq. C), mean over seeds
    error: list[float]                  # standard error of that mean
    kept: list[float]                   # part that has the class it has in the trained picture
    sure: list[float]                   # part that is surely a digit, whichever
    ink: list[float]                    # mean grey in [0, 1]


def measure(networks: Mapping[str, torch.nn.Module], views: Callable[[torch.nn.Module], Mapping[str, View]],
            seeds: Sequence[int], classifier: DigitClassifier,
            progress: Callable[[Iterable], Iterable] = iter) -> list[Kept]:
    """Every network in every view; `views` gives those of a network by name, `progress` wraps each network's
    loop over batches.
    """
    found = []
    for network, G in networks.items():
        asked = views(G)
        seen, start = look(G, list(asked.values()), seeds, classifier, progress), 0
        for name, view in asked.items():
            part = slice(start, start := start + len(view.boxes))
            means = [getattr(seen, field)[part].mean(axis=1).tolist()
                     for field in ('similarity', 'kept', 'sure', 'ink')]
            error = standard_error(seen.similarity[part]).tolist()
            found.append(Kept(network, name, means[0], error, *means[1:]))
    return found


def summary(found: Sequence[Kept]) -> list[str]:
    """A Markdown table: networks by canvases, class kept and, in brackets, similarity, of every box."""
    views = list(dict.fromkeys(each.view for each in found))
    cells = {(each.network, each.view): ', '.join(f'{kept:.0%} ({alike:.2f})' for kept, alike in
                                                  zip(each.kept, each.similarity)) for each in found}
    return table(['class kept (similarity)', *views],
                 [[network, *(cells[network, view] for view in views)]
                  for network in dict.fromkeys(each.network for each in found)])


def values(found: Sequence[Kept], network: str, views: Sequence[str]) -> list[float]:
    """Parts that kept their class: of a network, in every box of these views."""
    return [share for each in found if each.network == network and each.view in views for share in each.kept]


def whole_and_between(found: Sequence[Kept]) -> tuple[list[str], list[str]]:
    """The names of the canvases with digits at whole cells of the 4x4 input, and between them."""
    views = list(dict.fromkeys(each.view for each in found))
    return ([view for view in views if not view.endswith(BETWEEN)],
            [view for view in views if view.endswith(BETWEEN)])


def claims(text: str, found: Sequence[Kept], qualities: dict[str, Quality]) -> list[Claim]:
    """What a figure shows of MS-PE (text); and that it is its doing, which is asked here."""
    whole, between = whole_and_between(found)
    return [most(text, found, 'mspe', whole, qualities),
            more("between cells more of MS-PE's digits do than of the baseline's", found, 'mspe',
                 ['baseline'], between, qualities),
            more('training without a border makes that more', found, 'mspe-plus', ['mspe'],
                 [*whole, *between], qualities)]


def most(text: str, found: Sequence[Kept], network: str, views: Sequence[str],
         qualities: dict[str, Quality]) -> Claim:
    """That more than half of a network's digits keep their class in every box of these views."""
    shares = values(found, network, views)
    if not shares:
        return needs(text, [network])
    return settled(text, f'{min(shares):.0%} at the worst', min(shares) > MOST, qualities, [network])


def more(text: str, found: Sequence[Kept], first: str, others: Sequence[str], views: Sequence[str],
         qualities: dict[str, Quality]) -> Claim:
    """That more of the first network's digits keep their class than of each of the others', in the mean over
    these views.
    """
    labels = [first, *others]
    shares = {label: values(found, label, views) for label in labels}
    if not all(shares.values()):
        return needs(text, [label for label, each in shares.items() if not each])
    ours, *theirs = means = [sum(each) / len(each) for each in shares.values()]
    said = ', '.join(f'{mean:.0%} of {label}' for mean, label in zip(means, labels))
    return settled(text, said, ours > max(theirs), qualities, labels)
