"""The loader on hand-made folders and zips: contents, labels, subsets, flips, processes, damage."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe.dataset import (CLASSES, DemoDataset, ImageFolderDataset, construct_dataset,
                                    dataset_kwargs, open_dataset)
from stylegan2_mspe.picture_file import decode_picture, encode_png

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pictures(count=6, size=8, channels=3, seed=0):
    return np.random.RandomState(seed).randint(0, 256, [count, size, size, channels], np.uint8)


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, 'png')
    return buffer.getvalue()


def write_set(path, arrays, labels=None, names=None, extra=()):
    """A folder or zip of PNGs, 00000/img00000000.png ..., with a dataset.json where labels are given."""
    names = names or [f'{n // 1000:05d}/img{n:08d}.png' for n in range(len(arrays))]
    files = {**dict(zip(names, map(png, arrays))), **dict(extra)}
    if labels is not None:
        files['dataset.json'] = json.dumps({'labels': list(zip(names, labels))}).encode()
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in reversed(files.items()):  # the order inside the zip must not matter
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return str(path)


def contents(dataset):
    return np.stack([dataset[idx][0] for idx in range(len(dataset))])


@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('name', ['set.zip', 'set'])
def test_reads_every_kind(tmp_path, name, channels):
    arrays = pictures(channels=channels)
    dataset = ImageFolderDataset(write_set(tmp_path / name, arrays))
    assert len(dataset) == 6 and dataset.name == 'set'
    assert dataset.image_shape == [channels, 8, 8]
    assert dataset.num_channels == channels and dataset.resolution == 8
    assert not dataset.has_labels and dataset.label_shape == [0] and dataset.label_dim == 0
    picture, label = dataset[2]
    assert picture.dtype == np.uint8 and picture.flags.writeable and picture.flags.c_contiguous
    assert label.shape == (0,) and label.dtype == np.float32
    np.testing.assert_array_equal(contents(dataset), arrays.transpose(0, 3, 1, 2))


def test_items_belong_to_the_caller(tmp_path):
    path = write_set(tmp_path / 'set.zip', pictures(), labels=[[0.5, 1]] * 6)
    dataset = ImageFolderDataset(path, use_labels=True)
    picture, label = dataset[0]
    picture[:], label[:] = 0, 9
    assert dataset[0][0].any() and (dataset[0][1] == [0.5, 1]).all()


def test_class_labels_become_one_hot(tmp_path):
    path = write_set(tmp_path / 'set.zip', pictures(), labels=[2, 0, 1, 1, 4, 0])
    dataset = ImageFolderDataset(path, use_labels=True)
    assert dataset.has_labels and dataset.has_onehot_labels and dataset.label_shape == [5]
    np.testing.assert_array_equal([dataset[idx][1] for idx in range(6)], np.eye(5)[[2, 0, 1, 1, 4, 0]])
    assert dataset.get_details(4).raw_label == 4
    assert not ImageFolderDataset(path).has_labels


def test_vector_labels_stay(tmp_path):
    labels = [[n / 8, 2.0, -n] for n in range(6)]
    dataset = ImageFolderDataset(write_set(tmp_path / 'set', pictures(), labels=labels), use_labels=True)
    assert dataset.label_shape == [3] and not dataset.has_onehot_labels
    np.testing.assert_array_equal([dataset.get_label(idx) for idx in range(6)], np.float32(labels))


@pytest.mark.parametrize('data', [None, b'{"labels": null}', b'{"labels": []}', b'{}'])
def test_labels_asked_for_but_absent(tmp_path, data):
    extra = [] if data is None else [('dataset.json', data)]
    dataset = ImageFolderDataset(write_set(tmp_path / 'set.zip', pictures(), extra=extra), use_labels=True)
    assert not dataset.has_labels and dataset[0][1].shape == (0,)


@pytest.mark.parametrize('labels, sentence', [
    ([0, 1, 2], 'found no label for 00000/img00000003.png, expected one for every picture'),
    ([0, 1, 2, 3, -4, 5], 'expected a class'), ([0, 1, 2, 3, 4.5, 5], 'expected a class'),
    ([[1, 2], [1], [1], [1], [1], [1]], 'expected a class'), (['cat'] * 6, 'such as "cat", expected a class'),
    ([True] * 6, 'expected a class'), ([[float('nan')]] * 6, 'expected a class'),
])
def test_unusable_labels(tmp_path, labels, sentence):
    dataset = ImageFolderDataset(write_set(tmp_path / 'set.zip', pictures(), labels=labels), use_labels=True)
    with pytest.raises(ValueError, match=sentence) as error:
        dataset.label_dim
    assert str(error.value).startswith('dataset.json in ')


@pytest.mark.parametrize('data', [b'{"labels": [["a", 1]', b'[]', b'{"labels": [1]}', b'\xff'])
def test_malformed_json(tmp_path, data):
    path = write_set(tmp_path / 'set.zip', pictures(), extra=[('dataset.json', data)])
    with pytest.raises(ValueError, match=r'dataset.json in .*expected \{"labels"'):
        ImageFolderDataset(path, use_labels=True)[0]


def test_subset_is_random_sorted_and_repeatable(tmp_path):
    path = write_set(tmp_path / 'set.zip', pictures(40))
    subsets = [ImageFolderDataset(path, max_size=10, random_seed=seed) for seed in (0, 0, 1)]
    chosen = [[subset.get_details(idx).raw_idx for idx in range(10)] for subset in subsets]
    assert chosen[0] == sorted(set(chosen[0])) == chosen[1] != chosen[2]
    assert chosen[0] != list(range(10))
    assert len(ImageFolderDataset(path, max_size=99)) == 40
    with pytest.raises(ValueError, match='found a subset of 0 pictures, expected at least 1'):
        ImageFolderDataset(path, max_size=0)


def test_xflip_appends_mirrored_pictures(tmp_path):
    path = write_set(tmp_path / 'set.zip', pictures(7), labels=[0, 1, 2, 3, 4, 5, 6])
    dataset = ImageFolderDataset(path, max_size=4, xflip=True, use_labels=True)
    assert len(dataset) == 8
    np.testing.assert_array_equal(contents(dataset)[4:], contents(dataset)[:4, :, :, ::-1])
    np.testing.assert_array_equal(dataset.get_label(6), dataset.get_label(2))
    assert [dataset.get_details(idx).xflip for idx in (3, 4)] == [False, True]
    assert dataset.get_details(7).raw_idx == dataset.get_details(3).raw_idx


def test_sorted_by_path_and_only_pictures(tmp_path):
    arrays = pictures(3)
    path = write_set(tmp_path / 'set', arrays, names=['b/x.png', 'a.PNG', 'b/a/0.png'],
                     extra=[('notes.txt', b'x'), ('b/._x.png', b'x')])
    np.testing.assert_array_equal(contents(ImageFolderDataset(path)), arrays[[1, 2, 0]].transpose(0, 3, 1, 2))


@pytest.mark.parametrize('shape, found', [((16, 16, 3), '16x16 RGB'), ((8, 4, 3), '8x4 RGB'),
                                          ((8, 8, 1), '8x8 grey'), ((8, 8, 4), '8x8 RGBA')])
def test_odd_picture_is_named_when_read(tmp_path, shape, found):
    arrays = [*pictures(3), np.zeros(shape, np.uint8)]
    dataset = ImageFolderDataset(write_set(tmp_path / 'set.zip', arrays))
    assert dataset[2][0].shape == (3, 8, 8)
    sentence = f'img00000003.png in .*set.zip: found a picture of {found}, expected 8x8 RGB'
    with pytest.raises(ValueError, match=sentence):
        dataset[3]


@pytest.mark.parametrize('shape, found', [((8, 4, 3), '8x4 RGB'), ((12, 12, 1), '12x12 grey')])
def test_first_picture_must_be_square_and_a_power_of_two(tmp_path, shape, found):
    path = write_set(tmp_path / 'set', [np.zeros(shape, np.uint8)])
    sentence = f'found a picture of {found}, expected a square whose side is a power of two'
    with pytest.raises(ValueError, match=sentence):
        ImageFolderDataset(path)


def test_resolution_is_checked(tmp_path):
    path = write_set(tmp_path / 'set', pictures())
    assert ImageFolderDataset(path, resolution=8).resolution == 8
    with pytest.raises(ValueError, match='found a picture of 8x8 RGB, expected 16x16'):
        ImageFolderDataset(path, resolution=16)


def test_truncated_zip(tmp_path):
    whole = open(write_set(tmp_path / 'set.zip', pictures()), 'rb').read()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / 'cut.zip').write_bytes(whole[:size])
        sentence = f'cut.zip: found {size} bytes that are not a complete zip'
        with pytest.raises(ValueError, match=sentence) as error:
            ImageFolderDataset(str(tmp_path / 'cut.zip'))
        assert '\n' not in str(error.value)


def test_damaged_picture_is_named(tmp_path):
    arrays = pictures()
    path = write_set(tmp_path / 'set.zip', arrays)
    data = bytearray(open(path, 'rb').read())
    data[data.index(png(arrays[4])) + 60] ^= 255
    open(path, 'wb').write(data)
    with pytest.raises(ValueError, match='img00000004.png in .*found a damaged entry'):
        ImageFolderDataset(path)[4]
    folder = write_set(tmp_path / 'set', arrays)
    (tmp_path / 'set/00000/img00000002.png').write_bytes(png(arrays[2])[:80])
    with pytest.raises(ValueError, match='img00000002.png in .*found 80 bytes that do not decode'):
        ImageFolderDataset(folder)[2]


def test_no_dataset(tmp_path):
    (tmp_path / 'file.txt').write_text('x')
    empty = write_set(tmp_path / 'empty.zip', [], extra=[('readme.txt', b'x')])
    for path, sentence in [(str(tmp_path / 'nowhere'), 'found nothing there, expected a folder'),
                           (str(tmp_path / 'file.txt'), 'found a file that is not named .zip'),
                           (empty, 'found no pictures among 1 files'),
                           (str(tmp_path), 'found no pictures among 2 files')]:
        with pytest.raises(ValueError, match=sentence) as error:
            ImageFolderDataset(path)
        assert str(error.value).startswith(path)


def test_other_modes_are_converted_and_16_bits_refused():
    def decode(picture):
        buffer = io.BytesIO()
        picture.save(buffer, 'tiff' if picture.mode == 'CMYK' else 'png')
        return decode_picture(buffer.getvalue(), 'x')

    grey = Image.fromarray(pictures(1, channels=1)[0, :, :, 0])
    assert decode(grey.convert('P')).shape == decode(grey.convert('CMYK')).shape == (8, 8, 3)
    assert decode(grey.convert('1')).shape == (8, 8, 1) and set(decode(grey.convert('1')).ravel()) <= {0, 255}
    assert decode(grey.convert('LA')).shape == (8, 8, 4)
    with pytest.raises(ValueError, match='x: found a picture of mode I;16, expected 8 bits a channel'):
        decode(Image.fromarray(np.zeros([8, 8], np.uint16)))


@pytest.mark.parametrize('kind', ['png', 'jpeg', 'webp', 'bmp', 'gif', 'tiff', 'ppm'])
def test_every_kind_of_file(kind):
    buffer, picture = io.BytesIO(), Image.linear_gradient('L').convert('RGB').resize([8, 6])
    picture.save(buffer, kind)
    found = decode_picture(buffer.getvalue(), 'x')
    assert found.shape == (6, 8, 3) and np.abs(found - np.asarray(picture).astype(int)).max() < 16


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_round_trip(channels):
    array = np.random.RandomState(0).randint(0, 256, [5, 9, channels], np.uint8)
    np.testing.assert_array_equal(decode_picture(encode_png(array), 'x'), array)


def test_workers_and_threads_deliver_equal_data(tmp_path):
    torch = pytest.importorskip('torch')
    path = write_set(tmp_path / 'set.zip', pictures(24), labels=list(range(24)))
    dataset = ImageFolderDataset(path, use_labels=True)
    expected = contents(dataset)  # the parent's handle is open and in use before the workers start
    for _ in range(2):
        batches = list(torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2))
        np.testing.assert_array_equal(np.concatenate([batch[0].numpy() for batch in batches]), expected)
        np.testing.assert_array_equal(np.concatenate([batch[1].numpy() for batch in batches]), np.eye(24))
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda idx: dataset[idx % 24][0], range(480)))
    np.testing.assert_array_equal(threaded, np.tile(expected, [20, 1, 1, 1]))


def test_forked_process_reads_through_its_own_handle(tmp_path):
    dataset = ImageFolderDataset(write_set(tmp_path / 'set.zip', pictures(), labels=[0] * 6))
    parent = dataset._archive._open()
    if hasattr(os, 'fork'):
        child = os.fork()
        if child == 0:
            os._exit(0 if dataset._archive._open() is not parent else 1)
        assert os.waitpid(child, 0)[1] == 0
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy._archive._handle is None and dataset._archive._open() is parent
    np.testing.assert_array_equal(contents(copy), contents(dataset))
    dataset.close()
    np.testing.assert_array_equal(contents(copy), contents(dataset))  # opened again when read


def test_demo():
    dataset = DemoDataset(use_labels=True, xflip=True, max_size=30)
    assert dataset.name == 'demo' and dataset.image_shape == [3, 64, 64] and dataset.label_shape == [10]
    assert len(dataset) == 60 and len(DemoDataset()) == 60000
    picture, label = dataset[5]
    assert picture.shape == (3, 64, 64) and picture[:, :32, :32].any() and not picture[:, 32:].any()
    assert label.argmax() == dataset.get_details(5).raw_idx % 10
    np.testing.assert_array_equal(dataset[35][0], picture[:, :, ::-1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[5][0], picture)
    labels = DemoDataset(use_labels=True)._raw_labels()
    assert (np.bincount(labels) == 6000).all()
    with pytest.raises(ValueError, match='found resolution 32, expected demo at resolution 64'):
        DemoDataset(resolution=32)
    with pytest.raises(ValueError, match='found path x, expected demo'):
        DemoDataset('x')


def test_recorded_kwargs_open_the_same_dataset(tmp_path):
    path = write_set(tmp_path / 'set.zip', pictures())
    kwargs = json.loads(json.dumps(dataset_kwargs(path, max_size=3, xflip=True, use_labels=True)))
    assert kwargs == dict(class_name='training.dataset.ImageFolderDataset', path=path, resolution=None,
                          max_size=3, use_labels=True, xflip=True, random_seed=0)
    np.testing.assert_array_equal(contents(construct_dataset(**kwargs)),
                                  contents(open_dataset(path, max_size=3, xflip=True)))
    demo = dataset_kwargs('demo')
    assert type(construct_dataset(**demo)) is DemoDataset is CLASSES[demo['class_name']]
    with pytest.raises(ValueError, match='dataset class: found os.system, expected one of'):
        construct_dataset('os.system', command='true')


def test_needs_no_torch():
    code = ('import sys, stylegan2_mspe.dataset, stylegan2_mspe.dataset_writing; '
            'sys.exit("torch" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == 0


def test_a_fingerprint_is_of_the_pictures_and_their_order(tmp_path):
    arrays = pictures()
    folder, archive = (ImageFolderDataset(write_set(tmp_path / name, arrays)) for name in ('a', 'b.zip'))
    assert folder.fingerprint(range(6)) == archive.fingerprint(range(6))
    mirrored = ImageFolderDataset(folder._path, xflip=True)
    assert mirrored.fingerprint(range(6)) == folder.fingerprint(range(6))       # the flips come after
    others = [folder.fingerprint([0, 1, 2]), folder.fingerprint([0, 2, 1]), mirrored.fingerprint([0, 1, 8]),
              DemoDataset().fingerprint([0, 1, 2]), DemoDataset().fingerprint([0, 1, 3])]
    arrays[2, 3, 3, 0] ^= 1
    others.append(ImageFolderDataset(write_set(tmp_path / 'c.zip', arrays)).fingerprint([0, 1, 2]))
    assert len(set(others)) == 6
    assert DemoDataset(max_size=50).fingerprint(range(50)) == DemoDataset(max_size=50).fingerprint(range(50))
