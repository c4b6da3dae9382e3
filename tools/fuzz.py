"""Damages network files and dataset zips at random and reads them: no traceback, no hang, nothing runs."""

import codecs
import collections
import contextlib
import dataclasses
import io
import json
import os
import pickle
import pickletools
import re
import resource
import signal
import sys
import tempfile
import zipfile

import click

if __name__ == '__main__' and not __package__:          # python tools/fuzz.py
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import cli

SECONDS = 20            # longer is a hang
MEGABYTES = 500         # more in use after a read than before is an allocation the file does not pay for
# What Python tells an audit hook when something runs, is loaded, is written or is sent.
FORBIDDEN = ('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork', 'os.remove', 'os.rename',
             'os.mkdir', 'os.rmdir', 'os.putenv', 'subprocess.Popen', 'socket.', 'shutil.', 'exec', 'compile',
             'import', 'ctypes.dlopen', 'pickle.find_class', 'webbrowser.')
HOSTILE = (b'posix system', b'builtins eval', b'builtins exec', b'builtins getattr', b'subprocess Popen',
           b'os execv', b'torch.serialization load', b'numpy.core.multiarray _reconstruct',
           b'dnnlib.util EasyDict')


class Hang(BaseException):
    """Not an Exception, so that no reader takes it for damage."""


class Executed(BaseException):
    """A read did what a read must not do."""


@dataclasses.dataclass
class Case:
    """A kind of file: valid ones to start from, and how one is read."""
    name: str
    originals: list[bytes]
    read: object        # bytes → None; raises ValueError or OSError


@click.command(context_settings=cli.SETTINGS)
@click.option('--count', type=click.IntRange(1), default=10_000, show_default=True, help='Files to try')
@click.option('--first', type=click.IntRange(0), default=0, show_default=True, help='Number of the first')
@click.option('--seed', type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
def main(count, first, seed):
    """Reads damaged pickles, .pt files, safetensors and dataset zips, and reports what went wrong.

    File number N of a seed is always the same: --first=N --count=1 repeats it.

    \b
    python tools/fuzz.py                              # a few minutes
    python tools/fuzz.py --seed=7 --first=4711 --count=1
    """
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(folder)
        guard = Guard()
        outcomes, failures = collections.Counter(), {}
        for number in cli.progress(range(first, first + count), count, 'files'):
            case, data = damaged(cases, seed, number)
            outcome = guard.watch(case, data)
            outcomes[case.name, outcome.split(':')[0]] += 1
            if outcome not in ('read', 'refused'):
                failures.setdefault((case.name, outcome[:60]), []).append((number, outcome))
    for (name, outcome), times in sorted(outcomes.items()):
        click.echo(f'{name:12} {outcome:10} {times}')
    for (name, _), alike in failures.items():
        number, outcome = alike[0]
        click.echo(f'file {number} ({name}; {len(alike)} like it): {outcome}')
    if failures:
        wrong = sum(map(len, failures.values()))
        raise ValueError(f'{wrong} of {count} files were read in a way they must not be')


# ----- watching ---------------------------------------------------------------------------------------------


class Guard:
    """Reads a file while an audit hook and a clock look on."""

    def __init__(self):
        self.armed = False
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGALRM, self._ring)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)       # a SystemExit is a finding here

    def watch(self, case: Case, data: bytes) -> str:
        """'read', 'refused', or what went wrong."""
        before = peak_memory()
        signal.alarm(SECONDS)
        self.armed = True
        try:
            case.read(data)
            outcome = 'read'
        except (ValueError, OSError) as error:
            outcome = 'refused' if str(error).strip() else f'{type(error).__name__} that says nothing'
        except KeyboardInterrupt:
            raise
        except Hang:
            outcome = f'hang: longer than {SECONDS} s'
        except BaseException as error:
            outcome = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
        finally:
            self.armed = False
            signal.alarm(0)
        grown = peak_memory() - before
        return outcome if grown < MEGABYTES else f'memory: {grown} MB more than before'

    def _audit(self, event, arguments):
        if not self.armed:
            return
        writes = event == 'open' and isinstance(arguments[1], str) and set(arguments[1]) & set('wax+')
        if writes or event.startswith(FORBIDDEN):
            self.armed = False
            raise Executed(f'{event} {str(arguments)[:200]}')

    def _ring(self, *_):
        if self.armed:
            raise Hang


def peak_memory() -> int:
    """The most memory this process has had in use, in megabytes."""
    with contextlib.suppress(OSError), open('/proc/self/status') as file:  # getrusage counts the parent's
        return int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# ----- damaging ---------------------------------------------------------------------------------------------


def damaged(cases: list[Case], seed: int, number: int) -> tuple[Case, bytes]:
    """File `number`: an original of one kind after one to three changes."""
    import numpy as np

    random = np.random.RandomState([seed, number])
    case = cases[random.randint(len(cases))]
    data = case.originals[random.randint(len(case.originals))]
    other = case.originals[random.randint(len(case.originals))]
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        changes = [flip, cut, repeat, enlarge, truncate, splice]
        if case.name == 'zip':
            changes += [change_member] * 6
        if case.name == 'pickle':
            changes += [change_instruction, change_name] * 3
        data = changes[random.randint(len(changes))](data, other, random) or b'\0'
    return case, data


def flip(data, other, random):
    changed = bytearray(data)
    for place in random.randint(len(data), size=random.choice([1, 1, 3, 30])):
        changed[place] = random.randint(256)
    return bytes(changed)


def cut(data, other, random):
    begin, end = _range(data, random)
    return data[:begin] + data[end:]


def repeat(data, other, random):
    begin, end = _range(data, random)
    return data[:end] + data[begin:end] * random.randint(1, 4) + data[end:]


def enlarge(data, other, random):
    """Writes a large number where a count may be."""
    place = random.randint(len(data))
    number = int(random.choice([2**31 - 1, 2**32 - 1, 2**42, 2**63 - 1])).to_bytes(8, 'little')
    return data[:place] + number[:random.choice([4, 8])] + data[place + random.choice([4, 8]):]


def truncate(data, other, random):
    return data[:random.randint(len(data))]


def splice(data, other, random):
    return data[:random.randint(len(data))] + other[random.randint(len(other)):]


def change_instruction(data, other, random):
    """Leaves out, doubles or moves one instruction of a pickle, or puts any other in its place."""
    places = _instructions(data)
    if len(places) < 3:
        return data
    index, target = random.randint(len(places) - 1), random.randint(len(places) - 1)
    begin, end = places[index], places[index + 1]
    kind = random.randint(4)
    if kind == 0:
        return data[:begin] + data[end:]
    if kind == 1:
        return data[:end] + data[begin:end] + data[end:]
    if kind == 2:
        return data[:places[target]] + data[begin:end] + data[places[target]:]
    opcodes = pickletools.opcodes
    return data[:begin] + opcodes[random.randint(len(opcodes))].code.encode('latin1') + data[begin + 1:]


def change_name(data, other, random):
    """Puts a hostile name at a random place, as protocol 2 and as protocol 4 write it, or calls it there."""
    places = _instructions(data)
    place = places[random.randint(len(places))] if places else 0
    module, name = HOSTILE[random.randint(len(HOSTILE))].split()
    as_text = b'c' + module + b'\n' + name + b'\n'
    if random.randint(2):
        as_text = b'\x8c' + bytes([len(module)]) + module + b'\x8c' + bytes([len(name)]) + name + b'\x93'
    call = [b'', b'(X\x04\x00\x00\x00truetR', b'(X\x04\x00\x00\x00truet\x81', b'}b'][random.randint(4)]
    return data[:place] + as_text + call + data[place:]


def change_member(data, other, random):
    """Changes one file inside a zip, or its name, and packs it again, so that its checksum is right."""
    file = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, 'w') as after:
            names = before.namelist()
            chosen = random.randint(len(names))
            for index, name in enumerate(names):
                content = before.read(name)
                if index == chosen and random.randint(4) == 0:
                    name = ['../' + name, '/' + name, 'C:\\' + name, name + '\n', name * 50,
                            ''][random.randint(6)]
                elif index == chosen:
                    change = [flip, cut, repeat, truncate][random.randint(4)]
                    content = change(content, content, random) if content else b'x'
                deflated = zipfile.ZIP_DEFLATED if random.randint(2) else None
                after.writestr(zipfile.ZipInfo(name), content, compress_type=deflated)
        return file.getvalue()
    except Exception:       # it has been changed already
        return data


def _range(data, random):
    begin = random.randint(len(data))
    return begin, min(begin + int(2 ** random.uniform(0, 10)), len(data))


def _instructions(data) -> list[int]:
    """Where instructions begin, as far as the pickle is well formed."""
    places = []
    try:
        places.extend(place for _, _, place in pickletools.genops(data))
    except Exception:       # it has been changed already
        pass
    return places


# ----- files to start from ----------------------------------------------------------------------------------


def make_cases(folder: str) -> list[Case]:
    """Small valid files of every kind, each read once, so that whatever is loaded on first use is there."""
    from PIL import Image

    from stylegan2_mspe.legacy import load_network_pkl
    from stylegan2_mspe.rosinality import load_rosinality
    from stylegan2_mspe.network_safetensors import load_safetensors

    def reader(load):
        return lambda data: draw(load(io.BytesIO(data)))

    networks, zips = make_networks(folder), [make_zip(labels) for labels in (False, True)]
    cases = [Case('pickle', networks['pickle'], reader(load_network_pkl)),
             Case('pickle', networks['pickle'], reader(load_network_pkl)),      # twice as often
             Case('safetensors', networks['safetensors'], reader(load_safetensors)),
             Case('pt', networks['pt'], reader(load_rosinality)),
             Case('zip', zips, ZipReader(folder))]
    # An unknown picture makes Pillow load all its readers, old kinds of text make Python load decoders.
    Image.init()
    for codec in ('raw_unicode_escape', 'unicode_escape', 'latin1'):
        codecs.lookup(codec)
    for case in cases:
        for data in case.originals:
            case.read(data)
        for data in (b'\0', case.originals[0][:100]):
            with contextlib.suppress(ValueError, OSError):
                case.read(data)
    return cases


def make_networks(folder: str) -> dict[str, list[bytes]]:
    """The same small networks in every format; the pickles' source text is left out, being all text."""
    import torch

    from stylegan2_mspe import networks
    from stylegan2_mspe.legacy import save_network_pkl
    from stylegan2_mspe.rosinality import save_rosinality
    from stylegan2_mspe.network_safetensors import save_safetensors

    torch.manual_seed(0)
    found = collections.defaultdict(list)
    options = dict(channel_base=32, channel_max=4)
    for plan, labels in (('none', 0), ('mspe', 0), ('sspe', 2)):
        G = networks.Generator(4, labels, 4, 8, 3, mapping_kwargs=dict(num_layers=1),
                               synthesis_kwargs=dict(options, pe=plan)).eval().requires_grad_(False)
        D = networks.Discriminator(labels, 8, 3, **options).eval().requires_grad_(False)
        kwargs = dict(class_name='training.dataset.ImageFolderDataset', path='x.zip', use_labels=False)
        content = dict(G=G, D=D, G_ema=G, training_set_kwargs=kwargs, augment_pipe=None)
        path = os.path.join(folder, 'network')
        save_network_pkl(path, **content)
        found['pickle'].append(reproducible(_content(path)))
        for protocol in (2, 3):
            found['pickle'].append(reproducible(without_source(pickle.dumps(content, protocol))))
        save_safetensors(path, content)
        found['safetensors'].append(_content(path))
        if plan == 'none':
            save_rosinality(path, content)
            found['pt'].append(_content(path))
    return found


def without_source(data: bytes) -> bytes:
    """The pickle with its longest text made short."""
    steps = list(pickletools.genops(data))
    sizes = [len(text) if code.name == 'BINUNICODE' else 0 for code, text, _ in steps]
    longest = sizes.index(max(sizes))
    begin, end = steps[longest][2], steps[longest + 1][2]
    return data[:begin] + b'X\x01\x00\x00\x00x' + data[end:]


def reproducible(data: bytes) -> bytes:
    """The pickle with the addresses that torch calls its storages by made alike."""
    return re.sub(rb'\d{12,}', lambda match: b'1' * len(match[0]), data)


def make_zip(labels: bool) -> bytes:
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for index in range(4):
            picture = io.BytesIO()
            Image.fromarray(np.full([8, 8, 3], 40 * index, np.uint8)).save(picture, 'png')
            archive.writestr(zipfile.ZipInfo(f'00000/img{index:08d}.png'), picture.getvalue())      # of 1980
        pairs = [[f'00000/img{index:08d}.png', index % 2] for index in range(4)]
        archive.writestr(zipfile.ZipInfo('dataset.json'), json.dumps(dict(labels=pairs if labels else None)))
    return file.getvalue()


def draw(content: dict) -> None:
    """What a user does next: a file that was read has to draw."""
    import torch

    G = content['G_ema']
    G(torch.zeros(1, G.z_dim), torch.zeros(1, G.c_dim), noise_mode='const')


class ZipReader:
    """Reads a dataset zip from its bytes; writing them to a file is not part of reading."""

    def __init__(self, folder: str):
        self.path = os.path.join(folder, 'damaged.zip')

    def __call__(self, data: bytes) -> None:
        from stylegan2_mspe.dataset import open_dataset

        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, data)
        os.close(descriptor)
        dataset = open_dataset(self.path, use_labels=True)
        for index in range(len(dataset)):
            dataset[index]
        dataset.close()


def _content(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read()


if __name__ == '__main__':
    cli.run(main)
