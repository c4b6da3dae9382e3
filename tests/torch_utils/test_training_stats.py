"""Statistics against numpy, between updates, from several collectors and several processes."""

import math
import weakref

import numpy as np
import pytest
import torch

from torch_utils import training_stats as stats


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    for name, value in dict(_rank=0, _sync_device=None, _cpu_totals={}, _device_totals={}, _world_names=set(),
                            _collectors=weakref.WeakSet()).items():
        monkeypatch.setattr(stats, name, value)


def test_agrees_with_numpy():
    collector = stats.Collector()
    values = np.random.RandomState(6).normal(5, 3, size=100)
    stats.report('a', values[0])
    stats.report('a', torch.from_numpy(values[1:60].reshape(-1, 1)).requires_grad_())
    stats.report('a', list(values[60:80]))
    stats.report('a', values[80:])
    collector.update()
    assert collector.num('a') == 100
    assert collector.mean('a') == collector['a'] == pytest.approx(values.mean(), rel=1e-12)
    assert collector.std('a') == pytest.approx(values.std(), rel=1e-9)
    assert collector.as_dict() == {'a': {'num': 100, 'mean': collector['a'], 'std': collector.std('a')}}
    assert collector.as_dict().a.num == 100


@pytest.mark.parametrize('value', [
    3, 2.5, True, torch.tensor([1, 2]), torch.tensor(1.5, dtype=torch.bfloat16), np.float32(4), [1, 2], [],
    torch.ones(0)])
def test_returns_what_it_was_given(value):
    collector = stats.Collector()
    assert stats.report('a', value) is value
    collector.update()
    elements = np.asarray(torch.as_tensor(value).double())
    assert collector.num('a') == elements.size
    if elements.size:
        assert collector['a'] == pytest.approx(elements.mean())


def test_a_tensor_on_a_device_is_added_up_there():
    """The path of a GPU, taken by a CPU tensor's stand-in: no value leaves the device before the update."""
    device = torch.device('meta')
    stats.report('a', torch.ones(3, device=device))
    stats.report('a', torch.ones(2, 2, device=device))
    assert stats._device_totals['a'][device].shape == (3,) and 'a' not in stats._cpu_totals


def test_totals_of_several_devices_are_added():
    stats.report('a', [1.0, 2.0])
    stats._device_totals['a'] = {'x': torch.tensor([2.0, 6.0, 20.0]), 'y': torch.tensor([1.0, 5.0, 25.0])}
    assert stats._take_local('a').tolist() == [5, 14, 50]
    assert stats._take_local('a').tolist() == [0, 0, 0]


def test_only_what_came_between_two_updates_counts():
    stats.report('a', 100)
    collector = stats.Collector()
    assert collector.names() == ['a'] and collector.num('a') == 0 and math.isnan(collector['a'])
    stats.report('a', 2)
    other = stats.Collector()
    stats.report('a', 4)
    assert math.isnan(collector['a']), 'nothing changes before an update'
    collector.update()
    other.update()
    assert collector.mean('a') == 3 and collector.std('a') == 1
    assert other.mean('a') == 4 and other.std('a') == 0


def test_a_tick_does_not_remember_the_ticks_before():
    """Bit for bit: a run that was interrupted reports what it would have reported."""
    results = []
    for before in ([], [1e9, 1 / 3]):
        collector = stats.Collector()
        stats.report('a', before)
        collector.update()
        stats.report('a', [0.1, 0.2, 0.7])
        collector.update()
        results.append(collector.as_dict())
    assert results[0] == results[1]


def test_keep_previous():
    keeping, forgetting = stats.Collector(), stats.Collector(keep_previous=False)
    stats.report('a', 2)
    for collector in (keeping, forgetting):
        collector.update()
        assert collector['a'] == 2
        stats.report('b', 1)
        collector.update()
    assert keeping['a'] == 2 and keeping.num('a') == 1
    assert math.isnan(forgetting['a']) and forgetting.num('a') == 0 and math.isnan(forgetting.std('a'))


def test_regex_matches_whole_names():
    collector = stats.Collector(regex='Loss/.*')
    for name in ('Loss/G', 'Loss/D', 'My/Loss/G', 'Progress'):
        stats.report(name, 1)
    collector.update()
    assert collector.names() == ['Loss/D', 'Loss/G'] and list(collector.as_dict()) == ['Loss/D', 'Loss/G']
    with pytest.raises(AssertionError):
        collector.mean('Progress')


def test_nan_is_not_hidden():
    collector = stats.Collector()
    stats.report('a', [1.0, math.nan])
    collector.update()
    assert collector.num('a') == 2 and math.isnan(collector['a']) and math.isnan(collector.std('a'))
    stats.report('a', 3.0)
    collector.update()
    assert collector['a'] == 3, 'and does not stay for ever'


def worker(rank, path):
    """One of two processes: different values, names that only one of them reports."""
    torch.distributed.init_process_group('gloo', init_method=f'file://{path}', rank=rank, world_size=2)
    stats.init_multiprocessing(rank=rank, sync_device=torch.device('cpu'))
    collector = stats.Collector()
    stats.report('both', [10.0 * rank, 10.0 * rank + 2])
    stats.report(f'rank{rank}', rank + 1)
    assert stats.report0('zero', rank + 5) == rank + 5
    collector.update()
    found = {name: (s.num, s.mean, pytest.approx(s.std)) for name, s in collector.as_dict().items()}
    assert found == {'both': (4, 6.0, math.sqrt(26)), 'rank0': (1, 1.0, 0.0), 'rank1': (1, 2.0, 0.0),
                     'zero': (1, 5.0, 0.0)}
    torch.distributed.destroy_process_group()


def test_two_processes(tmp_path):
    context = torch.multiprocessing.spawn(worker, args=[str(tmp_path / 'rendezvous')], nprocs=2, join=False)
    while not context.join(timeout=60):
        pass
    assert all(process.exitcode == 0 for process in context.processes)
