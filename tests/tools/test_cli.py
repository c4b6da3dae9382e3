"""Exit codes, error sentences, sizes and the progress line."""

import io
import sys
import warnings

import click
import pytest

from tools import cli
from tools.option_types import DetectorType, SizeType


def run(body, *args, capsys):
    """Runs a program with option --max-images whose body is `body(max_images)`: (exit code, stderr)."""
    @click.command(context_settings=cli.SETTINGS)
    @click.option('--max-images', type=int, default=1)
    @click.option('--size', type=SizeType())
    def command(max_images, size):
        body(max_images if size is None else size)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit_:
        patch.setattr(sys, 'argv', ['program', *args])
        cli.run(command)
    return exit_.value.code, capsys.readouterr().err


def failing(error):
    def body(_):
        raise error
    return body


@pytest.mark.parametrize('error, code, message', [
    (ValueError('--x: found 1,\nexpected 2'), 1, 'Error: --x: found 1, expected 2\n'),
    (FileNotFoundError(2, 'No such file', 'a.zip'), 1, 'Error: a.zip: No such file\n'),
    (OSError('no more of it'), 1, 'Error: no more of it\n'),
    (MemoryError(), 1, 'Error: out of memory\n'),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nStack"), 1,
     "Error: out of memory (DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.)\n"),
    (click.UsageError('what?'), 2, None),
    (KeyboardInterrupt(), 130, None),
])
def test_errors_become_one_sentence(error, code, message, capsys):
    found_code, stderr = run(failing(error), capsys=capsys)
    assert found_code == code and 'Traceback' not in stderr
    assert message is None or stderr == message


def test_warnings_are_one_line(capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, 'formatwarning', warnings.formatwarning)
        patch.setattr(warnings, 'showwarning', lambda message, *rest, **_:
                      sys.stderr.write(warnings.formatwarning(message, *rest)))
        code, stderr = run(lambda _: warnings.warn('no\ncompiler', stacklevel=1), capsys=capsys)
    assert code == 0 and stderr == 'Warning: no compiler\n'


def test_a_tilde_is_the_home_folder_where_shells_leave_it(monkeypatch):
    monkeypatch.setenv('HOME', '/home/cat')
    monkeypatch.setenv('USERPROFILE', '/home/cat')
    for argument, expected in [
        ('--data=~/cats.zip', '--data=/home/cat/cats.zip'), ('--data=~', '--data=/home/cat'),
        ('--desc=a~b', '--desc=a~b'), ('--detector=vgg16=x.pt', '--detector=vgg16=x.pt'),
        ('~/cats.zip', '~/cats.zip'), ('--help', '--help'), ('-n', '-n'), ('--x=', '--x='),
    ]:
        assert cli.at_home(argument) == expected
    seen = []
    monkeypatch.setattr(sys, 'argv', ['program', '--data=~/cats.zip'])
    with pytest.raises(SystemExit):
        cli.run(click.command()(click.option('--data')(lambda data: seen.append(data))))
    assert seen == ['/home/cat/cats.zip']


def test_letters_that_an_encoding_lacks_are_written_as_their_codes(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
    monkeypatch.setattr(sys, 'argv', ['program'])
    monkeypatch.setattr(sys, 'stdout', out)
    with pytest.raises(SystemExit):
        cli.run(click.command()(lambda: print('γ starts at 1')))
    out.flush()
    assert out.buffer.getvalue().strip() == rb'\u03b3 starts at 1'


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['program'])
    for error in (AssertionError('ours'), RuntimeError('ours')):
        with pytest.raises(type(error), match='ours'):
            cli.run(click.command()(lambda: failing(error)(0)))


@pytest.mark.parametrize('flag', ['--max-images', '--max_images'])
def test_underscores_are_dashes(flag, capsys):
    seen = []
    assert run(seen.append, f'{flag}=7', capsys=capsys) == (0, '') and seen == [7]


def test_wrong_command_line_is_2(capsys):
    code, stderr = run(print, '--max-imagse=7', capsys=capsys)
    assert code == 2 and '--max-images' in stderr


def test_sizes(capsys):
    parse = SizeType().parse
    assert parse('256x512') == (256, 512) and parse(' 1X20 ') == (1, 20)
    for text in ('256', '0x5', '5x0', '-1x5', '5x', '1.5x2', '5x5x5', '', '٣x٣'):
        with pytest.raises(ValueError, match='expected HEIGHTxWIDTH in pixels such as 256x512'):
            parse(text)
    seen = []
    assert run(seen.append, '--size=3x4', capsys=capsys)[0] == 0 and seen == [(3, 4)]
    code, stderr = run(seen.append, '--size=3', capsys=capsys)
    assert code == 2 and "found '3', expected HEIGHTxWIDTH" in stderr


@pytest.mark.parametrize('text, kind, file', [
    ('a.pt', '', 'a.pt'), ('vgg16=a.pt', 'vgg16', 'a.pt'), ('inception=https://b/a.pt?key=1', 'inception',
                                                          'https://b/a.pt?key=1'),
    ('https://b/a.pt?key=1', '', 'https://b/a.pt?key=1')])
def test_detectors(text, kind, file):
    assert DetectorType().parse(text) == (kind, file)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize('stream', [Terminal, io.StringIO])
def test_quick_work_is_silent(stream, monkeypatch):
    monkeypatch.setattr(sys, 'stderr', stream())
    assert list(cli.progress(range(100), 100, 'working')) == list(range(100))
    assert sys.stderr.getvalue() == ''


def test_slow_work_shows_rate_and_time_left(monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(cli.time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(sys, 'stderr', Terminal())
    assert len(list(cli.progress(range(4), 4, 'working'))) == 4
    lines = [line.strip() for line in sys.stderr.getvalue().split('\r')]
    assert lines[1] == 'working 1/4 (25%), 0.25/s, 0:12 left' and sys.stderr.getvalue().endswith('\n')

    monkeypatch.setattr(sys, 'stderr', io.StringIO())
    assert len(list(cli.progress(range(5), 3600, 'working'))) == 5
    assert sys.stderr.getvalue() == 'working 3/3600 (0%), 0.25/s, 3:59:48 left\n'
    elsewhere = Terminal()
    assert len(list(cli.progress(range(2), 2, 'waiting', elsewhere))) == 2
    assert 'waiting 1/2' in elsewhere.getvalue() and 'waiting' not in sys.stderr.getvalue()
