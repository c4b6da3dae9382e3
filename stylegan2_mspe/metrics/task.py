"""What a metric is computed of: the network, what it draws, the dataset, and what it may ask for."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch

from stylegan2_mspe.metrics.detectors import Detector, open_detector
from stylegan2_mspe.metrics.registry import Request
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rendering import trained_canvas

Progress = Callable[[Iterable, int, str], Iterable]     # wraps a loop: (iterable, its length, what it does)


def silent(loop: Iterable, total: int, label: str) -> Iterable:
    """No progress."""
    return loop


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricTask:
    """One metric of one network, in each of the processes that compute it together."""
    G: torch.nn.Module                      # in eval mode, on its device
    request: Request                        # which metric, how many pictures, against what, at what size
    dataset_kwargs: dict | None = None      # of dataset.construct_dataset, as a network file records them
    seed: int = 0                           # sample i is the picture of seed · 10^6 + i
    detectors: dict[str, str] = dataclasses.field(default_factory=dict)     # as `open_detector` takes them
    progress: Progress = silent
    shared: dict = dataclasses.field(default_factory=dict)  # features that other metrics of G have left
    notes: dict = dataclasses.field(default_factory=dict)   # what compute adds to the card of its number

    @property
    def device(self) -> torch.device:
        return next(self.G.parameters()).device

    def counted(self, what: str) -> Callable[[Sequence], Iterable]:
        """Wraps a loop, so that its progress is shown; what: it goes through."""
        return lambda loop: self.progress(loop, len(loop), f'{self.request.text}: {what}')

    def detector(self) -> Detector:
        """The one that the metric is registered with. Raises ValueError where it can't be had."""
        return open_detector(self.request.metric.detector, self.detectors, self.device)

    @property
    def canvas(self) -> Canvas | None:
        """What is drawn, None = the trained picture."""
        size = self.request.size
        return size and trained_canvas(self.G).resized(*size)
