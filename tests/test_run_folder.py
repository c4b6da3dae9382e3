"""Run folders: ids, options, lines of statistics."""

import errno
import json
import os

import pytest

from stylegan2_mspe import run_folder


def line(tick, **fields):
    return {'Progress/tick': dict(num=1, mean=tick, std=0.), **fields}


def test_ids_count_on_from_the_largest(tmp_path):
    outdir = str(tmp_path / 'deep' / 'runs')
    assert os.path.basename(run_folder.create(outdir, 'a')) == '00000-a'
    for name in ('00007-b', '00003', 'nothing', '12x', '-5-c'):
        os.mkdir(os.path.join(outdir, name))
    open(os.path.join(outdir, '00099-file'), 'w').close()
    assert os.path.basename(run_folder.create(outdir, 'c')) == '00008-c'
    assert [number for number, _ in run_folder.runs(outdir)] == [8, 7, 3, 0]
    assert run_folder.runs(str(tmp_path / 'nowhere')) == []


def test_options_come_back(tmp_path):
    path = str(tmp_path / run_folder.OPTIONS)
    run_folder.write_json(path, dict(a=[1, None], b='é'))
    assert run_folder.read_json(path) == dict(a=[1, None], b='é')
    assert open(path, encoding='utf-8').read().startswith('{\n  "a": [\n')
    with open(path, 'w') as file:
        file.write('{"a"')
    with pytest.raises(ValueError, match='training_options.json: found something that is not JSON'):
        run_folder.read_json(path)


def test_statistics_are_cut_back(tmp_path):
    folder, path = str(tmp_path), tmp_path / run_folder.STATS
    run_folder.cut_stats(folder, 3)
    assert not path.exists()
    for tick in range(5):
        run_folder.append_stats(folder, line(tick, text='x' * tick))
    before = path.read_text()
    run_folder.cut_stats(folder, 5)
    assert path.read_text() == before
    with open(path, 'a') as file:
        file.write('{"Progress/tick": {"num": 1, "mean": 1, "std"')
    run_folder.cut_stats(folder, 3)
    assert [json.loads(each) for each in path.read_text().splitlines()] == [
        line(tick, text='x' * tick) for tick in range(3)
    ]
    run_folder.append_stats(folder, line(3))
    assert len(path.read_text().splitlines()) == 4
    run_folder.cut_stats(folder, 0)
    assert path.read_text() == ''


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    folder = str(tmp_path)
    run_folder.append_stats(folder, line(0))
    before = (tmp_path / run_folder.STATS).read_bytes()
    write = os.write

    def stuck(descriptor, data):
        if len(data) > 10:
            return write(descriptor, data[:10])     # a disk with ten bytes left
        raise OSError(errno.ENOSPC, 'No space left on device')

    calls = iter(
        [stuck, lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'No space left on device'))]
    )
    monkeypatch.setattr(os, 'write', lambda *args: next(calls)(*args))
    with pytest.raises(OSError, match='No space left'):
        run_folder.append_stats(folder, line(1))
    assert (tmp_path / run_folder.STATS).read_bytes() == before
