"""Training states: what comes back, what is refused, what is kept."""

import errno
import os

import pytest
import torch

from stylegan2_mspe import checkpoint
from tests import tiny


def trained(seed=0, steps=3):
    """A small network and its Adam, some steps in."""
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(module.parameters(), lr=.01, betas=(0., .9), fused=True)
    for _ in range(steps):
        step(module, optimizer)
    return module, optimizer


def step(module, optimizer):
    optimizer.zero_grad()
    module(torch.randn([8, 3])).square().mean().backward()
    optimizer.step()


def test_training_goes_on_bit_by_bit(tmp_path):
    module, optimizer = trained()
    path = checkpoint.state_path(str(tmp_path), 12)
    checkpoint.save_state(
        path,
        modules=dict(net=module),
        optimizers=dict(net=optimizer),
        values=dict(a=[1, 'b'], t=torch.ones(2)),
    )
    torch.manual_seed(5)
    step(module, optimizer)

    other, other_optimizer = trained(seed=1, steps=1)
    state = checkpoint.load_state(path)
    checkpoint.restore(state, modules=dict(net=other), optimizers=dict(net=other_optimizer))
    torch.manual_seed(5)
    step(other, other_optimizer)
    assert tiny.differences(module.state_dict(), other.state_dict()) == []
    assert tiny.differences(optimizer.state_dict(), other_optimizer.state_dict()) == []
    assert state['values']['a'] == [1, 'b'] and state['values']['t'].tolist() == [1, 1]
    assert os.path.basename(path) == 'training-state-000012.pt'


def test_newest_that_can_be_read(tmp_path):
    folder = str(tmp_path)
    assert checkpoint.newest_state(folder) is None
    for kimg in (0, 20, 1000000):
        checkpoint.save_state(
            checkpoint.state_path(folder, kimg), modules={}, optimizers={}, values=dict(kimg=kimg)
        )
    (tmp_path / 'training-state-000030.pt.part').write_bytes(b'half')
    (tmp_path / 'training-state-x.pt').write_bytes(b'')
    assert checkpoint.newest_state(folder)['values'] == dict(kimg=1000000)
    for content in (b'', b'\x80\x05half', (tmp_path / 'training-state-000020.pt').read_bytes()[:-40]):
        (tmp_path / 'training-state-1000000.pt').write_bytes(content)
        assert checkpoint.newest_state(folder)['values'] == dict(kimg=20)


def test_only_the_newest_are_kept(tmp_path):
    for kimg in (0, 999999, 1000000, 40):
        (tmp_path / f'training-state-{kimg:06d}.pt').touch()
    (tmp_path / 'network-snapshot-000000.pkl').touch()
    checkpoint.keep_newest(str(tmp_path), count=2)
    assert sorted(os.listdir(tmp_path)) == [
        'network-snapshot-000000.pkl',
        'training-state-1000000.pt',
        'training-state-999999.pt',
    ]


@pytest.mark.parametrize('content', [dict(format=0), [1], dict(format='evil')])
def test_another_file_is_refused(tmp_path, content):
    path = str(tmp_path / 'training-state-000001.pt')
    torch.save(content, path)
    with pytest.raises(ValueError, match='expected a training state of format 1'):
        checkpoint.load_state(path)


class Evil:
    def __reduce__(self):
        return (os.mkdir, ('/tmp/should-not-exist',))


def test_reading_runs_no_code(tmp_path):
    path = str(tmp_path / 'training-state-000001.pt')
    torch.save(dict(format=1, values=Evil()), path)
    with pytest.raises(ValueError, match='not a complete training state') as caught:
        checkpoint.load_state(path)
    assert '\n' not in str(caught.value) and not os.path.exists('/tmp/should-not-exist')


def test_a_full_disk_keeps_the_old_state(tmp_path, monkeypatch):
    """Full at any of the writes that torch makes."""
    module, optimizer = trained()
    path = checkpoint.state_path(str(tmp_path), 1)
    save = dict(modules=dict(net=module), optimizers=dict(net=optimizer))
    checkpoint.save_state(path, **save, values=dict(a=1))
    before = (tmp_path / 'training-state-000001.pt').read_bytes()
    real_open = open

    def limited_open(limit):
        def opened(name, mode, **kwargs):
            file = real_open(name, mode, buffering=0, **kwargs)

            class Limited:
                written = 0

                def write(self, data):
                    self.written += len(data)
                    if self.written > limit:
                        raise OSError(errno.ENOSPC, 'No space left on device')
                    return file.write(data)

                def __getattr__(self, name):
                    return getattr(file, name)

                def __enter__(self):
                    return self

                def __exit__(self, *exception):
                    file.close()
            return Limited()
        return opened

    for limit in (0, 100, 700, len(before) // 2, len(before) - 1):
        monkeypatch.setattr('stylegan2_mspe.files.open', limited_open(limit), raising=False)
        with pytest.raises(OSError, match='No space left'):
            checkpoint.save_state(path, **save, values=dict(a=2))
        assert (tmp_path / 'training-state-000001.pt').read_bytes() == before
        assert os.listdir(tmp_path) == ['training-state-000001.pt']
