"""torch_utils.misc: constants, the infinite sampler, copying and comparing modules, the summary table."""

import itertools
import re
import warnings

import numpy as np
import pytest
import torch

from torch_utils import misc


def draw(count, size=10, **kwargs):
    return list(itertools.islice(misc.InfiniteSampler(range(size), **kwargs), count))


# ---- InfiniteSampler ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('kwargs', [
    dict(), dict(window_size=0), dict(window_size=1), dict(shuffle=False), dict(seed=7)])
def test_every_pass_holds_every_index_once(kwargs):
    indices = np.reshape(draw(70, **kwargs), [7, 10])
    assert (np.sort(indices, axis=1) == np.arange(10)).all()


def test_order_depends_on_the_seed_alone():
    assert draw(40, seed=1) == draw(40, seed=1) != draw(40, seed=2)
    assert draw(20, shuffle=False) == [*range(10), *range(10)]
    first, second = np.reshape(draw(20, window_size=0), [2, 10])
    assert (first == second).all() and (first != np.arange(10)).any()
    sampler = misc.InfiniteSampler(range(10))
    assert list(itertools.islice(sampler, 15)) == list(itertools.islice(sampler, 15)), 'iterating starts over'


@pytest.mark.parametrize('window', [0.2, 0.5, 1])
def test_an_index_moves_by_at_most_the_window(window):
    size = 100
    passes = np.reshape(draw(20 * size, size=size, window_size=window), [20, size])
    places = np.argsort(passes, axis=1)
    moved = abs(np.diff(places, axis=0))
    assert 0 < moved.max() <= window * size
    assert len({tuple(order) for order in passes}) == 20


@pytest.mark.parametrize('size, replicas', [(10, 3), (12, 4), (2, 3), (1, 1)])
def test_ranks_share_one_stream(size, replicas):
    stream = draw(30 * replicas, size=size, seed=3)
    for rank in range(replicas):
        assert draw(30, size=size, seed=3, rank=rank, num_replicas=replicas) == stream[rank::replicas]


@pytest.mark.parametrize('start', [0, 1, 9, 10, 11, 237])
@pytest.mark.parametrize('kwargs', [
    dict(), dict(rank=2, num_replicas=3), dict(shuffle=False), dict(window_size=0)])
def test_start_continues_where_the_stream_was_left(start, kwargs):
    assert draw(25, start=start, **kwargs) == draw(start + 25, **kwargs)[start:]


def test_it_feeds_a_data_loader():
    data = torch.arange(20)
    loader = torch.utils.data.DataLoader(data, sampler=misc.InfiniteSampler(data, start=3), batch_size=5)
    batches = torch.cat(list(itertools.islice(loader, 6)))
    assert batches.tolist() == draw(33, size=20)[3:]
    assert isinstance(misc.InfiniteSampler(data), torch.utils.data.Sampler)


def test_an_empty_dataset_is_refused():
    with pytest.raises(ValueError, match='no pictures'):
        misc.InfiniteSampler([])


# ---- Tensors -----------------------------------------------------------------------------------------------


def test_constants_are_made_once():
    a = misc.constant([1, 2], shape=[3, 2], dtype=torch.float64)
    assert a.tolist() == [[1, 2]] * 3 and a.dtype == torch.float64 and a.is_contiguous()
    assert misc.constant([1, 2], shape=(3, 2), dtype=torch.float64) is a
    assert misc.constant(np.array([1, 2]), shape=(3, 2)).dtype == torch.float32
    assert misc.constant(5).shape == () and misc.constant(5) == 5 and misc.constant(5.5) == 5.5
    x = misc.constant(np.zeros([1, 3, 4, 5]), memory_format=torch.channels_last)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_a_constant_first_used_in_inference_serves_training():
    with torch.inference_mode():
        misc.constant(0.12345)
    w = torch.ones((), requires_grad=True)
    (w * misc.constant(0.12345)).backward()
    assert w.grad == misc.constant(0.12345)


def test_nan_to_num_and_assert_shape():
    x = torch.tensor([np.nan, np.inf, 1])
    assert misc.nan_to_num(x, posinf=7).tolist() == [0, 7, 1]
    misc.assert_shape(torch.ones(2, 3), [2, None])
    for shape in ([2], [2, 4], [None, 3, 1]):
        with pytest.raises(AssertionError, match=r'Expected.*\[2, 3\]'):
            misc.assert_shape(torch.ones(2, 3), shape)


def test_tracer_warnings_are_hidden_and_the_filters_restored():
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        with misc.suppress_tracer_warnings():
            warnings.warn('hidden', torch.jit.TracerWarning)
            warnings.warn('seen', UserWarning)
    assert [str(w.message) for w in caught] == ['seen'] and list(warnings.filters) == before


def test_profiled_function():
    @misc.profiled_function
    def doubled(x):
        return 2 * x

    with torch.autograd.profiler.profile() as profile:
        assert doubled(torch.ones(1)) == 2
    assert 'doubled' in [event.name for event in profile.function_events]


# ---- Modules -----------------------------------------------------------------------------------------------


def network(size=3):
    return torch.nn.Sequential(torch.nn.Linear(2, size), torch.nn.BatchNorm1d(size), torch.nn.ReLU())


def test_params_and_buffers():
    names = [name for name, _ in misc.named_params_and_buffers(network())]
    assert names == ['0.weight', '0.bias', '1.weight', '1.bias', '1.running_mean', '1.running_var',
                     '1.num_batches_tracked']
    module = network()
    named = [tensor for _, tensor in misc.named_params_and_buffers(module)]
    assert [id(tensor) for tensor in misc.params_and_buffers(module)] == [id(tensor) for tensor in named]


def test_copy_params_and_buffers():
    source, target = network(), network()
    source(torch.randn(4, 2))
    target.requires_grad_(False)
    misc.copy_params_and_buffers(source, target, require_all=True)
    for a, b in zip(misc.params_and_buffers(source), misc.params_and_buffers(target)):
        assert torch.equal(a, b) and a is not b and not b.requires_grad
    smaller = torch.nn.Sequential(torch.nn.Linear(2, 3))
    misc.copy_params_and_buffers(smaller, target)
    assert torch.equal(target[0].weight, smaller[0].weight)
    with pytest.raises(ValueError, match='1.weight'):
        misc.copy_params_and_buffers(smaller, target, require_all=True)
    before = target[0].weight.clone()
    with pytest.raises(ValueError, match=r'0.weight.*\[4, 2\].*\[3, 2\]'):
        misc.copy_params_and_buffers(network(4), target)
    assert torch.equal(target[0].weight, before)


def test_ddp_sync_leaves_other_modules_alone():
    module = network()
    for sync in (True, False):
        with misc.ddp_sync(module, sync):
            module(torch.randn(4, 2)).sum().backward()
    assert module[0].weight.grad is not None


def test_ddp_consistency_names_the_tensor(monkeypatch):
    module = network()
    module[0].bias.data[1] = np.nan
    monkeypatch.setattr(torch.distributed, 'get_rank', lambda: 1)
    monkeypatch.setattr(torch.distributed, 'broadcast', lambda tensor, src: tensor)
    misc.check_ddp_consistency(module)
    monkeypatch.setattr(torch.distributed, 'broadcast',
                        lambda tensor, src: tensor.add_(1) if tensor.ndim == 2 else tensor)
    with pytest.raises(AssertionError, match='Rank 1 .* Sequential.0.weight'):
        misc.check_ddp_consistency(module)
    misc.check_ddp_consistency(module, ignore_regex=r'.*\.weight')


def test_module_summary(capsys):
    module = torch.nn.Sequential(network(), torch.nn.Linear(3, 4), torch.nn.Tanh())
    x = torch.randn(5, 2)
    result = misc.print_module_summary(module, [x])
    assert result.shape == (5, 4) and not module._forward_hooks
    rows = {row[0]: row[1:] for line in capsys.readouterr().out.splitlines()
            if (row := re.split(r'\s{2,}', line.strip())) != ['']}
    assert rows['module'] == ['parameters', 'buffers', 'output shape', 'dtype']
    assert rows['0.0'] == ['9', '-', '[5, 3]', 'float32']
    assert rows['0.1'] == ['6', '7', '[5, 3]', 'float32']
    assert rows['1'] == ['16', '-', '[5, 4]', 'float32']
    assert rows['total'][:2] == ['31', '7']
    assert '0.2' in rows and '2' in rows and '0' not in rows, 'a row that repeats another is left out'
    misc.print_module_summary(module, [x], max_nesting=1, skip_redundant=False)
    names = [line.split('  ')[0] for line in capsys.readouterr().out.splitlines()]
    assert '0' in names and '0.0' not in names and '(top level)' in names
