"""Whether metrics can be computed on this machine, asked before anything long begins."""

from collections.abc import Iterable

import torch

from stylegan2_mspe.metrics.detectors import DIGITS, open_detector
from stylegan2_mspe.metrics.registry import parse


def require(metrics: Iterable[str], detectors: dict[str, str] | None = None) -> None:
    """Opens, or downloads, every detector that the metrics need. Raises ValueError where one can't be had, or
    one was given that none of them needs.
    """
    metrics, detectors = list(metrics), detectors or {}
    kinds = {parse(name).metric.detector or '' for name in metrics} - {''}
    for given, file in detectors.items():
        if not _is_used(given, file, kinds, detectors):
            raise ValueError(f'--detector={given and given + "="}{file}: found the metrics '
                             f'{", ".join(metrics)}, which are computed without it; expected others, or no '
                             'such option')
    for kind in sorted(kinds):
        open_detector(kind, detectors, torch.device('cpu'))


def _is_used(given: str, file: str, kinds: set[str], detectors: dict[str, str]) -> bool:
    """Whether any of the kinds that are needed is the one given or, given '', has no file of its own."""
    if DIGITS in kinds and file == DIGITS:
        return True
    others = kinds - {DIGITS}           # which is always the one in the box
    return given in others if given else any(kind not in detectors for kind in others)
