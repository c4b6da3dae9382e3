"""Sources of dataset_tool: CIFAR-10 without running its pickles, LMDB, folders as classes."""

import io
import pickle
import sys
import tarfile
import types

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe import cifar
from stylegan2_mspe.sources import open_source

BATCHES = [f'cifar-10-batches-py/data_batch_{number}' for number in range(1, 6)]


def random_pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'png')
    return buffer.getvalue()


# ----- CIFAR-10 ---------------------------------------------------------------------------------------------


def python2_batch(rows: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2's cPickle wrote the real ones: protocol 2, text and array data as byte strings."""
    def text(value):
        return b'U' + bytes([len(value)]) + value

    numbers = b''.join(b'K' + bytes([label]) for label in labels)
    raw = rows.tobytes()
    array = (b'cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85' + text(b'b') + b'\x87R'
             + b'(K\x01' + b'J' + len(rows).to_bytes(4, 'little') + b'M\x00\x0c\x86'
             + b'cnumpy\ndtype\n' + text(b'u1') + b'K\x00K\x01\x87R' + b'(K\x03' + text(b'|') + b'NNN'
             + b'J\xff\xff\xff\xff' * 2 + b'K\x00tb'
             + b'\x89T' + len(raw).to_bytes(4, 'little') + raw + b'tb')
    return (b'\x80\x02}(' + text(b'batch_label') + text(b'training batch 1 of 5') + text(b'labels')
            + b'](' + numbers + b'e' + text(b'data') + array + text(b'filenames')
            + b'](' + b''.join(text(b'a.png') for _ in labels) + b'e' + b'u.')


def write_cifar(folder, members):
    path = folder / cifar.ARCHIVE
    with tarfile.open(path, 'w:gz') as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def good_members():
    rows = random_pixels(5, 3, 3072)
    members = {name: python2_batch(rows[n], [n, 9, 0]) for n, name in enumerate(BATCHES)}
    return {'cifar-10-batches-py/readme.html': b'x', **members}, rows


def test_cifar_10_as_it_is_distributed(tmp_path):
    members, rows = good_members()
    assert pickle.loads(members[BATCHES[0]], encoding='latin1')['labels'] == [0, 9, 0]  # a genuine pickle
    source = open_source(write_cifar(tmp_path, members))
    items = list(source.items())
    assert source.count == len(items) == 15
    assert [item.label for item in items] == [n for batch in range(5) for n in (batch, 9, 0)]
    for batch, number in [(0, 0), (3, 1), (4, 2)]:
        picture = items[3 * batch + number].picture
        assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
        assert picture[5, 7, 0] == rows[batch, number, 5 * 32 + 7]              # red plane first
        assert picture[31, 0, 2] == rows[batch, number, 2048 + 31 * 32]


class Runs:
    def __reduce__(self):
        return eval, ("__import__('os').mkdir('executed')",)


@pytest.mark.parametrize('data, sentence', [
    (pickle.dumps(Runs()), 'asks for builtins.eval'),
    (pickle.dumps({'data': Runs(), 'labels': [1]}), 'asks for builtins.eval'),
    (b'cos\nsystem\n(S"mkdir executed"\ntR.', 'asks for os.system, which CIFAR-10 has no need of'),
    (pickle.dumps([1, 2]), 'expected data \\[N, 3072\\] and labels'),
    (pickle.dumps({'data': np.zeros([2, 3072], np.uint8), 'labels': [1, 10]}, 2), 'labels 0-9'),
    (pickle.dumps({'data': np.zeros([2, 3072], np.uint8), 'labels': [1]}, 2), 'labels 0-9'),
    (pickle.dumps({'data': np.zeros([2, 3072]), 'labels': [1, 2]}, 2), 'labels 0-9'),
    (python2_batch(np.zeros([0, 3072], np.uint8), []), 'labels 0-9'),
    (b'\x80\x05\x96' + (2 ** 42).to_bytes(8, 'little'), 'damaged pickle'),
    (python2_batch(random_pixels(3, 3072), [1, 2, 3])[:-2000], 'damaged pickle'),
    (b'', 'damaged pickle'),
])
def test_pickles_of_cifar_are_not_run(tmp_path, monkeypatch, data, sentence):
    monkeypatch.chdir(tmp_path)
    members, _ = good_members()
    path = write_cifar(tmp_path, {**members, BATCHES[3]: data})
    with pytest.raises(ValueError, match=sentence) as error:
        open_source(path)
    assert str(error.value).startswith('data_batch_4 in ') and '\n' not in str(error.value)
    assert not (tmp_path / 'executed').exists()


def test_damaged_archives_of_cifar(tmp_path, monkeypatch):
    members, _ = good_members()
    path = write_cifar(tmp_path, members)
    whole = open(path, 'rb').read()
    for data, sentence in [(b'', 'damaged archive|no data_batch_1'), (b'no gzip', 'damaged archive'),
                           (whole[:len(whole) // 2], 'damaged archive')]:
        open(path, 'wb').write(data)
        with pytest.raises(ValueError, match=sentence):
            open_source(path)
    del members[BATCHES[1]]
    with pytest.raises(ValueError, match='found no data_batch_2, expected the five batches'):
        open_source(write_cifar(tmp_path, members))
    monkeypatch.setattr(cifar, 'MAX_ARCHIVE_BYTES', 1 << 20)    # what unpacks to more is not unpacked
    path = write_cifar(tmp_path, {'padding': bytes(1 << 22)})
    with pytest.raises(ValueError, match='unpacks to more than 1048576 bytes'):
        open_source(path)


# ----- LMDB -------------------------------------------------------------------------------------------------


@pytest.fixture
def lmdb_folder(tmp_path, monkeypatch):
    """A folder cats_lmdb of three pictures: a real one, or a stand-in where the package is not installed."""
    pictures = {b'b': random_pixels(8, 8, 3), b'a\xff': random_pixels(8, 8, 3, seed=1), b'c': None}
    values = {key: b'not a picture' if each is None else png(each) for key, each in pictures.items()}
    path = tmp_path / 'cats_lmdb'
    try:
        import lmdb
        with lmdb.open(str(path), map_size=1 << 20) as database, database.begin(write=True) as transaction:
            for key, value in values.items():
                transaction.put(key, value)
    except ImportError:
        class Database:
            def stat(self):
                return {'entries': len(values)}

            def begin(self):
                return self

            def __enter__(self):
                return types.SimpleNamespace(cursor=lambda: iter(sorted(values.items())))

            def __exit__(self, *_):
                pass

        path.mkdir()
        (path / 'data.mdb').touch()
        monkeypatch.setitem(sys.modules, 'lmdb', types.SimpleNamespace(open=lambda *_, **__: Database(),
                                                                       Error=type('Error', (Exception,), {})))
    return path, pictures


def test_lmdb_in_the_order_of_its_keys(lmdb_folder):
    path, pictures = lmdb_folder
    source = open_source(str(path))
    items = list(source.items())
    assert source.count == 3 and [item.name[:2].strip() for item in items] == ['a\\', 'b', 'c']
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(items[1].picture))), pictures[b'b'])
    assert all(item.label is None for item in items)


def test_lmdb_without_the_package_or_the_data(tmp_path, lmdb_folder, monkeypatch):
    (tmp_path / 'dogs_lmdb').mkdir()
    with pytest.raises(ValueError, match='dogs_lmdb: found no data.mdb'):
        open_source(str(tmp_path / 'dogs_lmdb'))
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    with pytest.raises(ValueError, match='pip install lmdb'):
        open_source(str(lmdb_folder[0]))


def test_damaged_lmdb(tmp_path):
    pytest.importorskip('lmdb')
    (tmp_path / 'dogs_lmdb').mkdir()
    (tmp_path / 'dogs_lmdb/data.mdb').write_bytes(b'no database' * 1000)
    with pytest.raises(ValueError, match='found a damaged database'):
        open_source(str(tmp_path / 'dogs_lmdb'))


# ----- folders as classes -----------------------------------------------------------------------------------


def write_names(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(random_pixels(4, 4)))
    return str(folder)


@pytest.mark.parametrize('prefix', ['', 'train/', 'a/b/'])
def test_folders_are_classes_in_natural_order(tmp_path, prefix):
    names = ['class10/a.png', 'class2/x/y.png', 'class2/b.png', 'Zebra/c.png']
    path = write_names(tmp_path / 'in', [prefix + name for name in names])
    (tmp_path / 'in/dataset.json').write_text('{"labels": [["gone.png", 7]]}')     # not asked
    source = open_source(path, subfolders_as_labels=True)
    assert source.classes == ('Zebra', 'class2', 'class10')
    found = {item.name.split(' in ')[0].removeprefix(prefix): item.label for item in source.items()}
    assert found == {'Zebra/c.png': 0, 'class2/b.png': 1, 'class2/x/y.png': 1, 'class10/a.png': 2}


def test_folders_as_classes_need_folders(tmp_path):
    path = write_names(tmp_path / 'in', ['cats/a.png', 'b.png'])
    with pytest.raises(ValueError, match='--subfolders-as-labels: found b.png in no folder of'):
        open_source(path, subfolders_as_labels=True)
    with pytest.raises(ValueError, match='--subfolders-as-labels: found --source color-mnist:x'):
        open_source('color-mnist:x', subfolders_as_labels=True)
    assert open_source(write_names(tmp_path / 'one', ['cats/a.png']), subfolders_as_labels=True).classes == (
        'cats',)
