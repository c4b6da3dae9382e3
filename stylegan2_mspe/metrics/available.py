"""Whether metrics can be computed on this machine, asked before anything long begins."""

from collections.abc import Iterable

import torch

from stylegan2_mspe.metrics.detectors import open_detector
from stylegan2_mspe.metrics.registry import parse


def require(metrics: Iterable[str], detectors: dict[str, str] | None = None) -> None:
    """Opens, or downloads, every detector that the metrics need. Raises ValueError where one can't be had."""
    for kind in sorted({parse(name).metric.detector or '' for name in metrics} - {''}):
        open_detector(kind, detectors or {}, torch.device('cpu'))
