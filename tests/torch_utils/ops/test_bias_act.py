"""bias_act against reference numbers and the formulas of its activations in float64 numpy."""

import json
import math

import numpy as np
import pytest
import torch

from tests.golden import golden
from torch_utils.ops import bias_act as ops

SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, App. A1
FORMULAS = {  # activation → formula; default gain
    'linear':   (lambda x, alpha: x, 1),
    'relu':     (lambda x, alpha: np.maximum(x, 0), math.sqrt(2)),
    'lrelu':    (lambda x, alpha: np.where(x > 0, x, alpha * x), math.sqrt(2)),
    'tanh':     (lambda x, alpha: np.tanh(x), 1),
    'sigmoid':  (lambda x, alpha: 1 / (1 + np.exp(-x)), 1),
    'elu':      (lambda x, alpha: np.where(x > 0, x, np.exp(x) - 1), 1),
    'selu':     (lambda x, alpha: SCALE * np.where(x > 0, x, SELU_ALPHA * (np.exp(x) - 1)), 1),
    'softplus': (lambda x, alpha: np.log1p(np.exp(x)), 1),
    'swish':    (lambda x, alpha: x / (1 + np.exp(-x)), math.sqrt(2)),
}
SETTINGS = [dict(), dict(alpha=0.3, gain=1.7, clamp=0.5), dict(gain=-2.0), dict(alpha=-0.5), dict(clamp=0.8)]


def inputs():
    random = np.random.RandomState(2)
    for shape in ((2, 3, 2, 4), (3,)):
        yield torch.from_numpy(random.standard_normal(shape)).requires_grad_()


def test_the_table_holds_the_activations_and_their_defaults():
    assert set(ops.activation_funcs) == set(FORMULAS)
    for name, (_, gain) in FORMULAS.items():
        assert ops.activation_funcs[name].def_gain == pytest.approx(gain)
        assert ops.activation_funcs[name].def_alpha == (0.2 if name == 'lrelu' else 0)


@pytest.mark.parametrize('act', FORMULAS)
@pytest.mark.parametrize('settings', SETTINGS)
def test_agrees_with_the_formula(act, settings):
    x, b = inputs()
    formula, gain = FORMULAS[act]
    v = x.detach().numpy() + b.detach().numpy()[:, None, None]
    expected = settings.get('gain', gain) * formula(v, settings.get('alpha', 0.2))
    if 'clamp' in settings:
        expected = np.clip(expected, -settings['clamp'], settings['clamp'])
    y = ops.bias_act(x, b, act=act, **settings).detach()
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize('act', FORMULAS)
@pytest.mark.parametrize('settings', SETTINGS)
def test_first_and_second_derivatives(act, settings):
    def run(x, b):
        return ops.bias_act(x, b, act=act, **settings)

    assert torch.autograd.gradcheck(run, [*inputs()], fast_mode=True)
    assert torch.autograd.gradgradcheck(run, [*inputs()], fast_mode=True, atol=1e-4)


def test_agrees_with_reference_numbers():
    data = golden('bias_act')
    for case in json.loads(str(data['cases'])):
        x, b, y, gy, gx, gb = (torch.from_numpy(data[f'{case["name"]}_{part}'])
                               for part in ('x', 'b', 'y', 'gy', 'gx', 'gb'))
        x.requires_grad_(), b.requires_grad_()
        settings = {key: case[key] for key in ('act', 'alpha', 'gain', 'clamp')}
        result = ops.bias_act(x, b, **settings)
        results = [result, *torch.autograd.grad(result, [x, b], gy)]
        for value, expected in zip(results, (y, gx, gb)):
            assert (value - expected).abs().max() < 1e-5 * expected.std(), case


@pytest.mark.parametrize('act', ['linear', 'lrelu', 'tanh'])
def test_other_dimensions_no_bias_and_empty_batches(act):
    x = torch.randn(3, 5, requires_grad=True)
    b = torch.randn(5, requires_grad=True)
    formula = FORMULAS[act][0]
    gain = FORMULAS[act][1]
    np.testing.assert_allclose(ops.bias_act(x, b, act=act).detach(),
                               gain * formula((x + b).detach().numpy(), 0.2), atol=1e-6)
    np.testing.assert_allclose(ops.bias_act(x, act=act).detach(),
                               gain * formula(x.detach().numpy(), 0.2), atol=1e-6)
    column = torch.randn(3)
    np.testing.assert_allclose(ops.bias_act(x, column, dim=0, act=act, clamp=9).detach(),
                               gain * formula((x + column[:, None]).detach().numpy(), 0.2), atol=1e-6)
    y = ops.bias_act(torch.randn(0, 5, 3, 3), b, act=act)
    assert y.shape == (0, 5, 3, 3)
    y.sum().backward()
    assert b.grad.tolist() == [0] * 5


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('act', ['linear', 'lrelu', 'swish'])
def test_layout_and_dtype_are_kept_both_ways(act, dtype, layout):
    x = torch.randn(2, 3, 4, 5).to(dtype).contiguous(memory_format=layout).requires_grad_()
    before = x.detach().clone()
    b = torch.randn(3, requires_grad=True)  # a float32 bias of a reduced-precision layer
    y = ops.bias_act(x, b, act=act, clamp=1.0)
    y.sum().backward()
    for tensor in (y, x.grad):
        assert tensor.dtype == dtype and tensor.is_contiguous(memory_format=layout)
    assert b.grad.dtype == torch.float32
    assert torch.equal(x, before), 'the input is left alone'


def test_the_gradient_keeps_the_result_and_nothing_else():
    saved = []
    x, b = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = ops.bias_act(x, b, act='lrelu', clamp=1.0)
    assert len(saved) == 1 and saved[0].data_ptr() == y.data_ptr()
    saved.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        ops.bias_act(x, b, act='linear', gain=2.0)
    assert not saved


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="'gelu'.*lrelu"):
        ops.bias_act(torch.ones(1, 1), act='gelu')
