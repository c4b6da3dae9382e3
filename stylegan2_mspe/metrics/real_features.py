"""Features of the dataset: computed once, and kept by what they were computed of."""

import hashlib
import json
import os
import warnings
import zipfile

import numpy as np
import torch

import dnnlib
from stylegan2_mspe import distributed, loading
from stylegan2_mspe.dataset import Dataset
from stylegan2_mspe.files import atomic_write
from stylegan2_mspe.metrics import samples
from stylegan2_mspe.metrics.detectors import Detector
from stylegan2_mspe.metrics.feature_statistics import Features, collect
from stylegan2_mspe.metrics.task import MetricTask

VERSION = 1                     # of what is kept; raised when the numbers change
READERS = 3                     # processes that read pictures for a GPU


def chosen(task: MetricTask, dataset: Dataset) -> np.ndarray:
    """The items that are looked at: all, or as many as are generated, drawn at random, in their order."""
    items, count = np.arange(len(dataset)), task.request.pictures
    if task.request.full or count >= len(items):
        return items
    return np.sort(np.random.RandomState(task.seed).permutation(items)[:count])


def real_features(task: MetricTask, detector: Detector, dataset: Dataset, keep: bool = False) -> Features:
    """Features of the real pictures, those of an earlier time where they are the same; keep: each of them."""
    items, first = chosen(task, dataset), distributed.is_first()
    # In each process: the others would give up waiting for one that reads a large folder.
    pictures = dataset.fingerprint(task.counted('checksums')(items))
    path = cache_path(dataset.name, pictures, detector)
    found = distributed.share(load(path, keep) if first else None)
    if found is None:
        found = collect(_features(task, detector, dataset, items), keep)
        if first:
            save(path, found)
    task.notes.update(real_pictures=found.count, real_sha256=pictures)
    return found


def _features(task, detector, dataset, items):
    """Features [n, D] of the items, in their order."""
    own = [items[part.start:part.stop] for part in samples.own_parts(len(items)) if part]
    cuda = task.device.type == 'cuda'
    pictures = loading.read(dataset, own, workers=READERS if cuda else 0, pin_memory=cuda)
    compute = lambda _: detector.features(next(pictures)[0].to(task.device))
    return samples.in_order(task, len(items), compute, 'real pictures, batches')


# ----- what is kept -----------------------------------------------------------------------------------------


def cache_path(name: str, pictures: str, detector: Detector) -> str:
    """Where the features of the pictures with this fingerprint, as the detector sees them, are kept."""
    key = json.dumps([VERSION, pictures, detector.name, detector.sha256, detector.filter])
    file = f'{name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz'
    return dnnlib.make_cache_dir_path('gan-metrics', file)


def load(path: str, keep: bool) -> Features | None:
    """What `save` has kept; None where there is nothing, or not all that is needed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values = torch.from_numpy(file['values']) if keep else None
            return Features(int(file['count']), torch.from_numpy(file['mean']),
                            torch.from_numpy(file['covariance']), values)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def save(path: str, features: Features) -> None:
    """Keeps them; a cache that can't be written is told of, no more."""
    arrays = dict(count=features.count, mean=features.mean.numpy(), covariance=features.covariance.numpy())
    if features.values is not None:
        arrays['values'] = features.values.numpy()
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with atomic_write(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        warnings.warn(f'statistics of the real pictures are not kept for the next time ({error})')
