"""The losses against values worked out by hand on linear networks, and against what they must leave alone."""

import math

import pytest
import torch

from stylegan2_mspe.loss import StyleGAN2Loss
from stylegan2_mspe.step_canvas import StepCanvas
from torch_utils import training_stats


class LinearD(torch.nn.Module):
    """logit = <w, x> + b · (sum of c)"""

    def __init__(self, shape, seed=0):
        super().__init__()
        self.weight = torch.nn.Parameter(
            torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        )

    def forward(self, images, c):
        return (images * self.weight).sum(dim=(1, 2, 3))[:, None] + c.sum(dim=1, keepdim=True)


class LinearMapping(torch.nn.Module):
    """w = scale · z, the same for each of num_ws layers; counts the updates of its average."""

    def __init__(self, num_ws):
        super().__init__()
        self.num_ws, self.updates = num_ws, 0
        self.scale = torch.nn.Parameter(torch.tensor(1., dtype=torch.float64))

    def forward(self, z, c, skip_w_avg_update=False):
        self.updates += not skip_w_avg_update
        return (self.scale * z)[:, None].repeat(1, self.num_ws, 1)


class LinearSynthesis(torch.nn.Module):
    """x = Σ over layers l of A_l w_l, [N, 1, H, W]"""

    def __init__(self, num_ws, w_dim, height, width, seed=1):
        super().__init__()
        self.shape, self.img_resolution = (height, width), height
        self.matrices = torch.nn.Parameter(torch.randn([num_ws, height * width, w_dim], dtype=torch.float64,
                                                       generator=torch.Generator().manual_seed(seed)))
        self.canvases = []

    def forward(self, ws, canvas=None):
        images = torch.einsum('lpw,nlw->np', self.matrices, ws).reshape(len(ws), 1, *self.shape)
        if canvas is not None:
            self.canvases.append((canvas.height, canvas.width))
            images = images.repeat_interleave(canvas.height // self.shape[0], 2).repeat_interleave(
                canvas.width // self.shape[1], 3
            )
        return images


NUM_WS, W_DIM, H, W, N = 3, 5, 4, 4, 6


@pytest.fixture
def parts():
    torch.manual_seed(7)
    mapping, synthesis, D = LinearMapping(NUM_WS), LinearSynthesis(NUM_WS, W_DIM, H, W), LinearD([1, H, W])
    batch = dict(
        real_img=torch.randn([N, 1, H, W], dtype=torch.float64),
        real_c=torch.randn([N, 2], dtype=torch.float64),
        gen_z=torch.randn([N, W_DIM], dtype=torch.float64),
        gen_c=torch.randn([N, 2], dtype=torch.float64),
    )
    return mapping, synthesis, D, batch


def made(parts, **kwargs):
    kwargs = dict(dict(style_mixing_prob=0, r1_gamma=10), **kwargs)
    loss = StyleGAN2Loss(torch.device('cpu'), parts[0], parts[1], parts[2], **kwargs)
    loss.pl_mean = loss.pl_mean.double()
    return loss


def accumulate(loss, phase, batch, gain=1):
    loss.accumulate_gradients(phase, **batch, sync=True, gain=gain)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def fakes(parts):
    """A_l z summed over the layers, by hand."""
    z = parts[3]['gen_z']
    return sum(z @ matrix.T for matrix in parts[1].matrices.detach()).reshape(N, 1, H, W)


def test_generator_main_term(parts):
    """d/dA_l of mean(-log σ(s)) = mean over n of -(1 - σ(s_n)) w ⊗ z_n"""
    mapping, synthesis, D, batch = parts
    D.requires_grad_(False)
    collector = training_stats.Collector('Loss/.*', keep_previous=False)
    accumulate(made(parts), 'Gmain', batch, gain=3)
    scores = (fakes(parts) * D.weight).sum(dim=(1, 2, 3)) + batch['gen_c'].sum(dim=1)
    slope = -(1 - sigmoid(scores)) / N
    expected = 3 * torch.einsum('n,p,nw->pw', slope, D.weight.flatten(), batch['gen_z'])
    for layer in range(NUM_WS):
        torch.testing.assert_close(synthesis.matrices.grad[layer], expected)
    assert D.weight.grad is None
    collector.update()
    assert collector.mean('Loss/G/loss') == pytest.approx(float(torch.log(1 + torch.exp(-scores)).mean()))
    assert collector.mean('Loss/scores/fake') == pytest.approx(float(scores.mean()))
    assert collector.mean('Loss/signs/fake') == pytest.approx(float(scores.sign().mean()))


def test_discriminator_main_term(parts):
    """d/dw = mean(σ(s_fake) x_fake) - mean((1 - σ(s_real)) x_real); the generator is not differentiated."""
    mapping, synthesis, D, batch = parts
    collector = training_stats.Collector('Loss/.*', keep_previous=False)
    accumulate(made(parts), 'Dmain', batch, gain=2)
    drawn = fakes(parts)
    fake = (drawn * D.weight.detach()).sum(dim=(1, 2, 3)) + batch['gen_c'].sum(dim=1)
    real = (batch['real_img'] * D.weight.detach()).sum(dim=(1, 2, 3)) + batch['real_c'].sum(dim=1)
    expected = torch.einsum('n,nchw->chw', sigmoid(fake), drawn) - torch.einsum(
        'n,nchw->chw', 1 - sigmoid(real), batch['real_img']
    )
    torch.testing.assert_close(D.weight.grad, 2 * expected / N)
    assert mapping.scale.grad is None and synthesis.matrices.grad is None
    assert batch['real_img'].grad is None and not batch['real_img'].requires_grad
    collector.update()
    losses = torch.log(1 + torch.exp(fake)) + torch.log(1 + torch.exp(-real))
    assert collector.mean('Loss/D/loss') == pytest.approx(losses.mean().item())
    assert collector.mean('Loss/scores/real') == pytest.approx(real.mean().item())


def test_r1_of_a_linear_discriminator(parts):
    """γ/2 · |w|², the same for every picture; its gradient is γ w."""
    collector = training_stats.Collector('Loss/.*', keep_previous=False)
    D = parts[2]
    accumulate(made(parts, r1_gamma=8), 'Dreg', parts[3], gain=16)
    torch.testing.assert_close(D.weight.grad, 16 * 8 * D.weight.detach())
    collector.update()
    squared = float(D.weight.detach().square().sum())
    assert collector.mean('Loss/r1_penalty') == pytest.approx(squared)
    assert collector.mean('Loss/D/reg') == pytest.approx(4 * squared)
    assert collector.num('Loss/r1_penalty') == N


def test_both_is_the_sum_of_main_and_regularisation(parts):
    gradients = {}
    for phase in ('Dmain', 'Dreg', 'Dboth'):
        parts[2].weight.grad = None
        accumulate(made(parts), phase, parts[3])
        gradients[phase] = parts[2].weight.grad.clone()
    torch.testing.assert_close(gradients['Dboth'], gradients['Dmain'] + gradients['Dreg'])


def test_path_length_of_a_linear_generator(parts):
    """|Jᵀy|: with x = Σ A_l w_l the slope at layer l is A_lᵀ y, whatever the latent; y is white noise /
    sqrt(HW).
    """
    mapping, synthesis, D, batch = parts
    loss = made(parts, pl_weight=2, pl_decay=.25, pl_batch_shrink=2)
    collector = training_stats.Collector('Loss/.*', keep_previous=False)
    torch.manual_seed(3)
    accumulate(loss, 'Greg', batch, gain=4)
    torch.manual_seed(3)
    noise = torch.randn([N // 2, 1, H, W], dtype=torch.float64).reshape(N // 2, -1) / math.sqrt(H * W)
    matrices = synthesis.matrices.detach().requires_grad_()
    slopes = torch.einsum('np,lpw->nlw', noise, matrices)
    lengths = ((slopes ** 2).sum(dim=2).sum(dim=1) / NUM_WS).sqrt()
    mean = .25 * lengths.mean()                             # the running mean was 0
    penalty = (lengths - mean) ** 2
    assert float(loss.pl_mean) == pytest.approx(mean.item())
    [expected] = torch.autograd.grad(4 * 2 * penalty.mean(), matrices)
    torch.testing.assert_close(synthesis.matrices.grad, expected)
    collector.update()
    assert collector.mean('Loss/pl_penalty') == pytest.approx(penalty.mean().item())
    assert collector.mean('Loss/G/reg') == pytest.approx(2 * penalty.mean().item())
    assert collector.num('Loss/G/reg') == N // 2


def test_terms_of_weight_0_are_left_out(parts):
    accumulate(made(parts, pl_weight=0), 'Greg', parts[3])
    accumulate(made(parts, r1_gamma=0), 'Dreg', parts[3])
    assert all(each.grad is None for module in parts[:3] for each in module.parameters())


def test_gain_0_moves_nothing(parts):
    for phase in ('Gmain', 'Greg', 'Dmain', 'Dreg'):
        accumulate(made(parts), phase, parts[3], gain=0)
    gradients = [each.grad for module in parts[:3] for each in module.parameters() if each.grad is not None]
    assert gradients and all(float(each.abs().max()) == 0 for each in gradients)


def test_style_mixing_takes_another_latent_from_a_layer_on(parts):
    mapping, _, _, batch = parts
    loss = made(parts, style_mixing_prob=1)
    seen = set()
    for _ in range(40):
        ws = loss._draw(batch['gen_z'], batch['gen_c'])[1]
        own = [bool(torch.equal(ws[:, layer], batch['gen_z'])) for layer in range(NUM_WS)]
        assert own == sorted(own, reverse=True) and own[0] and not own[-1]
        torch.testing.assert_close(ws[:, own.index(False)], ws[:, -1])
        seen.add(own.index(False))
    assert seen == {1, 2}
    assert mapping.updates == 40                            # the other latent leaves the average alone
    loss.style_mixing_prob = .25
    mixed = [
        not torch.equal(loss._draw(batch['gen_z'], batch['gen_c'])[1][:, -1], batch['gen_z'])
        for _ in range(400)
    ]
    assert 60 < sum(mixed) < 140                            # 100 ± 4.6 standard deviations


def test_augmentation_is_seen_by_the_discriminator_only(parts):
    calls = []

    def halve(images):
        calls.append(len(images))
        return images / 2

    D, batch = parts[2], parts[3]
    loss = made(parts, r1_gamma=8)
    loss.augment_pipe = halve
    accumulate(loss, 'Dreg', batch)
    # through the augmentation: |w/2|²
    torch.testing.assert_close(D.weight.grad, 8 * D.weight.detach() / 4)
    accumulate(loss, 'Gmain', batch)
    assert calls == [N, N]


def test_another_canvas_reaches_the_generator_and_not_the_discriminator(parts):
    _, synthesis, D, batch = parts
    loss = made(parts)
    loss.step_canvas = StepCanvas(H, 8)
    images, _ = loss._draw(batch['gen_z'], batch['gen_c'])
    assert synthesis.canvases == [(8, 8)] and images.shape == (N, 1, H, W)
    # Repeated 2x2 and filtered by the antialiasing triangle: each output pixel is [1, 3, 3, 1] / 8 of the
    # large one.
    large = fakes(parts).repeat_interleave(2, 2).repeat_interleave(2, 3)
    weights = torch.tensor([1., 3., 3., 1.], dtype=torch.float64) / 8
    inner = torch.einsum('nchw,h,w->nc', large[:, :, 1:5, 3:7], weights, weights)
    torch.testing.assert_close(images[:, :, 1, 2], inner)
    loss.step_canvas = StepCanvas(H, H, (3, 1))
    rolled, _ = loss._draw(batch['gen_z'], batch['gen_c'])
    assert synthesis.canvases == [(8, 8), (H, W)]
    torch.testing.assert_close(rolled, fakes(parts).roll((-3, -1), dims=(2, 3)))    # the stub moves nothing
    accumulate(loss, 'Gmain', batch)
    assert float(synthesis.matrices.grad.abs().max()) > 0


def test_real_networks_agree_between_main_reg_and_both():
    """The phases on the real networks: all parameters of the one trained get a gradient, none of the other.
    """
    from tests.golden import fill
    from stylegan2_mspe import networks

    G = fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2),
                                synthesis_kwargs=dict(channel_base=128, channel_max=8, pe='mspe')))
    D = fill(
        networks.Discriminator(
            0, 16, 3, channel_base=128, channel_max=8, epilogue_kwargs=dict(mbstd_group_size=2)
        )
    )
    loss = StyleGAN2Loss(torch.device('cpu'), G.mapping, G.synthesis, D, style_mixing_prob=.9, r1_gamma=1)
    batch = dict(
        real_img=torch.randn([4, 3, 16, 16]),
        real_c=torch.zeros([4, 0]),
        gen_z=torch.randn([4, 8]),
        gen_c=torch.zeros([4, 0]),
    )
    for phase, module, other in [('Gmain', G, D), ('Greg', G, D), ('Dmain', D, G), ('Dreg', D, G)]:
        for each in (G, D):
            each.requires_grad_(each is module)
            each.zero_grad(set_to_none=True)
        accumulate(loss, phase, batch)
        assert all(each.grad is None for each in other.parameters())
        trained = [
            name
            for name, each in module.named_parameters()
            if each.grad is not None and each.grad.abs().max() > 0
        ]
        # What only adds to the picture or the score, or is followed by piecewise linear layers only, has no
        # say in a slope.
        silent = {'Greg': ('torgb.bias',), 'Dreg': ('b4.conv.bias', 'b4.fc.bias', 'b4.out.bias')}.get(
            phase, ()
        )
        missing = {
            name for name, _ in module.named_parameters() if name not in trained and not name.endswith(silent)
        }
        assert not missing, (phase, missing)
