"""Films: what is in the file, that it appears whole, what is refused. A script plays ffmpeg."""

import os
import stat
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image, ImageSequence

from stylegan2_mspe import video
from stylegan2_mspe.video import open_video


def frames(count=4, height=12, width=10, mode='RGB'):
    """Flat pictures whose colours tell them apart."""
    colours = [(60 * n, 200 - 40 * n, 90, 255 - 60 * n) for n in range(count)]
    size = len(Image.getmodebands(mode) * 'x')
    return [Image.new(mode, (width, height), colour[:size] if size > 1 else colour[0]) for colour in colours]


def write(path, pictures, fps=20):
    with open_video(str(path), fps) as add:
        for picture in pictures:
            add(picture)


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA'])
def test_numbered_pictures(tmp_path, mode):
    write(tmp_path / 'o/film', frames(mode=mode))
    assert os.listdir(tmp_path / 'o') == ['film']
    assert sorted(os.listdir(tmp_path / 'o/film')) == [f'frame{n:05d}.png' for n in range(4)]
    for n, frame in enumerate(frames(mode=mode)):
        with Image.open(tmp_path / f'o/film/frame{n:05d}.png') as found:
            assert found.mode == mode and (np.asarray(found) == np.asarray(frame)).all()


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA'])
def test_gif(tmp_path, mode):
    write(tmp_path / 'film.gif', frames(mode=mode), fps=30)
    assert os.listdir(tmp_path) == ['film.gif']
    with Image.open(tmp_path / 'film.gif') as film:
        assert film.n_frames == 4 and film.size == (10, 12) and film.info['loop'] == 0
        found, times = [], []
        for each in ImageSequence.Iterator(film):
            times.append(each.info['duration'])
            found.append(np.asarray(each.convert('RGB')).astype(int))
    assert sum(times) == 130 and set(times) == {30, 40}      # 4/30 s, in hundredths
    for one, frame in zip(found, frames(mode=mode)):
        wanted = np.asarray(frame.convert('RGB')).astype(float)
        if mode == 'RGBA':
            opacity = np.asarray(frame)[:, :, 3:] / 255
            wanted = wanted * opacity + 255 * (1 - opacity)
        assert np.abs(one - wanted).max() <= 2


def test_mp4_by_the_real_ffmpeg(tmp_path):
    pytest.importorskip('imageio_ffmpeg')
    write(tmp_path / 'film.mp4', frames(30, 33, 47), fps=15)
    assert os.listdir(tmp_path) == ['film.mp4'] and (tmp_path / 'film.mp4').read_bytes()[4:8] == b'ftyp'
    command = [video.find_ffmpeg(), '-v', 'error', '-i', str(tmp_path / 'film.mp4'), '-f', 'rawvideo',
               '-pix_fmt', 'rgb24', '-']
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    pixels = np.frombuffer(raw, np.uint8).reshape(30, 34, 48, 3).astype(int)
    for n in (0, 1, 2, 3):
        assert np.abs(pixels[n].mean((0, 1)) - (60 * n, 200 - 40 * n, 90)).max() < 12


PROGRAM = '''#!{python}
import sys
data, arguments = sys.stdin.buffer.read({most}), sys.argv[1:]
print('complaint', file=sys.stderr)
open(arguments[-1], 'wb').write(repr(arguments[:-1]).encode() + b'|' + data)
sys.exit({code})
'''


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """ffmpeg(code, most): a program that writes down its arguments and input, at most so much of it."""
    def make(code=0, most=-1):
        path = tmp_path / 'bin/ffmpeg'
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable, code=code, most=most))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        module = types.SimpleNamespace(get_ffmpeg_exe=lambda: str(path))
        monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', module)
    return make


def test_mp4_gets_frames_of_even_sides(tmp_path, ffmpeg):
    ffmpeg()
    arrays = np.random.RandomState(0).randint(0, 256, [2, 5, 3, 3], np.uint8)
    pictures = [Image.fromarray(array) for array in arrays]
    write(tmp_path / 'o/film.MP4', pictures, fps=12.5)
    arguments, data = (tmp_path / 'o/film.MP4').read_bytes().split(b'|', 1)
    assert os.listdir(tmp_path / 'o') == ['film.MP4']
    for text in (b"'-s', '4x6'", b"'-r', '12.5'", b"'libx264'", b"'yuv420p'", b"'-f', 'mp4'"):
        assert text in arguments
    found = np.frombuffer(data, np.uint8).reshape(2, 6, 4, 3)
    for one, picture in zip(found, pictures):
        np.testing.assert_array_equal(one, np.pad(np.asarray(picture), [(0, 1), (0, 1), (0, 0)], 'edge'))


@pytest.mark.parametrize('code, most', [(3, -1), (3, 10)])
def test_ffmpeg_that_fails_says_so_and_leaves_nothing(tmp_path, ffmpeg, code, most):
    ffmpeg(code, most)
    (tmp_path / 'film.mp4').write_bytes(b'the old one')
    with pytest.raises(OSError, match='film.mp4: ffmpeg ended with code 3 .complaint'):
        write(tmp_path / 'film.mp4', frames(4, 500, 500))
    assert (tmp_path / 'film.mp4').read_bytes() == b'the old one'
    assert sorted(os.listdir(tmp_path)) == ['bin', 'film.mp4']


@pytest.mark.parametrize('name', ['film.mp4', 'film.gif', 'film'])
def test_an_interruption_leaves_nothing(tmp_path, ffmpeg, name):
    ffmpeg()
    with pytest.raises(KeyboardInterrupt):
        with open_video(str(tmp_path / name), 10) as add:
            add(frames()[0])
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['bin']


def test_what_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/diary.txt').touch()
    (tmp_path / 'file').touch()
    (tmp_path / 'folder.gif').mkdir()
    before = sorted(tmp_path.rglob('*'))
    for name, sentence in [('film.avi', 'found the ending .avi, expected .mp4, .gif, or none for a folder'),
                           ('film.mp4', 'found no imageio-ffmpeg to write it with, expected pip install'),
                           ('full', 'found a folder that is not empty'), ('file', 'found a file, expected'),
                           ('folder.gif', 'found a folder, expected the name of a file')]:
        with pytest.raises(ValueError, match=f'{name}: {sentence}'):
            write(tmp_path / name, frames())
    assert sorted(tmp_path.rglob('*')) == before


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    (tmp_path / 'film.part').mkdir()
    (tmp_path / 'film.part/frame00000.png').touch()
    write(tmp_path / 'film', frames(2))
    assert os.listdir(tmp_path) == ['film'] and len(os.listdir(tmp_path / 'film')) == 2
