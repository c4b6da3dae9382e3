"""IDX files written by hand, whole and damaged."""

import gzip

import numpy as np
import pytest

from stylegan2_mspe import idx

IMAGES = bytes.fromhex('00000803 00000002 00000003 00000002') + bytes(range(12))  # two pictures of 3x2
LABELS = bytes.fromhex('00000801 00000002') + bytes([7, 4])


def write(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == '.gz' else data)
    return str(path)


@pytest.mark.parametrize('ending', ['', '.gz'])
def test_reads_images_and_labels(tmp_path, ending):
    write(tmp_path / ('train-images-idx3-ubyte' + ending), IMAGES)
    write(tmp_path / ('train-labels-idx1-ubyte' + ending), LABELS)
    digits, classes = idx.read_mnist(str(tmp_path))
    np.testing.assert_array_equal(digits, np.arange(12).reshape(2, 3, 2))
    np.testing.assert_array_equal(classes, [7, 4])


@pytest.mark.parametrize('data, sentence', [
    (b'', 'starts with nothing, expected 00000803'),
    (LABELS, 'starts with 00000801, expected 00000803'),
    (IMAGES[:9], 'found 9 bytes, expected an IDX header of 16'),
    (IMAGES[:-1], 'found 27 bytes, expected 28 for the 2x3x2 its header announces'),
    (IMAGES + b'x', 'found 29 bytes, expected 28'),
    (bytes.fromhex('00000803') + b'\xff' * 12, 'found 16 bytes, expected 79228162458924105385300197391'),
    (gzip.compress(IMAGES)[:-9], r'damaged gzip file \(.*\), expected a complete one'),
])
def test_damage_is_one_sentence(tmp_path, data, sentence):
    path = tmp_path / 'train-images-idx3-ubyte'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=sentence) as error:
        idx.read_idx(str(path), idx.IMAGES)
    assert str(error.value).startswith(str(path)) and '\n' not in str(error.value)


def test_counts_must_agree(tmp_path):
    write(tmp_path / 'train-images-idx3-ubyte', IMAGES)
    write(tmp_path / 'train-labels-idx1-ubyte', bytes.fromhex('00000801 00000003') + bytes([7, 4, 1]))
    with pytest.raises(ValueError, match='found 3 labels, expected one for each of the 2 images'):
        idx.read_mnist(str(tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match='no such file as train-images-idx3-ubyte.gz'):
        idx.read_mnist(str(tmp_path))
    with pytest.raises(ValueError, match='no such folder as train-images-idx3-ubyte.gz'):
        idx.read_mnist(str(tmp_path / 'nowhere'))
