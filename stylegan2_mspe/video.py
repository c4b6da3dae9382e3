"""Films, written frame by frame: .mp4 (with the package imageio-ffmpeg), .gif, or a folder of numbered PNGs.

They appear under their name when they are complete.
"""

import contextlib
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from stylegan2_mspe.files import atomic_folder, atomic_write, sync_folder

PAPER = (255, 255, 255)         # behind transparent frames where a format has no transparency
FRAME = re.compile(r'frame\d{5,}\.png')
INSTALL = 'pip install imageio-ffmpeg, or a name that ends in .gif, or a folder for numbered pictures'

Write = Callable[[Image.Image], None]


def open_video(path: str, fps: float) -> contextlib.AbstractContextManager[Write]:
    """A function that adds a frame, a Pillow picture (L, RGB or RGBA, all of one size), to the film.

    The ending says the kind: .mp4, .gif, none for a folder of frame00000.png ... Raises ValueError for any
    other, for .mp4 without imageio-ffmpeg and for a folder in use; OSError where it can't be written.
    """
    ending = os.path.splitext(os.path.basename(os.path.normpath(path)))[1].lower()
    if ending == '':
        return _write_folder(os.path.normpath(path))
    if ending not in ('.mp4', '.gif'):
        raise ValueError(f'{path}: found the ending {ending}, expected .mp4, .gif, or none for a folder')
    if os.path.isdir(path):
        raise ValueError(f'{path}: found a folder, expected the name of a file to write')
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if ending == '.gif':
        return _write_gif(path, fps)
    program = find_ffmpeg()
    if program is None:
        raise ValueError(f'{path}: found no imageio-ffmpeg to write it with, expected {INSTALL}')
    return _write_mp4(path, fps, program)


def find_ffmpeg() -> str | None:
    """The path of imageio-ffmpeg's program, or None where the package or its program is missing."""
    try:
        import imageio_ffmpeg
        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


@contextlib.contextmanager
def _write_folder(path: str) -> Iterator[Write]:
    names = (f'frame{index:05d}.png' for index in itertools.count())
    with atomic_folder(path, FRAME) as part:
        yield lambda frame: frame.save(os.path.join(part, next(names)), 'png')


@contextlib.contextmanager
def _write_gif(path: str, fps: float) -> Iterator[Write]:
    """Each frame has 256 colours of its own; a GIF counts time in hundredths of a second, at least two."""
    frames = []
    with atomic_write(path) as file:
        yield lambda frame: frames.append(_opaque(frame).quantize(256))
        times = np.maximum(np.diff(np.rint(np.arange(len(frames) + 1) * 100 / fps)), 2) * 10
        frames[0].save(file, 'gif', save_all=True, append_images=frames[1:], duration=times.tolist(), loop=0,
                       optimize=False)


@contextlib.contextmanager
def _write_mp4(path: str, fps: float, program: str) -> Iterator[Write]:
    """H.264; an odd side is made even, which its colours need, by repeating the last row or column."""
    part, process = path + '.part', None
    with tempfile.TemporaryFile() as complaints:
        def write(frame):
            nonlocal process
            pixels = np.asarray(_opaque(frame))
            pixels = np.pad(pixels, [(0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)], 'edge')
            if process is None:
                command = _ffmpeg_command(program, part, fps, pixels.shape)
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints)
            try:
                process.stdin.write(pixels.tobytes())
            except OSError as error:
                raise _complaint(path, process, complaints) from error

        try:
            yield write
            with contextlib.suppress(OSError):      # it says itself what is wrong
                process.stdin.close()
            if process.wait():
                raise _complaint(path, process, complaints)
            _sync_file(part)
            os.replace(part, path)
        except BaseException:
            if process is not None:
                process.kill()
                process.wait()
            with contextlib.suppress(FileNotFoundError):
                os.remove(part)
            raise
    sync_folder(os.path.dirname(os.path.abspath(path)))


def _ffmpeg_command(program: str, part: str, fps: float, shape: tuple[int, int, int]) -> list[str]:
    size = f'{shape[1]}x{shape[0]}'
    source = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', size, '-r', f'{fps:g}', '-i', '-']
    coding = ['-an', '-c:v', 'libx264', '-crf', '16', '-pix_fmt', 'yuv420p', '-movflags', '+faststart']
    return [program, '-nostdin', '-v', 'error', '-y', *source, *coding, '-f', 'mp4', part]


def _complaint(path: str, process: subprocess.Popen, complaints) -> OSError:
    process.wait()
    complaints.seek(0)
    text = ' '.join(complaints.read().decode('utf-8', 'replace').split())[-300:]
    return OSError(f'{path}: ffmpeg ended with code {process.returncode} ({text or "without a word"})')


def _sync_file(path: str) -> None:
    with open(path, 'rb') as file:
        os.fsync(file.fileno())


def _opaque(frame: Image.Image) -> Image.Image:
    if frame.mode != 'RGBA':
        return frame.convert('RGB')
    sheet = Image.new('RGB', frame.size, PAPER)
    sheet.paste(frame, mask=frame)
    return sheet
