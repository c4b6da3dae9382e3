"""Files and folders appear whole or not at all, and what goes wrong names them."""

import errno
import os
import re

import pytest

from stylegan2_mspe.files import atomic_folder, atomic_write


def test_a_new_content_replaces_the_old(tmp_path):
    path = tmp_path / 'a.bin'
    for content in (b'old', b'new'):
        with atomic_write(path) as file:
            file.write(content)
    assert path.read_bytes() == b'new' and [entry.name for entry in tmp_path.iterdir()] == ['a.bin']


def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')
    with pytest.raises(OSError, match='No space left') as caught, atomic_write(path) as file:
        file.write(b'ne')
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert caught.value.filename == str(path) and path.read_bytes() == b'old'
    assert [entry.name for entry in tmp_path.iterdir()] == ['a.bin']


def test_a_folder_that_is_not_there_is_told_by_the_name_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / 'none' / 'a.bin'):
        pass
    assert caught.value.filename == str(tmp_path / 'none' / 'a.bin')


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path, ours = tmp_path / 'a', re.compile('frame')
    (tmp_path / 'a.part').mkdir()
    (tmp_path / 'a.part/frame').write_text('left by a killed run')
    with atomic_folder(path, ours) as part:
        assert not os.path.exists(path) and os.listdir(part) == []
        (tmp_path / 'a.part/frame').write_text('new')
    assert os.listdir(tmp_path) == ['a'] and (path / 'frame').read_text() == 'new'


def test_a_folder_that_fails_leaves_nothing_and_one_in_use_is_kept(tmp_path):
    with pytest.raises(KeyError), atomic_folder(tmp_path / 'a', re.compile('frame')) as part:
        open(os.path.join(part, 'frame'), 'w').close()
        raise KeyError
    assert os.listdir(tmp_path) == []
    for name, taken, sentence in [
            ('b', 'b/diary', 'b: found a folder that is not empty'),
            ('c', 'c.part/diary', 'c.part: found something that no killed run has left'),
            ('d', 'd.part', 'd.part: found something'), ('e', 'e', 'e: found a file')]:
        (tmp_path / taken).parent.mkdir(exist_ok=True)
        (tmp_path / taken).write_text('mine')
        with pytest.raises(ValueError, match=sentence), atomic_folder(tmp_path / name, re.compile('frame')):
            pass
        assert (tmp_path / taken).read_text() == 'mine'
