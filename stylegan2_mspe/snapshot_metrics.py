"""Metrics of a run's snapshots, in its metric-<name>.jsonl: of each when it is written, and when a killed run
goes on, those that its newest lacks.
"""

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator

import torch

from stylegan2_mspe import distributed, networks
from stylegan2_mspe.config import TrainingConfig
from stylegan2_mspe.metrics import log
from stylegan2_mspe.metrics.calculation import calculate
from stylegan2_mspe.metrics.task import Progress
from stylegan2_mspe.snapshots import snapshot_name


def measure(metrics: Iterable[str], G: torch.nn.Module, config: TrainingConfig, run_dir: str | None,
            kimg: int, *, say: Callable[[str], None], progress: Progress) -> dict[str, float]:
    """Computes the metrics of the averaged generator, as it is in the snapshot of `kimg`; their numbers.

    In float32, as calc_metrics.py does: the same number for the same network. Of several processes all have
    to call this, and the first, which has a run_dir, writes.
    """
    exact, shared, found = None, {}, {}
    for metric in metrics:
        if exact is None:
            exact = copy.deepcopy(G).eval().requires_grad_(False)
            networks.set_precision(exact, torch.float32)
        with whole_products():
            result = calculate(exact, metric, dataset_kwargs=config.training_set_kwargs, progress=progress,
                               shared=shared)
        found.update(result.results)
        if run_dir is not None:
            log.append(run_dir, log.line(result, snapshot_name(kimg), config.num_gpus))
            say(result.sentence())
    return found


@contextlib.contextmanager
def whole_products() -> Iterator[None]:
    """Inside, a GPU multiplies all bits of float32, whatever --allow-tf32 says of the training."""
    switches = torch.backends.cuda.matmul, torch.backends.cudnn
    allowed = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = False
        yield
    finally:
        for switch, before in zip(switches, allowed):
            switch.allow_tf32 = before


def measure_lacking(G: torch.nn.Module, config: TrainingConfig, run_dir: str | None, kimg: int,
                    **reports) -> None:
    """What a kill has kept from being computed of the snapshot of `kimg`, from which the run goes on."""
    lacking = []
    if run_dir is not None:
        log.cut(run_dir, kimg)
    if run_dir is not None and os.path.exists(os.path.join(run_dir, snapshot_name(kimg))):
        lacking = log.lacking(run_dir, config.metrics, snapshot_name(kimg))
    measure(distributed.share(lacking), G, config, run_dir, kimg, **reports)
