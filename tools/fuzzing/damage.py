"""Damages files at random: their bytes, the instructions of a pickle, the members of a zip, what the
metadata of safetensors say.
"""

import io
import pickletools
import re
import zipfile

from tools.fuzzing.guard import Case

HOSTILE = (b'posix system', b'builtins eval', b'builtins exec', b'builtins getattr', b'subprocess Popen',
           b'os execv', b'torch.serialization load', b'numpy.core.multiarray _reconstruct',
           b'dnnlib.util EasyDict')
VALUES = (b'0', b'-1', b'3', b'64', b'65536', b'4294967296', b'1e300', b'0.5', b'NaN', b'null', b'true',
          b'[]', b'[[1]]', b'{}')


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
        if case.name in ('safetensors', 'diffusion'):
            changes += [change_metadata] * 6
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


def change_metadata(data, other, random):
    """Puts another value in place of a number in safetensors' metadata, which describe the networks."""
    length = int.from_bytes(data[:8], 'little')
    header = data[8:8 + length]
    numbers = list(re.finditer(rb'(?<= )-?\d[\d.e-]*', header))     # all else is written without spaces
    if not numbers:
        return data
    chosen = numbers[random.randint(len(numbers))]
    value = VALUES[random.randint(len(VALUES))]
    header = header[:chosen.start()] + value + header[chosen.end():]
    return len(header).to_bytes(8, 'little') + header + data[8 + length:]


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
