"""Group normalisation with SiLU: by hand, and the compiled kernel against PyTorch's operators."""

import pytest
import torch
import torch.nn.functional as F

from stylegan2_mspe import ops
from stylegan2_mspe.ops import native

needs_compiler = pytest.mark.skipif(native.library() is None,
                                    reason='no C++ compiler on this machine: there are no kernels to compare')


def make(shape=(2, 48, 5, 7), groups=8, dtype=torch.float32, offset=0.):
    """x [N, C, H, W] whose channels have different means and spreads, and a norm with weights."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *size: torch.randn(size, generator=generator)
    norm = torch.nn.GroupNorm(groups, shape[1])
    with torch.no_grad():
        norm.weight.copy_(1 + .5 * draw(shape[1]))
        norm.bias.copy_(draw(shape[1]))
    x = draw(*shape) * (.2 + draw(1, shape[1], 1, 1).abs()) + 2 * draw(1, shape[1], 1, 1) + offset
    return x.to(dtype).requires_grad_(), norm


def reference(x, norm):
    """In float64, by PyTorch's operators."""
    weight, bias = (each.detach().double().requires_grad_() for each in (norm.weight, norm.bias))
    x = x.detach().double().requires_grad_()
    return F.silu(F.group_norm(x, norm.num_groups, weight, bias, norm.eps)), (x, weight, bias)


def near(found, wanted, bound):
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= bound * wanted.std(), (found - wanted).abs().max() / wanted.std()


def test_by_hand():
    norm = torch.nn.GroupNorm(1, 2, eps=0.)
    x = torch.tensor([1., 3.]).reshape(1, 2, 1, 1)                  # mean 2, deviation 1: -1 and 1
    found = ops.norm_silu(x, norm).flatten()
    assert torch.allclose(found, torch.tensor([-.268941, .731059]))


@needs_compiler
@pytest.mark.parametrize('shape, groups', [((2, 48, 5, 7), 8), ((1, 16, 1, 1), 4), ((3, 32, 9, 16), 32),
                                           ((2, 16, 13, 11), 1), ((5, 64, 2, 3), 8)])
@pytest.mark.parametrize('dtype, bound', [(torch.float32, 2e-5), (torch.bfloat16, .03)])
def test_kernel_against_the_definition(shape, groups, dtype, bound):
    x, norm = make(shape, groups, dtype)
    found, (wanted, inputs) = ops.norm_silu(x, norm), reference(x, norm)
    assert found.dtype == dtype and type(found.grad_fn).__name__ == '_NormSiluBackward'
    near(found, wanted, bound)
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    gradients = torch.autograd.grad(found, [x, norm.weight, norm.bias], direction)
    for one, other in zip(gradients, torch.autograd.grad(wanted, inputs, direction.double())):
        near(one, other, bound)


@needs_compiler
def test_a_large_mean_takes_nothing_from_the_variance():
    x, norm = make(offset=1000.)
    near(ops.norm_silu(x, norm), reference(x, norm)[0], 1e-3)
    extreme = torch.tensor([-1e4, 1e4, -200., 200.] * 8).reshape(1, 32, 1, 1)   # beyond what exp takes
    found = ops.norm_silu(extreme, torch.nn.GroupNorm(1, 32, eps=0., affine=True))
    assert found.isfinite().all()
    norm = torch.nn.GroupNorm(1, 32)
    with torch.no_grad():
        norm.weight.fill_(500)
    near(ops.norm_silu(extreme, norm), reference(extreme, norm)[0], 1e-5)


@needs_compiler
def test_second_derivatives():
    x, norm = make((2, 16, 3, 2), 4)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))

    def second(y, inputs, direction):
        first = torch.autograd.grad(y, inputs, direction, create_graph=True)
        return torch.autograd.grad(sum(each.square().sum() for each in first), inputs)
    found = second(ops.norm_silu(x, norm), [x, norm.weight, norm.bias], direction)
    wanted, inputs = reference(x, norm)
    for one, other in zip(found, second(wanted, inputs, direction.double())):
        near(one, other, 1e-4)


@needs_compiler
def test_nan_is_told_and_stays_in_its_group():
    x, norm = make((2, 16, 4, 4), 4)
    with torch.no_grad():
        x[1, 5, 2, 2] = float('nan')
    found = ops.norm_silu(x, norm).isnan().flatten(2).all(2)
    assert found.sum() == 4 and found[1, 4:8].all()


@pytest.mark.parametrize('shape, groups', [((2, 12, 5, 7), 4), ((0, 16, 3, 3), 4)])
def test_what_no_kernel_takes(shape, groups):
    x, norm = make(shape, groups)
    assert torch.equal(ops.norm_silu(x, norm),
                       ops.plain_norm_silu(x, norm.weight, norm.bias, groups, norm.eps))


@needs_compiler
def test_a_batch_does_not_change_a_sample():
    x, norm = make((5, 32, 6, 7))
    with torch.no_grad():
        whole = ops.norm_silu(x, norm)
        assert torch.equal(whole[3:4], ops.norm_silu(x[3:4], norm))
