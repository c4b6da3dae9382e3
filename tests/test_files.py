"""Files appear whole or not at all, and what goes wrong names them."""

import errno

import pytest

from stylegan2_mspe.files import atomic_write


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
