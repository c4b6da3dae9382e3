"""Datasets made to do harm, or damaged at random: one sentence from the loader and from the tool, nothing
unpacked, nothing left behind.
"""

import io
import json
import os
import struct
import subprocess
import time
import zipfile
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import archive, picture_file
from stylegan2_mspe.archive import leads_outside, open_archive
from stylegan2_mspe.dataset_writing import convert
from stylegan2_mspe.dataset import ImageFolderDataset
from stylegan2_mspe.picture_file import decode_picture
from stylegan2_mspe.sources import open_source
from tools import dataset_tool


def png(seed=0, size=8):
    buffer = io.BytesIO()
    pixels = np.random.RandomState(seed).randint(0, 256, [size, size, 3], np.uint8)
    Image.fromarray(pixels).save(buffer, 'png')
    return buffer.getvalue()


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', compression) as zip_file:
        for name, data in files.items():
            zip_file.writestr(name, data)
    return str(path)


def refused(path, tmp_path, *options):
    """What the loader and the tool say; they must say the same and write nothing."""
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ValueError) as error:
        dataset = ImageFolderDataset(path, use_labels=True)
        [dataset[index] for index in range(len(dataset))]
    result = CliRunner().invoke(dataset_tool.main, [f'--source={path}', f'--dest={tmp_path}/o.zip', *options])
    assert type(result.exception) is ValueError and str(result.exception) == str(error.value)
    assert sorted(tmp_path.rglob('*')) == before and '\n' not in str(error.value)
    return str(error.value)


# ----- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['../x.png', 'a/../../x.png', '/x.png', 'C:x.png', 'c:\\x.png', '\\x.png',
                                  '..\\x.png', 'a/..', '..'])
def test_names_that_lead_outside(tmp_path, name):
    assert leads_outside(name)
    path = write_zip(tmp_path / 'a.zip', {'0.png': png(), name: png(1)})
    sentence = refused(path, tmp_path)
    assert sentence.startswith(f'{path}: found an entry named ') and 'stay inside the zip' in sentence


@pytest.mark.parametrize('name', ['a..b.png', 'a/b.png', '...png', 'a/...', 'ab:c.png', './x.png'])
def test_names_that_stay_inside(tmp_path, name):
    assert not leads_outside(name)
    assert open_archive(write_zip(tmp_path / 'a.zip', {name: b'x'})).read(name) == b'x'


# ----- sizes ------------------------------------------------------------------------------------------------


def set_size(path, size):
    """Writes another unpacked size for the last entry into the zip's directory."""
    data = bytearray(open(path, 'rb').read())
    at = data.rindex(b'PK\x01\x02') + 24
    data[at : at + 4] = struct.pack('<I', size)
    open(path, 'wb').write(data)


def test_ten_gigabytes_behind_a_small_header(tmp_path):
    path = str(tmp_path / 'a.zip')
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as zip_file:
        info = zipfile.ZipInfo('0.png')
        info.compress_type = zipfile.ZIP_DEFLATED
        zip_file.writestr(info, bytes(1000))
        zip_file.filelist[0].file_size = 10 * 2 ** 30       # goes into the directory
    start = time.monotonic()
    assert f'found a file of {10 * 2 ** 30} bytes, expected a picture' in refused(path, tmp_path)
    assert time.monotonic() - start < 2


def test_an_entry_longer_than_it_says_is_not_unpacked(tmp_path, monkeypatch):
    unpacked = []
    decompressobj = zlib.decompressobj

    class Counting:
        def __init__(self, *args):
            self.inner = decompressobj(*args)

        def decompress(self, data, most=0):
            result = self.inner.decompress(data, most)
            unpacked.append(len(result))
            return result

        def __getattr__(self, name):
            return getattr(self.inner, name)

    path = write_zip(tmp_path / 'a.zip', {'0.png': bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    set_size(path, 1000)
    monkeypatch.setattr(zipfile.zlib, 'decompressobj', Counting)
    assert 'found a damaged entry' in refused(path, tmp_path)
    assert unpacked and sum(unpacked) < 2 ** 20


@pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_without_end(tmp_path, method):
    path = write_zip(tmp_path / 'a.zip', {'0.png': png()}, method)
    assert f'found compression method {method}, expected an entry that is stored' in refused(path, tmp_path)


def test_large_files_of_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, 'MAX_FILE_BYTES', 300)
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/0.png').write_bytes(png(size=4))
    (tmp_path / 'in/1.png').write_bytes(bytes(301))
    assert '1.png in ' in refused(str(tmp_path / 'in'), tmp_path)


def test_pictures_of_more_than_2_28_pixels(tmp_path):
    def header(height, width):
        chunk = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
        ihdr = struct.pack('>I', 13) + b'IHDR' + chunk + struct.pack('>I', zlib.crc32(b'IHDR' + chunk))
        return b'\x89PNG\r\n\x1a\n' + ihdr + png()[33:]

    assert picture_file.MAX_PIXELS == 2 ** 28
    path = write_zip(tmp_path / 'a.zip', {'0.png': header(2 ** 14 + 1, 2 ** 14)})
    sentence = refused(path, tmp_path)
    assert sentence == (f'0.png in {path}: found a picture of more than 268435456 pixels, '
                        'expected at most that many')
    for size in [(2 ** 31 - 1, 2 ** 31 - 1), (1, 2 ** 29)]:
        with pytest.raises(ValueError, match='x: found'):
            decode_picture(header(*size), 'x')
    buffer = io.BytesIO()
    Image.new('1', (2 ** 14, 2 ** 13 + 1)).save(buffer, 'png')      # above Pillow's own limit, below ours
    with pytest.warns(Image.DecompressionBombWarning):
        assert decode_picture(buffer.getvalue(), 'x').shape == (2 ** 13 + 1, 2 ** 14, 1)


def test_pictures_that_are_programs(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, 'Popen', lambda *args, **_: started.append(args))
    eps = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) run\n%%EOF\n'
    path = write_zip(tmp_path / 'a.zip', {'0.png': eps})
    assert 'do not decode (unknown format)' in refused(path, tmp_path) and not started


# ----- labels -----------------------------------------------------------------------------------------------


def test_labels_for_files_that_are_not_there(tmp_path):
    labels = {'labels': [['0.png', 1], ['1.png', 2], ['../../etc/passwd', 3]]}
    path = write_zip(tmp_path / 'a.zip', {'0.png': png(), 'dataset.json': json.dumps(labels)})
    sentence = refused(path, tmp_path)
    assert sentence == (f'dataset.json in {path}: found a label for 1.png, which is not there, '
                        'expected labels for files of the dataset only')
    assert len(ImageFolderDataset(path)) == 1       # whoever does not ask for labels is not bothered


@pytest.mark.parametrize('label, sentence', [
    ('x', 'found labels such as "x", expected a class'), (-1, 'found labels such as -1'),
    (10 ** 12, 'found class 1000000000000, expected at most 100000 classes'),
    ([1, None], 'found labels such'),
])
def test_labels_that_are_none(tmp_path, label, sentence):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/a.png').write_bytes(png(size=4))
    (tmp_path / 'in/dataset.json').write_text(json.dumps({'labels': [['a.png', label]]}))
    with pytest.raises(ValueError, match=f'dataset.json in .*: {sentence}'):
        convert(open_source(str(tmp_path / 'in')), str(tmp_path / 'out.zip'))
    with pytest.raises(ValueError, match=f'dataset.json in .*: {sentence}'):
        ImageFolderDataset(str(tmp_path / 'in'), use_labels=True).label_shape
    assert os.listdir(tmp_path) == ['in']


def test_json_nested_without_end(tmp_path):
    path = write_zip(tmp_path / 'a.zip', {'0.png': png(), 'dataset.json': '[' * 100_000})
    assert 'expected {"labels"' in refused(path, tmp_path)


# ----- at random --------------------------------------------------------------------------------------------


def mutate(data, random):
    """A few bytes changed, cut out, doubled or cut off."""
    data = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at, length = random.randint(len(data)), random.randint(1, 9)
        kind = random.randint(5)
        if kind == 0:
            data[at : at + length] = random.bytes(length)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at : at + 4] = random.choice([b'\xff\xff\xff\xff', b'\0\0\0\0', b'\0\0\0\x80'])
        elif len(data) > 200 and random.randint(4) == 0:
            del data[at:]
        data = data or bytearray(b'x')
    return bytes(data)


def test_150_mutated_zips(tmp_path):
    files = {f'{n}.png': png(n) for n in range(3)}
    files['dataset.json'] = json.dumps({'labels': [[name, 1] for name in files]})
    originals = [open(write_zip(tmp_path / 'a.zip', files, compression), 'rb').read()
                 for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    random, outcomes = np.random.RandomState(0), {'read': 0, 'refused': 0}
    start = time.monotonic()
    for n in range(150):
        path = tmp_path / 'b.zip'
        path.write_bytes(mutate(originals[n % 2], random))
        try:
            dataset = ImageFolderDataset(str(path), use_labels=True)
            [dataset[index] for index in range(len(dataset))]
            outcomes['read'] += 1
        except (ValueError, OSError) as error:
            assert str(error) and '\n' not in str(error), error
            outcomes['refused'] += 1
    assert outcomes['refused'] > 50 and time.monotonic() - start < 30, outcomes
    assert sorted(each.name for each in tmp_path.iterdir()) == ['a.zip', 'b.zip']
