"""metric-<name>.jsonl: a line for each network that a metric was computed of."""

import json
import os
import time

from dnnlib.util import format_time
from stylegan2_mspe import run_folder
from stylegan2_mspe.default_network import SNAPSHOT
from stylegan2_mspe.metrics.calculation import Result


def path(folder: str, metric: str) -> str:
    return os.path.join(folder, f'metric-{metric}.jsonl')


def line(result: Result, network: str | None, num_gpus: int) -> dict:
    """What StyleGAN2-ADA writes of a metric, and the card. network: relative to the folder of the line."""
    return dict(results=result.results, metric=result.metric, total_time=result.seconds,
                total_time_str=format_time(result.seconds), num_gpus=num_gpus, snapshot_pkl=network,
                timestamp=time.time(), card=result.card)


def append(folder: str, fields: dict) -> None:
    run_folder.append_line(path(folder, fields['metric']), fields)


def lacking(folder: str, metrics: tuple[str, ...], network: str) -> list[str]:
    """Those of the metrics that have no line of this network."""
    return [metric for metric in metrics if network not in map(_network, _lines(path(folder, metric)))]


def cut(folder: str, kimg: int) -> None:
    """Drops lines of snapshots after `kimg`, and unfinished ones: a resumed run writes them anew."""
    for entry in os.scandir(folder):
        if entry.name.startswith('metric-') and entry.name.endswith('.jsonl'):
            run_folder.keep_lines(entry.path, lambda text: _kimg(_network(text)) <= kimg)


def _lines(file: str) -> list[str]:
    if not os.path.exists(file):
        return []
    with open(file, encoding='utf-8') as lines:
        return list(lines)


def _network(text: str) -> str | None:
    """The network that a line is of; None where it is no line."""
    try:
        return str(json.loads(text)['snapshot_pkl'])
    except (ValueError, KeyError, TypeError):
        return None


def _kimg(network: str | None) -> float:
    """When a snapshot was taken: other networks stay, and what is no line goes."""
    if network is None:
        return float('inf')
    match = SNAPSHOT.fullmatch(network)
    return int(match[1]) if match else 0
