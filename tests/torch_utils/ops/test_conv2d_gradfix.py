"""The convolutions against torch's own, and what no_weight_gradients leaves out."""

import pytest
import torch
import torch.nn.functional as F

from torch_utils.ops import conv2d_gradfix as ops

CASES = [  # transposed, settings
    (False, dict()),
    (False, dict(stride=2, padding=1)),
    (False, dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2)),
    (True, dict()),
    (True, dict(stride=2, padding=1, output_padding=1)),
    (True, dict(stride=(3, 2), padding=(1, 0), output_padding=(2, 0), groups=2)),
]


def tensors(transposed, groups=1, dtype=torch.float64):
    torch.manual_seed(3)
    inputs, outputs = 2 * groups, 3 * groups
    shape = (inputs, outputs // groups, 3, 2) if transposed else (outputs, inputs // groups, 3, 2)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in ((2, inputs, 5, 7), shape, (outputs,))]


def run(transposed, module):
    return getattr(module, 'conv_transpose2d' if transposed else 'conv2d')


@pytest.mark.parametrize('transposed, settings', CASES)
def test_agrees_with_torch(transposed, settings):
    x, w, b = tensors(transposed, settings.get('groups', 1))
    y, expected = (run(transposed, module)(x, w, b, **settings) for module in (ops, F))
    torch.testing.assert_close(y, expected)
    gy = torch.randn_like(y)
    for create_graph in (False, True):
        settled = dict(retain_graph=True, create_graph=create_graph)
        torch.testing.assert_close(torch.autograd.grad(y, [x, w, b], gy, **settled),
                                   torch.autograd.grad(expected, [x, w, b], gy, **settled))


@pytest.mark.parametrize('transposed, settings', CASES)
def test_first_second_and_third_derivatives(transposed, settings):
    x, w, b = tensors(transposed, settings.get('groups', 1))

    def call(x, w, b):
        return run(transposed, ops)(x, w, b, **settings)

    def gradient(x, w):
        y = call(x, w, b)
        return torch.autograd.grad(y, [x, w], y.square(), create_graph=True)

    assert torch.autograd.gradcheck(call, [x, w, b], fast_mode=True)
    assert torch.autograd.gradgradcheck(call, [x, w, b], fast_mode=True)
    assert torch.autograd.gradgradcheck(gradient, [x, w], fast_mode=True)


@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.filterwarnings('ignore:Using backward')  # the graph is gone with this test
@pytest.mark.parametrize('create_graph', [False, True])
def test_no_weight_gradients(transposed, create_graph):
    x, w, b = tensors(transposed)
    y = run(transposed, ops)(x, w, b)
    with ops.no_weight_gradients():
        assert ops.weight_gradients_disabled
        y.square().sum().backward(create_graph=create_graph, retain_graph=True)
    assert not ops.weight_gradients_disabled
    assert w.grad is None and x.grad is not None and b.grad is not None
    y.sum().backward()
    assert w.grad is not None


@pytest.mark.parametrize('transposed', [False, True])
def test_r1_gradients_of_the_weights_are_whole(transposed):
    """Inside: d score / d image only. Outside: the penalty's derivative with respect to the weights."""
    results = []
    for module in (ops, F):
        x, w, b = tensors(transposed)
        y = run(transposed, module)(x, w, b, stride=2).square().sum()
        with ops.no_weight_gradients():
            [gx] = torch.autograd.grad(y, [x], create_graph=True)
        gx.square().sum().backward()
        results.append([w.grad, b.grad, x.grad])
    torch.testing.assert_close(*results)


def test_the_work_is_really_left_out(monkeypatch):
    masks = []
    original = ops._backward
    monkeypatch.setattr(ops, '_backward', lambda *args: masks.append(args[-1]) or original(*args))
    x, w, b = tensors(False)
    y = ops.conv2d(x, w, b).sum()
    with ops.no_weight_gradients():
        y.backward()
    assert masks == [[True, False, True]]


def test_what_r1_computes_and_no_more(monkeypatch):
    """One gradient of the weights, that of the penalty, and none for the slopes it is made of."""
    masks, weight_gradients = [], []
    original, gradient = ops._backward, ops._WeightGradient.apply
    monkeypatch.setattr(ops, '_backward', lambda *args: masks.append(args[-1]) or original(*args))
    monkeypatch.setattr(ops._WeightGradient, 'apply',
                        lambda *args: weight_gradients.append(args) or gradient(*args))
    x, w, _ = tensors(False)
    with ops.no_weight_gradients():
        [gx] = torch.autograd.grad(ops.conv2d(x, w).square().sum(), [x], create_graph=True)
    assert not masks and not weight_gradients
    [gw] = torch.autograd.grad(gx.square().sum(), [w])
    assert [mask[1] for mask in masks] == [True, True] and not weight_gradients     # w enters twice
    y = F.conv2d(x, w).square().sum()
    [gx] = torch.autograd.grad(y, [x], create_graph=True)
    torch.testing.assert_close(gw, torch.autograd.grad(gx.square().sum(), [w])[0])


def test_the_context_nests_and_survives_an_exception():
    with pytest.raises(KeyError):
        with ops.no_weight_gradients():
            with ops.no_weight_gradients():
                pass
            assert ops.weight_gradients_disabled
            raise KeyError
    assert not ops.weight_gradients_disabled


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.parametrize('stride', [1, 2])
def test_layout_is_kept(transposed, layout, stride):
    x, w, _ = tensors(transposed, dtype=torch.float32)
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    y = run(transposed, ops)(x, w, stride=stride)
    assert y.is_contiguous(memory_format=layout)
    y.sum().backward()
    assert x.grad.is_contiguous(memory_format=layout)


def test_empty_batch_one_picture_and_padding_by_name():
    x, w, b = tensors(False)
    y = ops.conv2d(x[:0], w, b)
    assert y.shape == (0, 3, 3, 6)
    y.sum().backward()
    assert w.grad.abs().sum() == 0
    torch.testing.assert_close(ops.conv2d(x[0], w, b), F.conv2d(x[:1], w, b)[0])
    assert ops.conv2d(x, w, b, padding='valid').shape == (2, 3, 3, 6)
    x, w, b = tensors(True)
    torch.testing.assert_close(ops.conv_transpose2d(x[0], w, b), F.conv_transpose2d(x[:1], w, b)[0])


def test_autocast_casts():
    x, w, b = tensors(False, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        assert ops.conv2d(x, w, b).dtype == torch.bfloat16


def test_disabled_is_torchs_own(monkeypatch):
    monkeypatch.setattr(ops, 'enabled', False)
    x, w, b = tensors(False)
    y = ops.conv2d(x, w, b)
    assert y.grad_fn.name() == F.conv2d(x, w, b).grad_fn.name()
    torch.testing.assert_close(y, F.conv2d(x, w, b))
