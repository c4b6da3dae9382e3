"""PNG files that grow: what Pillow reads in them, and what is left and gone on with after an interruption."""

import json
import pathlib
import resource
import zlib

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe.growing_png import growing_png, is_finished, unfinished_recipe

RECIPE = {'seed': 3, 'tile': 4}


def picture(channels=3, height=21, width=13, seed=0):
    """[C, H, W]: noise, whose bytes wrap in every difference, beside an even area."""
    pixels = np.random.RandomState(seed).randint(0, 256, [channels, height, width], np.uint8)
    pixels[:, :, :width // 3] = 77
    return pixels


def draw(pixels, path='a.png', rows=4, recipe=RECIPE, resume=False, until=None):
    """Writes the picture in bands, those that are there already left out; stops before the row `until`."""
    channels, height, width = pixels.shape
    with growing_png(path, (height, width, channels), recipe, resume) as png:
        begun = png.rows
        for top in range(begun, height, rows):
            if until is not None and top >= until:
                raise KeyboardInterrupt
            png.add(pixels[:, top:top + rows])
    return begun


def read(path='a.png'):
    with Image.open(path) as image:
        image.load()
        assert image.info['Recipe'] == '{"seed":3,"tile":4}'
        pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def chunks(path):
    """(kind, data) of every chunk, their sums checked."""
    data, at = pathlib.Path(path).read_bytes(), 8
    while at < len(data):
        length, kind = int.from_bytes(data[at:at + 4]), data[at + 4:at + 8]
        body = data[at + 8:at + 8 + length]
        assert zlib.crc32(kind + body) == int.from_bytes(data[at + 8 + length:at + 12 + length])
        yield kind, body
        at += 12 + length


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('channels, mode', [(1, 'L'), (3, 'RGB'), (4, 'RGBA')])
@pytest.mark.parametrize('height, width, rows', [(21, 13, 4), (1, 1, 1), (5, 300, 5), (8, 2, 1)])
def test_pillow_reads_what_was_drawn(folder, channels, mode, height, width, rows):
    pixels = picture(channels, height, width)
    draw(pixels, rows=rows)
    with Image.open('a.png') as image:
        assert image.mode == mode
    np.testing.assert_array_equal(read(), pixels)
    assert [path.name for path in folder.iterdir()] == ['a.png']


def test_the_compressed_rows_are_one_stream_with_the_right_sum():
    draw(picture())
    parts = list(chunks('a.png'))
    kinds = [kind for kind, _ in parts]
    assert kinds[:2] == [b'IHDR', b'tEXt'] and kinds[-1] == b'IEND' and set(kinds[2:-1]) == {b'IDAT'}
    reader = zlib.decompressobj()
    rows = reader.decompress(b''.join(body for kind, body in parts if kind == b'IDAT'))
    assert reader.eof and not reader.unused_data and len(rows) == 21 * (1 + 13 * 3)


def test_long_bands_are_cut_into_several_chunks(monkeypatch):
    monkeypatch.setattr('stylegan2_mspe.growing_png.LONGEST_CHUNK', 100)
    draw(picture())
    assert max(len(body) for kind, body in chunks('a.png') if kind == b'IDAT') == 100
    np.testing.assert_array_equal(read(), picture())


@pytest.mark.parametrize('stops', [[4], [8, 12], [4, 4, 20], [1]])
def test_an_interrupted_picture_goes_on_and_is_the_same_file(folder, stops):
    pixels = picture()
    draw(pixels, 'whole.png')
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            draw(pixels, resume=True, until=stop)
        assert not (folder / 'a.png').exists()
        kept = -(-stop // 4) * 4
        assert unfinished_recipe('a.png') == RECIPE
        assert json.loads((folder / 'a.png.part.json').read_text())['rows'] == kept
    assert draw(pixels, resume=True) == kept
    assert (folder / 'a.png').read_bytes() == (folder / 'whole.png').read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ['a.png', 'whole.png']


def test_a_kill_in_the_middle_of_a_band_loses_that_band_only(folder):
    pixels = picture()
    draw(pixels, 'whole.png')
    with pytest.raises(KeyboardInterrupt):
        draw(pixels, until=12)
    with open('a.png.part', 'ab') as file:
        file.write(b'half a band')
    assert draw(pixels, resume=True) == 12
    assert (folder / 'a.png').read_bytes() == (folder / 'whole.png').read_bytes()


def test_without_resume_it_begins_again(folder):
    with pytest.raises(KeyboardInterrupt):
        draw(picture(), until=12)
    assert draw(picture(seed=1)) == 0
    np.testing.assert_array_equal(read(), picture(seed=1))
    assert [path.name for path in folder.iterdir()] == ['a.png']


@pytest.mark.parametrize('damage', [
    lambda: pathlib.Path('a.png.part.json').unlink(),
    lambda: pathlib.Path('a.png.part.json').write_text('{"rows": 8'),
    lambda: pathlib.Path('a.png.part.json').write_text('[8]'),
    lambda: pathlib.Path('a.png.part.json').write_text('{"rows": -8, "bytes": 100, "adler32": 7}'),
    lambda: pathlib.Path('a.png.part').unlink(),
    lambda: pathlib.Path('a.png.part').write_bytes(pathlib.Path('a.png.part').read_bytes()[:-1]),
    lambda: pathlib.Path('a.png.part').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(1000)),
])
def test_what_tells_of_no_rows_is_begun_again(damage):
    with pytest.raises(KeyboardInterrupt):
        draw(picture(), until=8)
    damage()
    assert unfinished_recipe('a.png') is None
    assert draw(picture(), resume=True) == 0
    np.testing.assert_array_equal(read(), picture())


def test_another_picture_is_not_gone_on_with(folder):
    with pytest.raises(KeyboardInterrupt):
        draw(picture(), until=8)
    before = (folder / 'a.png.part').read_bytes()
    with pytest.raises(ValueError, match=r'a.png.part: found a picture with seed 3 and not 4, expected the'):
        draw(picture(), recipe=dict(RECIPE, seed=4), resume=True)
    with pytest.raises(ValueError, match=r'a.png.part: found a picture of another size'):
        draw(picture(width=12), resume=True)
    assert (folder / 'a.png.part').read_bytes() == before and unfinished_recipe('a.png') == RECIPE


def test_a_full_disk_keeps_the_rows_and_says_so(folder):
    pixels = picture(height=40, width=200)
    draw(pixels, 'whole.png')
    size = (folder / 'whole.png').stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(OSError, match=r'^a.png: File too large after \d+ of 40 rows, which are kept in '
                                          r'a.png.part; expected room for the rest, then .* --continue'):
            draw(pixels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 8 <= draw(pixels, resume=True) <= 24
    assert (folder / 'a.png').read_bytes() == (folder / 'whole.png').read_bytes()


def test_nothing_is_left_of_what_had_no_rows(folder):
    with pytest.raises(FileNotFoundError):
        draw(picture(), 'none/a.png')
    with pytest.raises(KeyboardInterrupt):
        draw(picture(), until=0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match='^a.png: File too large$'):
            draw(picture())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(folder.iterdir())


def test_finished_is_what_is_complete_and_the_same(folder):
    pixels, shape = picture(), (21, 13, 3)
    assert not is_finished('a.png', shape, RECIPE)
    draw(pixels)
    assert is_finished('a.png', shape, RECIPE)
    assert not is_finished('a.png', shape, dict(RECIPE, seed=4))
    assert not is_finished('a.png', (22, 13, 3), RECIPE)
    (folder / 'a.png').write_bytes((folder / 'a.png').read_bytes()[:-1])
    assert not is_finished('a.png', shape, RECIPE)
