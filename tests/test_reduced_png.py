"""Pictures of growing_png made smaller: what Pillow makes of them at once, and in how much memory."""

import pathlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe import reduced_png
from stylegan2_mspe.growing_png import growing_png


def write(path, channels, height, width, band=7):
    """Noise beside an even area, in bands; returns the path."""
    pixels = np.random.RandomState(0).randint(0, 256, [channels, height, width], np.uint8)
    pixels[:, :, width // 2:] = 200
    with growing_png(path, (height, width, channels), {}) as png:
        for top in range(0, height, band):
            png.add(pixels[:, top:top + band])
    return path


@pytest.mark.parametrize('block', [1, 500, 1 << 20])
@pytest.mark.parametrize('channels, height, width, divisor', [
    (3, 37, 53, 4), (1, 20, 31, 3), (4, 24, 16, 8), (3, 9, 40, 1), (3, 5, 6, 7)])
def test_it_is_what_pillow_makes_of_the_whole(tmp_path, monkeypatch, channels, height, width, divisor, block):
    monkeypatch.setattr(reduced_png, 'BLOCK', block)
    path = write(tmp_path / 'a.png', channels, height, width)
    with Image.open(path) as whole:
        expected = whole.reduce(divisor)
    found = reduced_png.reduced(path, divisor)
    assert (found.mode, found.size) == (expected.mode, expected.size)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_progress_is_of_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(reduced_png, 'BLOCK', 1)
    totals, seen = [], []

    def progress(blocks, total):
        totals.append(total)
        for block in blocks:
            seen.append(len(block))
            yield block
    reduced_png.reduced(write(tmp_path / 'a.png', 3, 37, 5), 4, progress)
    assert totals == [10] and seen == [4] * 9 + [1]


def test_a_large_picture_is_never_held_whole(tmp_path):
    path = tmp_path / 'a.png'
    with growing_png(path, (6000, 3000, 3), {}) as png:         # 54 MB that pack into 60 KB
        for _ in range(3):
            png.add(np.zeros([3, 2000, 3000], np.uint8))
    tracemalloc.start()
    small = reduced_png.reduced(path, 16)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert small.size == (188, 375) and most < 8e6


@pytest.mark.parametrize('damage', ['changed', 'cut'])
def test_damage_is_said(tmp_path, damage):
    path = write(tmp_path / 'a.png', 3, 21, 13)
    data = bytearray(path.read_bytes())
    if damage == 'changed':
        data[len(data) // 2] ^= 0xff
    pathlib.Path(path).write_bytes(data if damage == 'changed' else data[:len(data) // 2])
    with pytest.raises(ValueError, match=r'a\.png: found rows that are damaged .*a complete picture'):
        reduced_png.reduced(path, 2)
