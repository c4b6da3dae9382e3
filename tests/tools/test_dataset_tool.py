"""dataset_tool.py on hand-made sources: what it writes, that it repeats, and what it refuses."""

import gzip
import io
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import dataset_writing, digits, sources
from stylegan2_mspe.dataset_writing import convert
from stylegan2_mspe.dataset import ImageFolderDataset
from stylegan2_mspe.fit import Fit
from stylegan2_mspe.sources import Item, Source, color_mnist, open_source
from tools import dataset_tool

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = [sys.executable, os.path.join(ROOT, 'dataset_tool.py')]


def tool(*args, **kwargs):
    return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, **kwargs)


def save(path, pixels, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **kwargs)


def random_pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def write_mnist(folder, count=200, seed=0):
    """MNIST-like IDX files: random 28x28 digits, many nines, every class present."""
    random = np.random.RandomState(seed)
    skewed = np.minimum(random.randint(0, 14, count - 10), 9)
    classes = np.concatenate([np.arange(10), skewed]).astype(np.uint8)
    pictures = random.randint(0, 256, [count, 28, 28], np.uint8)
    folder.mkdir(exist_ok=True)
    for name, magic, array in (('train-images-idx3-ubyte.gz', 0x803, pictures),
                               ('train-labels-idx1-ubyte.gz', 0x801, classes)):
        header = struct.pack(f'>{1 + array.ndim}I', magic, *array.shape)
        (folder / name).write_bytes(gzip.compress(header + array.tobytes(), 1))
    return pictures, classes


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# ----- what it writes ---------------------------------------------------------------------------------------


def test_folder_to_zip_keeps_order_labels_and_pixels(tmp_path):
    arrays = {'b/2.png': random_pixels(8, 8, 3), 'a/1.png': random_pixels(8, 8, 3, seed=1)}
    for name, pixels in arrays.items():
        save(tmp_path / 'in' / name, pixels)
    (tmp_path / 'in/dataset.json').write_text(json.dumps({'labels': [['a/1.png', 3], ['b/2.png', 5]]}))
    result = tool('--source', tmp_path / 'in', '--dest', tmp_path / 'new/out.zip')
    assert result.returncode == 0, result.stderr
    assert result.stdout == f'{tmp_path}/new/out.zip: 2 pictures\n' and result.stderr == ''
    with zipfile.ZipFile(tmp_path / 'new/out.zip') as archive:
        names = ['00000/img00000000.png', '00000/img00000001.png']
        assert archive.namelist() == [*names, 'dataset.json']
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert len({info.date_time for info in archive.infolist()} | {(1980, 1, 1, 0, 0, 0)}) == 1
        assert json.loads(archive.read('dataset.json')) == {'labels': [[names[0], 3], [names[1], 5]]}
        png = archive.read(names[0])
    assert len(png) > 8 * 8 * 3  # not compressed
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), arrays['a/1.png'])
    assert os.listdir(tmp_path / 'new') == ['out.zip']


@pytest.mark.parametrize('shape, channels', [((8, 8), 1), ((8, 8, 3), 3), ((8, 8, 4), 4)])
def test_grey_rgb_and_rgba_through_zip_and_folder(tmp_path, shape, channels):
    for n in range(3):
        save(tmp_path / f'in/{n}.png', random_pixels(*shape, seed=n))
    assert convert(open_source(str(tmp_path / 'in')), str(tmp_path / 'out.zip')) == 3
    assert convert(open_source(str(tmp_path / 'out.zip')), str(tmp_path / 'out')) == 3
    assert not (tmp_path / 'out.part').exists()
    for path in ('out.zip', 'out'):
        dataset = ImageFolderDataset(str(tmp_path / path), use_labels=True)
        assert dataset.image_shape == [channels, 8, 8] and not dataset.has_labels
        for n in range(3):
            pixels = random_pixels(*shape, seed=n).reshape(8, 8, channels)
            np.testing.assert_array_equal(dataset[n][0].transpose(1, 2, 0), pixels)


def test_a_picture_without_label_leaves_none(tmp_path):
    save(tmp_path / 'in/0.png', random_pixels(4, 4))
    save(tmp_path / 'in/1.png', random_pixels(4, 4))
    (tmp_path / 'in/dataset.json').write_text('{"labels": [["0.png", 1]]}')
    convert(open_source(str(tmp_path / 'in')), str(tmp_path / 'out.zip'))
    assert json.loads(entries(tmp_path / 'out.zip')['dataset.json']) == {'labels': None}


def test_mnist_is_padded_to_32(tmp_path):
    pictures, classes = write_mnist(tmp_path / 'mnist', 80)
    source = tmp_path / 'mnist/train-images-idx3-ubyte.gz'
    assert tool('--source', source, '--dest', tmp_path / 'out.zip', '--max_images', 70).returncode == 0
    dataset = ImageFolderDataset(str(tmp_path / 'out.zip'), use_labels=True)
    assert len(dataset) == 70 and dataset.image_shape == [1, 32, 32]
    for n in (0, 33, 69):
        np.testing.assert_array_equal(dataset[n][0][0], np.pad(pictures[n], 2))
        assert dataset[n][1].argmax() == classes[n]
    os.remove(tmp_path / 'mnist/train-labels-idx1-ubyte.gz')
    with pytest.raises(ValueError, match='train-labels-idx1-ubyte.gz: found nothing there'):
        open_source(str(source))


def test_file_numbers_and_folders(tmp_path):
    item = Item('x', np.zeros([1, 1, 1], np.uint8), 0)
    convert(Source(2001, lambda: itertools.repeat(item, 2001)), str(tmp_path / 'out.zip'), workers=1)
    names = list(entries(tmp_path / 'out.zip'))
    assert names[999] == '00000/img00000999.png' and names[1000] == '00001/img00001000.png'
    assert names[2000] == '00002/img00002000.png'


# ----- Color-MNIST ------------------------------------------------------------------------------------------


def test_color_mnist_is_uniform_shuffled_and_drawn_from_the_source(tmp_path):
    pictures, classes = write_mnist(tmp_path / 'mnist')
    source = color_mnist(str(tmp_path / 'mnist'), seed=0, per_class=25)
    items = list(source.items())
    labels = [item.label for item in items]
    assert source.count == len(items) == 250 and (np.bincount(labels) == 25).all()
    places = [int(item.name.split()[1]) for item in items]  # 'digit 17 of ...'
    assert (np.diff(places) < 0).mean() > 0.4 and len(set(labels[:40])) > 5  # shuffled
    originals = {(picture // 2).tobytes(): label for picture, label in zip(pictures, classes)}
    for item in items[:50]:
        digit = item.picture.max(2)[2:30, 2:30]  # the strongest colour carries the full value
        assert originals[(digit // 2).tobytes()] == item.label
        assert not item.picture[:, 32:].any() and not item.picture[32:].any()
    colours = np.array([item.picture.reshape(-1, 3).max(0) for item in items])
    assert (colours.max(1) >= 250).all() and (colours.min(1) == 0).all()  # full value, full saturation
    assert len(np.unique(colours, axis=0)) > 150


def test_color_mnist_is_60000_by_default(tmp_path):
    write_mnist(tmp_path / 'mnist')
    source = open_source(f'color-mnist:{tmp_path}/mnist')
    assert source.count == 60000 == 10 * digits.PER_CLASS


def test_same_seed_same_bytes_on_any_number_of_processes(tmp_path):
    write_mnist(tmp_path / 'mnist')
    name = f'color-mnist:{tmp_path}/mnist'
    args = ['--source', name, '--max-images=150', '--dest']
    assert tool(*args, tmp_path / 'a.zip').returncode == 0
    assert tool(*args, tmp_path / 'c.zip', '--seed=1').returncode == 0
    for workers in (1, 2):
        convert(open_source(name), str(tmp_path / 'b.zip'), max_images=150, workers=workers)
        assert (tmp_path / 'b.zip').read_bytes() == (tmp_path / 'a.zip').read_bytes()
    assert entries(tmp_path / 'a.zip') != entries(tmp_path / 'c.zip')


# ----- options through the program --------------------------------------------------------------------------


def run(*args):
    """The program in this process; its output, or the ValueError it ends with."""
    result = CliRunner().invoke(dataset_tool.main, [*map(str, args)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_channels_and_background(tmp_path):
    rgba = random_pixels(8, 8, 4)
    rgba[0, 0, 3] = 0
    save(tmp_path / 'in/0.png', rgba)
    save(tmp_path / 'in/1.png', random_pixels(8, 8))
    args = ['--source', tmp_path / 'in', '--dest', tmp_path / 'o.zip']
    with pytest.raises(ValueError, match='8x8 grey, expected 8x8 RGBA as the first .use --force-channels'):
        run(*args)
    for options, shape, corner in [(['--force-channels=1', '--background=white'], (1, 8, 8), 255),
                                   (['--force_channels=3'], (3, 8, 8), 0),
                                   (['--force-channels=3', '--background=9,9,9'], (3, 8, 8), 9),
                                   (['--force-channels=4'], (4, 8, 8), rgba[0, 0])]:
        run(*args, *options)
        picture = ImageFolderDataset(str(tmp_path / 'o.zip'))[0][0]
        assert picture.shape == shape and (picture[:, 0, 0] == corner).all()
    result = CliRunner().invoke(dataset_tool.main, [*map(str, args), '--background=whitish'])
    assert result.exit_code == 2 and "found 'whitish', expected a colour such as white" in result.output


def test_subfolders_as_labels(tmp_path):
    for name in ('dogs/0.png', 'cats/1.png', 'dogs/2.png'):
        save(tmp_path / 'in' / name, random_pixels(8, 8, 3))
    output = run('--source', tmp_path / 'in', '--dest', tmp_path / 'o.zip', '--subfolders-as-labels')
    assert output.endswith('o.zip: 3 pictures\n2 classes: 0 cats, 1 dogs\n')
    labels = json.loads(entries(tmp_path / 'o.zip')['dataset.json'])['labels']
    assert [label for _, label in labels] == [0, 1, 1]


def test_skip_bad_names_what_it_leaves_out(tmp_path):
    for n in range(3):
        save(tmp_path / f'in/{n}.png', random_pixels(8, 8, 3, seed=n))
    (tmp_path / 'in/1.png').write_bytes(b'x')
    args = ['--source', tmp_path / 'in', '--dest', tmp_path / 'o.zip']
    with pytest.raises(ValueError, match='1.png in .*do not decode'):
        run(*args)
    assert os.listdir(tmp_path) == ['in']
    output = run(*args, '--skip-bad')
    assert output.splitlines()[0].startswith(f'Skipped 1.png in {tmp_path}/in: found 1 bytes')
    assert output.endswith('o.zip: 2 pictures, 1 skipped\n')
    second = ImageFolderDataset(str(tmp_path / 'o.zip'))[1][0]
    np.testing.assert_array_equal(second, random_pixels(8, 8, 3, seed=2).transpose(2, 0, 1))


def test_transform_and_filter(tmp_path):
    pixels = random_pixels(8, 24, 3)
    save(tmp_path / 'in/0.png', pixels)
    args = ['--source', tmp_path / 'in', '--dest', tmp_path / 'o.zip', '--transform=center-crop-tall',
            '--width=2', '--height=4', '--resize-filter']
    pictures = [run(*args, name) and ImageFolderDataset(str(tmp_path / 'o.zip'))[0][0]
                for name in ('box', 'lanczos')]
    means = pixels[:, 10:14].reshape(4, 2, 2, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(pictures[0][:, :, 1:3] - means).max() <= 1 and not pictures[0][:, :, [0, 3]].any()
    assert (pictures[0] != pictures[1]).any()


# ----- bad input --------------------------------------------------------------------------------------------


def test_a_seed_of_what_draws_no_lots_is_refused(tmp_path):
    save(tmp_path / 'in/0.png', random_pixels(8, 8, 3))
    found = tool('--source', tmp_path / 'in', '--dest', tmp_path / 'out.zip', '--seed=0')
    assert found.returncode == 1 and f'--seed: found --source {tmp_path / "in"}, expected' in found.stderr
    assert not (tmp_path / 'out.zip').exists()


@pytest.mark.parametrize('shape, sentence', [
    ((8, 4, 3), 'found a picture of 8x4 RGB, expected a square whose side is a power of two'),
    ((12, 12, 3), 'found a picture of 12x12 RGB, expected a square whose side is a power of two'),
    ((4, 4, 3), 'found a picture of 4x4 RGB, expected 8x8 RGB as the first'),
    ((8, 8), 'found a picture of 8x8 grey, expected 8x8 RGB as the first'),
])
@pytest.mark.parametrize('workers', [1, 2])
def test_pictures_that_do_not_fit_are_named(tmp_path, shape, sentence, workers):
    for n in range(70):
        save(tmp_path / f'in/{n:03d}.png', random_pixels(*(shape if n == 66 else (8, 8, 3))))
    with pytest.raises(ValueError, match=f'066.png in .*{sentence}'):
        convert(open_source(str(tmp_path / 'in')), str(tmp_path / 'out.zip'), workers=workers)
    with pytest.raises(ValueError, match='066.png in '):
        convert(open_source(str(tmp_path / 'in')), str(tmp_path / 'out'), workers=workers)
    assert os.listdir(tmp_path) == ['in']


def test_wrong_sources_and_destinations(tmp_path):
    save(tmp_path / 'in/good.png', random_pixels(8, 8, 3))
    save(tmp_path / 'cut/bad.png', random_pixels(8, 8, 3))
    data = (tmp_path / 'cut/bad.png').read_bytes()
    (tmp_path / 'cut/bad.png').write_bytes(data[: len(data) // 2])
    (tmp_path / 'cut.zip').write_bytes(b'PK\x03\x04 and no more')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file.tfrecords').write_bytes(b'x')
    (tmp_path / 'taken.part').mkdir()
    (tmp_path / 'taken.part/diary.txt').write_bytes(b'x')
    before = sorted(tmp_path.rglob('*'))
    good, out = tmp_path / 'in', tmp_path / 'out.zip'
    for source, dest, sentence in [
        (tmp_path / 'nowhere', out, 'nowhere: found nothing there, expected a folder of pictures'),
        (tmp_path / 'cut', out, 'bad.png in '), (tmp_path / 'cut.zip', out, 'not a complete zip'),
        (tmp_path / 'empty', out, 'empty: found no pictures among 0 files'),
        (tmp_path / 'file.tfrecords', out, 'found a file of an unknown kind'),
        ('cars_lmdb', out, 'cars_lmdb: found nothing there, expected a folder of pictures'),
        (f'color-mnist:{good}', out, 'found no such file as train-images-idx3-ubyte.gz'),
        (good, good, 'found a folder that is not empty, expected a new or empty folder'),
        (good, tmp_path / 'taken', 'taken.part: found something that no killed run has left'),
    ]:
        with pytest.raises(ValueError, match=sentence) as error:
            convert(open_source(str(source)), str(dest))
        assert '\n' not in str(error.value)
    assert sorted(tmp_path.rglob('*')) == before


def test_exit_codes_and_stderr(tmp_path):
    save(tmp_path / 'in/wide.png', random_pixels(4, 8, 3))
    args = ['--source', tmp_path / 'in', '--dest', tmp_path / 'out.zip']
    result = tool(*args)
    assert result.returncode == 1 and result.stdout == '' and result.stderr.count('\n') == 1
    assert result.stderr.startswith('Error: wide.png in ') and 'found a picture of 4x8 RGB' in result.stderr
    assert tool(*args, '--max-images=0').stderr == 'Error: --max-images: found 0, expected at least 1\n'
    assert tool(*args, '--resize-filter=hat').returncode == 2
    assert tool(*args, '--transform=center-crop', '--width=4', '--height=4').returncode == 0
    itself = tool('--source', tmp_path / 'out.zip', '--dest', tmp_path / 'out.zip')
    assert itself.returncode == 1 and 'found the source itself, expected another file' in itself.stderr


def test_help_imports_nothing_slow():
    code = ('import sys; from tools import dataset_tool\n'
            'try: dataset_tool.main(["--help"])\n'
            'except SystemExit: sys.exit(any(name in sys.modules for name in ("torch", "numpy", "PIL")))')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True).returncode == 0


# ----- kills and full disks ---------------------------------------------------------------------------------


@pytest.mark.parametrize('dest', ['out.zip', 'out'])
def test_kill_in_the_middle_leaves_no_dataset_and_no_process(tmp_path, dest):
    write_mnist(tmp_path / 'mnist')
    args = ['--source', f'color-mnist:{tmp_path}/mnist', '--dest', str(tmp_path / dest)]
    process = subprocess.Popen([*COMMAND, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / (dest + '.part')
    _wait_for(lambda: (part / '00000').exists() or part.is_file() and part.stat().st_size > 1e6)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert part.exists() and not (tmp_path / dest).exists()
    _wait_for(lambda: not any(map(_alive, workers)))
    assert tool(*args, '--max-images=5').returncode == 0  # the next run is not in the way of the last
    assert len(ImageFolderDataset(str(tmp_path / dest))) == 5 and not part.exists()


def test_asked_to_end_it_removes_what_is_unfinished(tmp_path):
    write_mnist(tmp_path / 'mnist')
    args = ['--source', f'color-mnist:{tmp_path}/mnist', '--dest', str(tmp_path / 'out.zip')]
    process = subprocess.Popen([*COMMAND, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    part = tmp_path / 'out.zip.part'
    _wait_for(lambda: part.is_file() and part.stat().st_size > 1e5)
    process.terminate()
    assert b'Traceback' not in process.communicate()[1] and process.returncode == 143
    assert os.listdir(tmp_path) == ['mnist']


def _alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition, seconds=20):
    for _ in range(seconds * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError('waited in vain')


def test_full_disk_is_one_sentence(tmp_path):
    resource = pytest.importorskip('resource')
    write_mnist(tmp_path / 'mnist')
    out = tmp_path / 'out.zip'
    out.write_bytes(b'the old one')
    result = tool('--source', f'color-mnist:{tmp_path}/mnist', '--dest', out, '--max-images=100',
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)))
    assert result.returncode == 1 and result.stderr == f'Error: {out}: File too large\n'
    assert out.read_bytes() == b'the old one' and sorted(os.listdir(tmp_path)) == ['mnist', 'out.zip']


def test_order_is_kept_and_memory_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writing, 'CHUNK_ITEMS', 2)
    pulled = []

    def items():
        for n in range(1000):
            pulled.append(n)
            yield Item(f'{n}', np.full([2, 2, 1], n % 256, np.uint8), n)

    results = dataset_writing._map_ordered(items(), Fit(), 2)
    assert [result.label for result in itertools.islice(results, 20)] == list(range(20))
    assert len(pulled) <= 20 + 2 * (2 * 2 + 2)  # no more than the waiting tasks ahead
    results.close()


def test_sources_name_what_they_read():
    with pytest.raises(ValueError) as error:
        open_source('/nowhere/at/all')
    assert str(error.value).endswith(sources.READABLE)
