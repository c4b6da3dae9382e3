"""The progress line: live on a terminal, plain elsewhere."""

import io

import pytest

from tools import meter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.]
    monkeypatch.setattr(meter.time, 'monotonic', lambda: now[0])
    return now


def test_a_live_line_is_replaced_in_place(clock):
    terminal = Terminal()
    shown = meter.Meter(400_000, terminal)
    for _ in range(50):
        clock[0] += .5
        shown.update(int((clock[0] - 100) * 64))
    assert terminal.getvalue().split('\r')[-1].rstrip() == 'kimg 1.6/400 (0%), 64.0 images/s, 1:43:45 left'
    assert '\n' not in terminal.getvalue()
    shown.clear()
    assert terminal.getvalue().endswith(
        '\r' + ' ' * len('kimg 1.6/400 (0%), 64.0 images/s, 1:43:45 left') + '\r'
    )
    length = len(terminal.getvalue())
    shown.clear()
    assert len(terminal.getvalue()) == length


def test_plain_lines_are_rare(clock):
    stream = io.StringIO()
    shown = meter.Meter(10_000, stream)
    for _ in range(300):
        clock[0] += .5
        shown.update(int((clock[0] - 100) * 20))
    assert stream.getvalue().splitlines() == [
        'kimg 1.2/10 (12%), 20.0 images/s, 0:07:20 left',
        'kimg 2.4/10 (24%), 20.0 images/s, 0:06:20 left',
    ]


def test_the_rate_is_that_of_the_last_half_minute(clock):
    shown = meter.Meter(10_000, io.StringIO())
    nimg = 0
    for speed in [100] * 100 + [10] * 100:
        clock[0] += 1
        nimg += speed
        shown.update(nimg)
    assert '10.0 images/s' in shown.line()


def test_one_step_has_no_rate_yet(clock):
    shown = meter.Meter(10_000, Terminal())
    clock[0] += 1
    shown.update(32)
    assert shown.line() == 'kimg 0.0/10 (0%)'
