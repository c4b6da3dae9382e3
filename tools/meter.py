"""A live line on a terminal, or plain lines elsewhere: how far a training is, how fast, and how long it will
take.
"""

import collections
import shutil
import time
from typing import TextIO

LIVE_SECONDS = 0.2      # between updates of the live line
PLAIN_SECONDS = 60      # between lines where the stream is no terminal; the status lines come besides
WINDOW_SECONDS = 30     # the rate is that of the last half minute


class Meter:
    """Shows pictures per second and time left on `stream`; `total` in pictures."""

    def __init__(self, total: float, stream: TextIO):
        self.total, self.stream = total, stream
        self.live = stream.isatty()
        self.samples: collections.deque[tuple[float, int]] = collections.deque()
        self.due = time.monotonic() + (LIVE_SECONDS if self.live else PLAIN_SECONDS)
        self.shown = 0

    def update(self, nimg: int) -> None:
        """To be called after each step with the pictures shown so far."""
        now = time.monotonic()
        self.samples.append((now, nimg))
        while len(self.samples) > 2 and self.samples[1][0] < now - WINDOW_SECONDS:
            self.samples.popleft()
        if now < self.due:
            return
        self.due = now + (LIVE_SECONDS if self.live else PLAIN_SECONDS)
        line = self.line()
        if self.live:
            self._replace(line)
        else:
            print(line, file=self.stream, flush=True)

    def line(self) -> str:
        (first, start), (last, nimg) = self.samples[0], self.samples[-1]
        text = f'kimg {nimg / 1000:.1f}/{self.total / 1000:g} ({100 * nimg / self.total:.0f}%)'
        if last <= first:
            return text
        rate = (nimg - start) / (last - first)
        return f'{text}, {rate:.1f} images/s, {_clock((self.total - nimg) / max(rate, 1e-9))} left'

    def clear(self) -> None:
        """Makes room for another line on the terminal."""
        if self.shown:
            self._replace('')

    def _replace(self, line: str) -> None:
        line = line[:shutil.get_terminal_size().columns - 1]
        print('\r' + line.ljust(self.shown) + ('' if line else '\r'), end='', file=self.stream, flush=True)
        self.shown = len(line)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}'
