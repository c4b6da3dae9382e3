"""Training pictures: a folder or zip of pictures with labels, or the built-in demo, one interface for both.

Nothing here needs torch: a DataLoader takes anything with a length and items.
"""

import hashlib
import json
import os
import pathlib
import zlib
from collections.abc import Iterable

import numpy as np

from stylegan2_mspe import digits
from stylegan2_mspe.archive import open_archive
from stylegan2_mspe.picture_file import decode_picture, describe, is_picture_name

DEMO = 'demo'
LABELS_FILE = 'dataset.json'
MAX_CLASSES = 100_000    # a label is that many numbers, and every network has a weight for each


class Dataset:
    """Pictures uint8 [C, H, W] with labels float32 [label_dim], in a fixed order.

    name: str                 for the run's name
    raw_shape: [N, C, H, W]   of the source, before the subset and the flips
    max_size: int | None      take this many pictures: a random subset by `random_seed`, in source order
    use_labels: bool          False gives labels of no entries
    xflip: bool               append every picture mirrored left-right

    `raw_idx` counts the pictures of the source, `idx` the items of this dataset. Subclasses offer
    `_read_picture(raw_idx)`, `_checksum(raw_idx)` (of what the picture is read from) and `_read_labels()`
    ([N] int64, [N, D] float32, or None where there are none).
    """

    def __init__(self, name: str, raw_shape: list[int], *, max_size: int | None = None,
                 use_labels: bool = False, xflip: bool = False, random_seed: int = 0):
        self._name, self._raw_shape, self._use_labels = name, list(raw_shape), bool(use_labels)
        self._labels = None
        if max_size is not None and max_size < 1:
            raise ValueError(f'{name}: found a subset of {max_size} pictures, expected at least 1')
        self._raw_idx = np.arange(raw_shape[0], dtype=np.int64)
        if max_size is not None and max_size < raw_shape[0]:
            self._raw_idx = np.sort(np.random.RandomState(random_seed).permutation(raw_shape[0])[:max_size])
        self._xflip = np.zeros(len(self._raw_idx), bool)
        if xflip:
            self._xflip = np.repeat([False, True], len(self._raw_idx))
            self._raw_idx = np.tile(self._raw_idx, 2)

    def _read_picture(self, raw_idx: int) -> np.ndarray:
        raise NotImplementedError

    def _checksum(self, raw_idx: int) -> int:
        raise NotImplementedError

    def _read_labels(self) -> np.ndarray | None:
        raise NotImplementedError

    def fingerprint(self, items: Iterable[int]) -> str:
        """A hash of the pictures of these items, in their order; the same for the same pictures elsewhere."""
        digest = hashlib.sha256(repr(self.image_shape).encode())
        for idx in items:
            digest.update(b'%d,%d;' % (self._checksum(int(self._raw_idx[idx])), self._xflip[idx]))
        return digest.hexdigest()

    def close(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self._raw_idx)

    def __getitem__(self, idx: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 [C, H, W] and label float32 [label_dim], both the caller's to change."""
        picture = self._read_picture(int(self._raw_idx[idx]))
        if self._xflip[idx]:
            picture = picture[:, :, ::-1]
        return np.array(picture, order='C'), self.get_label(idx)

    def _raw_labels(self) -> np.ndarray:
        if self._labels is None:
            labels = self._read_labels() if self._use_labels else None
            self._labels = np.zeros([self._raw_shape[0], 0], np.float32) if labels is None else labels
        return self._labels

    def get_label(self, idx: int) -> np.ndarray:
        """The label as the networks take it, float32 [label_dim]: one-hot for classes."""
        label = self._raw_labels()[self._raw_idx[idx]]
        if label.dtype != np.int64:
            return label.copy()
        one_hot = np.zeros(self.label_shape, np.float32)
        one_hot[label] = 1
        return one_hot

    def get_details(self, idx: int):
        """raw_idx, xflip and raw_label (class as int64 or vector) of an item."""
        import dnnlib

        raw_idx = int(self._raw_idx[idx])
        raw_label = self._raw_labels()[raw_idx].copy()
        return dnnlib.EasyDict(raw_idx=raw_idx, xflip=bool(self._xflip[idx]), raw_label=raw_label)

    @property
    def name(self) -> str:
        return self._name

    @property
    def image_shape(self) -> list[int]:
        return list(self._raw_shape[1:])

    @property
    def num_channels(self) -> int:
        return self.image_shape[0]

    @property
    def resolution(self) -> int:
        return self.image_shape[1]

    @property
    def label_shape(self) -> list[int]:
        labels = self._raw_labels()
        return [int(labels.max()) + 1] if labels.dtype == np.int64 else list(labels.shape[1:])

    @property
    def label_dim(self) -> int:
        return self.label_shape[0]

    @property
    def has_labels(self) -> bool:
        return self.label_dim > 0

    @property
    def has_onehot_labels(self) -> bool:
        return self._raw_labels().dtype == np.int64


class ImageFolderDataset(Dataset):
    """Pictures of a folder or zip, sorted by path, all of one size (a power of two, square) and colour kind.

    They are grey, RGB or RGBA. The first is checked when the dataset is opened and sets the size, every
    other when it is read: looking at all of a large set at the start would take too long.
    Labels come from dataset.json: {"labels": [[path, class or vector], ...]}.
    Raises ValueError for a path that is no dataset and for pictures and labels that do not fit.
    """

    def __init__(self, path: str, resolution: int | None = None, max_size: int | None = None,
                 use_labels: bool = False, xflip: bool = False, random_seed: int = 0,
                 name: str | None = None):
        self._path = os.fspath(path)
        self._archive = open_archive(self._path)
        self._names = [each for each in self._archive.names if is_picture_name(each)]
        if not self._names:
            raise ValueError(f'{self._path}: found no pictures among {len(self._archive.names)} files, '
                             'expected at least one, such as 00000/img00000000.png')
        self._shape = self._first_shape(resolution)
        height, width, channels = self._shape
        name = name or os.path.splitext(os.path.basename(os.path.abspath(self._path)))[0]
        super().__init__(name, [len(self._names), channels, height, width], max_size=max_size,
                         use_labels=use_labels, xflip=xflip, random_seed=random_seed)

    def _first_shape(self, resolution: int | None) -> tuple[int, int, int]:
        shape = self._decode(0).shape
        height, width, _ = shape
        if height != width or height & (height - 1) or resolution not in (None, height):
            expected = (f'{resolution}x{resolution}' if resolution else
                        'a square whose side is a power of two, as dataset_tool.py makes them')
            raise ValueError(f'{self._where(0)}: found a picture of {describe(shape)}, expected {expected}')
        return shape

    def _where(self, raw_idx: int) -> str:
        return f'{self._names[raw_idx]} in {self._path}'

    def _decode(self, raw_idx: int) -> np.ndarray:
        return decode_picture(self._archive.read(self._names[raw_idx]), self._where(raw_idx))

    def _read_picture(self, raw_idx: int) -> np.ndarray:
        pixels = self._decode(raw_idx)
        if pixels.shape != self._shape:
            raise ValueError(f'{self._where(raw_idx)}: found a picture of {describe(pixels.shape)}, '
                             f'expected {describe(self._shape)} as {self._names[0]}')
        return pixels.transpose(2, 0, 1)

    def _checksum(self, raw_idx: int) -> int:
        return self._archive.checksum(self._names[raw_idx])

    def _read_labels(self) -> np.ndarray | None:
        if LABELS_FILE not in self._archive.names:
            return None
        where = f'{LABELS_FILE} in {self._path}'
        labels = labels_of_json(self._archive.read(LABELS_FILE), where, self._archive.names)
        if labels is None:
            return None
        missing = next((name for name in self._names if name not in labels), None)
        if missing is not None:
            raise ValueError(f'{where}: found no label for {missing}, expected one for every picture')
        return _label_array([labels[name] for name in self._names], where)

    def close(self) -> None:
        self._archive.close()


def labels_of_json(data: bytes, where: str, names: Iterable[str]) -> dict[str, int | list[float]] | None:
    """Path → class or vector of a dataset.json; None where it holds none.

    Raises ValueError if it is malformed, has labels that are neither or labels a file that is not among
    `names`. Some labels may be None.
    """
    try:
        content = json.loads(data)
        pairs = content.get('labels') or []
        labels = {path.replace('\\', '/'): label for path, label in pairs}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'{where}: found something else ({error}), '
                         'expected {"labels": [[path, class or vector], ...]} or {"labels": null}') from error
    names = set(names)
    absent = next((path for path in labels if path not in names), None)
    if absent is not None:
        raise ValueError(f'{where}: found a label for {absent}, which is not there, '
                         'expected labels for files of the dataset only')
    known = [label for label in labels.values() if label is not None]
    if known:
        _label_array(known, where)
    return labels or None


def _label_array(labels: list, where: str) -> np.ndarray:
    """Classes as int64 [N] or vectors as float32 [N, D]."""
    try:
        array = np.array(labels)
    except ValueError:  # vectors of different lengths
        array = np.array([], object)
    if array.ndim == 1 and array.dtype.kind == 'i' and array.min() >= 0:
        if array.max() >= MAX_CLASSES:
            raise ValueError(f'{where}: found class {array.max()}, expected at most {MAX_CLASSES} classes')
        return array.astype(np.int64)
    if array.ndim == 2 and array.shape[1] and array.dtype.kind in 'if':
        array = array.astype(np.float32)
        if np.isfinite(array).all():
            return array
    raise ValueError(f'{where}: found labels such as {json.dumps(labels[0])}, '
                     'expected a class (0, 1, ...) for every picture, or finite vectors of one length')


class DemoDataset(Dataset):
    """The built-in data: 60,000 drawn digits in colour, 64x64, in the upper-left corner; drawn when read."""

    def __init__(self, path: str = DEMO, resolution: int | None = None, max_size: int | None = None,
                 use_labels: bool = False, xflip: bool = False, random_seed: int = 0):
        size = digits.RESOLUTION
        if path != DEMO or resolution not in (None, size):
            found = f'path {path}' if path != DEMO else f'resolution {resolution}'
            raise ValueError(f'demo data: found {found}, expected {DEMO} at resolution {size}')
        super().__init__(DEMO, [digits.NUM_CLASSES * digits.PER_CLASS, 3, size, size], max_size=max_size,
                         use_labels=use_labels, xflip=xflip, random_seed=random_seed)
        self._source = zlib.crc32(pathlib.Path(digits.__file__).read_bytes())   # of what draws the pictures

    def _read_picture(self, raw_idx: int) -> np.ndarray:
        return digits.demo_picture(raw_idx).transpose(2, 0, 1)

    def _checksum(self, raw_idx: int) -> int:
        return raw_idx + self._source * 10 ** 6

    def _read_labels(self) -> np.ndarray:
        return np.array([digits.demo_class(index) for index in range(self._raw_shape[0])], np.int64)


# Names of dataset classes that files may carry. What a file says is looked up here and never imported.
CLASSES = {
    'training.dataset.ImageFolderDataset': ImageFolderDataset,
    'stylegan2_mspe.dataset.ImageFolderDataset': ImageFolderDataset,
    'stylegan2_mspe.dataset.DemoDataset': DemoDataset,
}


def dataset_kwargs(data: str, *, resolution: int | None = None, max_size: int | None = None,
                   use_labels: bool = False, xflip: bool = False, random_seed: int = 0) -> dict:
    """What run folders and network files record of a dataset; `construct_dataset(**kwargs)` opens it again.

    `data` is 'demo', a folder or a zip; nothing is opened. The class name is StyleGAN2-ADA's if it has one.
    """
    demo, folder = 'stylegan2_mspe.dataset.DemoDataset', 'training.dataset.ImageFolderDataset'
    return dict(class_name=demo if data == DEMO else folder, path=os.fspath(data), resolution=resolution,
                max_size=max_size, use_labels=use_labels, xflip=xflip, random_seed=random_seed)


def construct_dataset(class_name: str, **kwargs) -> Dataset:
    """The dataset that `dataset_kwargs` describes. Raises ValueError for a class that is not in the table."""
    if class_name not in CLASSES:
        raise ValueError(f'dataset class: found {class_name}, expected one of {", ".join(CLASSES)}')
    return CLASSES[class_name](**kwargs)


def open_dataset(data: str, **kwargs) -> Dataset:
    """The dataset `data` names: 'demo', a folder or a zip; keywords as of `dataset_kwargs`."""
    return construct_dataset(**dataset_kwargs(data, **kwargs))
