"""The metrics by name: what each needs, and what a name such as fid5k_full or fid@384x384 asks for."""

import dataclasses
import difflib
import importlib
import re
from collections.abc import Callable

MODULES = ('feature_metrics', 'path_length', 'digit_metrics', 'shift_metrics')     # that register metrics
COUNTED = re.compile(r'([a-z]+)([1-9]\d{0,4})k(\w*)')       # pr50k3_full is pr3, 50, full
COMMON = ('fid50k_full', 'kid50k_full', 'pr50k3_full', 'is50k', 'fid50k', 'kid50k', 'pr50k3')
SIZED = re.compile(r'(?P<base>\w+)@(?P<height>[1-9]\d{0,4})x(?P<width>[1-9]\d{0,4})')


@dataclasses.dataclass(frozen=True)
class Metric:
    """One kind of metric, as it was registered."""
    name: str
    compute: Callable               # (MetricTask) -> {ending of the name: number}
    pictures: int                   # generated, unless the name says how many
    detector: str | None            # inception, vgg16 or digits
    data: bool                      # whether it compares with a dataset
    sized: bool                     # whether name@HxW is one, too
    protocol: str                   # what is computed, for whoever compares numbers


@dataclasses.dataclass(frozen=True)
class Request:
    """What one name asks for."""
    text: str                       # the name as it was given
    metric: Metric
    pictures: int                   # generated
    full: bool                      # against the whole dataset, not as many of its pictures
    size: tuple[int, int] | None    # (height, width) of the generated pictures, None = the trained one


_metrics: dict[str, Metric] = {}


def register_metric(name: str, *, pictures: int, protocol: str, detector: str | None = None,
                    data: bool = False, sized: bool = False):
    """Registers a function (MetricTask) -> {ending: number} under a name; the module belongs in MODULES.

    The ending '' is the number called `name` itself; others are appended, as in pr50k3_full_precision. The
    other parameters are those of Metric.
    """
    def register(compute):
        assert name not in _metrics, name
        _metrics[name] = Metric(name, compute, pictures, detector, data, sized, protocol)
        return compute
    return register


def metrics() -> dict[str, Metric]:
    """All there are, by name."""
    for module in MODULES:
        importlib.import_module(f'stylegan2_mspe.metrics.{module}')
    return _metrics


def parse(text: str) -> Request:
    """What a name asks for.

    A bare name (fid, fid_mnist) is about the whole dataset; with a number of pictures in thousands
    (fid50k_full, kid5k, fid5k_mnist) `_full` says so. name@HxW draws pictures of that size. Raises ValueError
    for what is no name.
    """
    known, base, size = metrics(), text, None
    if match := SIZED.fullmatch(text):
        base, size = match['base'], (int(match['height']), int(match['width']))
    family, pictures, full = base, None, True
    if base not in known and (match := COUNTED.fullmatch(base)):
        family, full = match[1] + match[3].removesuffix('_full'), match[3].endswith('_full')
        pictures = 1000 * int(match[2])
    if family not in known or base.endswith('_full') and not known[family].data:
        raise _unknown(text, known)
    metric = known[family]
    if size is not None and not metric.sized:
        raise ValueError(f'--metrics={text}: found a size, expected {base} without one')
    return Request(text, metric, pictures or metric.pictures, full, size)


def _unknown(text: str, known) -> ValueError:
    names = sorted({*COMMON, *known})
    near = difflib.get_close_matches(text, names, n=3)
    hint = f'did you mean {" or ".join(near)}?' if near else f'expected some of {", ".join(names)}'
    return ValueError(f'--metrics={text} is not a metric; {hint}')
