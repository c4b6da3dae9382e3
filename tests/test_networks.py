"""Networks against StyleGAN2-ADA's numbers, the authors' numbers, and what position as an input must mean."""

import copy
import json

import numpy as np
import pytest
import torch

from stylegan2_mspe import networks, pe
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.rosinality import load_rosinality

from tests.authors import authors_file
from tests.golden import fill, golden


def tiny_generator(pe='mspe', resolution=16, dtype=torch.float64, **kwargs):
    torch.manual_seed(0)
    G = networks.Generator(8, 0, 8, resolution, 3, mapping_kwargs=dict(num_layers=2),
                           synthesis_kwargs=dict(channel_base=128, channel_max=16, pe=pe, **kwargs))
    G = fill(G, seed=1).to(dtype)
    if pe == 'mspe':
        for parameter in (p for name, p in G.named_parameters() if name.endswith('gamma')):
            parameter.fill_(1.5)
    return G


def tiny_ws(G, count=2, seed=0):
    z = torch.from_numpy(np.random.RandomState(seed).randn(count, G.z_dim))
    return G.mapping(z, None)


def close(ours, theirs, tolerance):
    theirs = torch.as_tensor(theirs)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.std()


@pytest.mark.parametrize('name', ['networks_uncond', 'networks_cond'])
def test_golden_networks(name):
    numbers = golden(name)
    G = networks.Generator(**json.loads(str(numbers['G_kwargs'])))
    D = networks.Discriminator(**json.loads(str(numbers['D_kwargs'])))
    for module, key in [(G, 'G_state'), (D, 'D_state')]:
        expected = json.loads(str(numbers[key]))
        assert {k: list(v.shape) for k, v in module.state_dict().items()} == expected
        fill(module, int(numbers['seed']))
    z, c = torch.from_numpy(numbers['z']), torch.from_numpy(numbers['c'])
    close(G.mapping(z, c), numbers['ws'], 1e-4)
    close(G(z, c, noise_mode='const'), numbers['img_const'], 1e-4)
    close(G(z, c, noise_mode='const', fused_modconv=True), numbers['img_const'], 1e-4)
    truncated = G(z, c, truncation_psi=.6, truncation_cutoff=4, noise_mode='none')
    close(truncated, numbers['img_trunc06_cut4_nonoise'], 1e-4)
    close(D(torch.from_numpy(numbers['D_in']), c), numbers['D_logits'], 1e-4)


@pytest.mark.parametrize('position', ['none', 'sspe', 'mspe'])
def test_golden_authors_generator(position):
    numbers = golden('authors_generator16')
    G = load_rosinality(authors_file(position, numbers))['G_ema']
    z = torch.from_numpy(numbers['z'])
    shifts = [(0, 0), (2, 0), (4, 8), (1, 0)]
    # With an encoding, 3 pixels are 1.5 cells at 8x8, where their rounding is a turn from our wrap.
    if position == 'none':
        shifts.append((0, 3))
    for dy, dx in shifts:
        canvas = Canvas.identity(16).shifted(dy, dx)
        close(G(z, None, noise_mode='const', canvas=canvas), numbers[f'{position}_img_{dy}_{dx}'], 1e-4)


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('pe', ['none', 'sspe', 'mspe'])
def test_plans_decide_which_parameters_there_are(architecture, pe):
    synthesis = dict(channel_base=128, channel_max=16, architecture=architecture, pe=pe)
    G = networks.Generator(8, 0, 8, 32, 1, synthesis_kwargs=synthesis)
    names = dict(G.named_parameters())
    assert ('synthesis.b4.const' in names) == (pe == 'none')
    gammas = [name for name in names if name.endswith('.gamma')]
    assert gammas == ([f'synthesis.b{r}.gamma' for r in (8, 16, 32)] if pe == 'mspe' else [])
    assert all(names[name].shape == () and names[name] == 1 for name in gammas)
    assert G(torch.randn(3, 8), None).shape == (3, 1, 32, 32)


@pytest.mark.parametrize('pe', ['none', 'sspe', 'mspe'])
def test_the_identity_canvas_is_no_canvas(pe):
    G = tiny_generator(pe)
    ws = tiny_ws(G)
    plain = G.synthesis(ws, noise_mode='const')
    assert torch.equal(plain, G.synthesis(ws, noise_mode='const', canvas=Canvas.identity(16)))
    # A shift by the trained size is a whole turn.
    turned = G.synthesis(ws, noise_mode='const', canvas=Canvas.identity(16).shifted(16, -32))
    assert torch.allclose(plain, turned, rtol=0, atol=1e-10)


@pytest.mark.parametrize('dy, dx', [(4, 8), (-8, 4)])
def test_far_from_the_border_a_shift_is_a_translation(dy, dx):
    G = tiny_generator('mspe')
    ws = tiny_ws(G, 1)
    still = Canvas.identity(16).extended(64, 64, 64, 64)
    picture = G.synthesis(ws, noise_mode='none', canvas=still)
    moved = G.synthesis(ws, noise_mode='none', canvas=still.shifted(dy, dx, wrap=False))
    inside = slice(48, 96)      # 48 pixels are 12 cells of 4x4 from the border, past the receptive field
    assert torch.allclose(moved[:, :, inside, inside], picture.roll((dy, dx), (2, 3))[:, :, inside, inside],
                          rtol=0, atol=1e-10 * float(picture.std()))
    assert not torch.allclose(moved[:, :, inside, inside], picture[:, :, inside, inside], atol=.1)


def test_stored_noise_belongs_to_the_output_cell_and_goes_on_periodically():
    G = tiny_generator('none')
    layer = G.synthesis.b16.conv1
    noise = layer.noise('const', 1, 20, 40)
    assert torch.equal(noise[0, 0, :16, 16:32], layer.noise_const * layer.noise_strength)
    assert torch.equal(noise[0, 0, 16:], noise[0, 0, :4])
    assert layer.noise('random', 3, 4, 5).shape == (3, 1, 4, 5) and layer.noise('none', 3, 4, 5) is None


def test_anchored_noise_belongs_to_the_world():
    G = tiny_generator()
    layers = [layer for block in (G.synthesis.b4, G.synthesis.b8, G.synthesis.b16)
              for name, layer in block.named_children() if name.startswith('conv')]
    large = Canvas.identity(16).extended(0, 240, 0, 240)
    fields = [layer.noise('anchored', 1, 4, 4, large, 3)[0, 0, :64, :64].flatten() for layer in layers]
    assert (torch.corrcoef(torch.stack(fields)).abs() - torch.eye(5)).max() < .1        # a layer has its own
    layer = G.synthesis.b16.conv1
    still = layer.noise('anchored', 1, 16, 16, Canvas.identity(16), 3)
    assert torch.equal(still, layer.noise('anchored', 1, 16, 16, None, 3))
    assert not torch.equal(still, layer.noise('anchored', 1, 16, 16, None, 4))
    turned = layer.noise('anchored', 1, 16, 16, Canvas.identity(16).shifted(3, -5), 3)
    assert torch.equal(turned, still.roll((3, -5), dims=(2, 3)))
    between = layer.noise('anchored', 1, 16, 16, Canvas.identity(16).shifted(0, .5), 3)
    assert torch.allclose(between, (still + still.roll(1, dims=3)) / 2 ** .5, rtol=0, atol=1e-12)
    moved = layer.noise('anchored', 1, 16, 16, Canvas.identity(16).shifted(3, 0, wrap=False), 3)
    assert torch.equal(moved[:, :, 3:], still[:, :, :-3]) and not torch.equal(moved, turned)
    y, x, _ = Canvas.identity(16).shifted(3, 0, wrap=False).coordinates(16)
    assert torch.equal(moved, layer.noise('anchored', 1, 16, 16, {16: (y, x)}, 3))
    canvases = [Canvas.identity(16), Canvas.identity(16).shifted(3, -5)]
    with pytest.raises(ValueError, match='expected all alike'):
        layer.noise('anchored', 2, 16, 16, canvases, 3)
    each = layer.noise('anchored', 2, 16, 16, [canvas.wrapped() for canvas in canvases], 3)
    assert torch.equal(each, torch.cat([still, turned]))


@pytest.mark.parametrize('pe', ['none', 'sspe', 'mspe'])
@pytest.mark.parametrize('size', [(16, 32), (20, 13), (40, 4)])
def test_any_size_comes_out(pe, size):
    G = tiny_generator(pe)
    canvas = Canvas.identity(16).resized(*size)
    assert G.synthesis(tiny_ws(G), noise_mode='const', canvas=canvas).shape == (2, 3, *size)
    extended = Canvas.identity(16).extended(0, size[0] - 16, 0, size[1] - 16)
    assert G.synthesis(tiny_ws(G, 1), noise_mode='random', canvas=extended).shape == (1, 3, *size)


def test_a_size_between_cells_is_the_larger_picture_cropped():
    G = tiny_generator()
    ws = tiny_ws(G)
    large = G.synthesis(ws, noise_mode='const', canvas=Canvas.identity(16).extended(0, 4, 0, 8))
    small = G.synthesis(ws, noise_mode='const', canvas=Canvas.identity(16).extended(0, 1, 0, 5))
    assert torch.equal(small, large[:, :, :17, :21])


@pytest.mark.parametrize('pe', ['none', 'mspe'])
def test_one_canvas_per_sample_equals_one_by_one(pe):
    G = tiny_generator(pe)
    ws = tiny_ws(G, 3)
    canvases = [Canvas.identity(16).shifted(dy, dx) for dy, dx in [(0, 0), (2.5, 1), (-3, 8)]]
    batch = G.synthesis(ws, noise_mode='const', canvas=canvases)
    for index, canvas in enumerate(canvases):
        one = G.synthesis(ws[index:index + 1], noise_mode='const', canvas=canvas)
        assert torch.allclose(batch[index:index + 1], one, rtol=0, atol=1e-9 * float(batch.std()))


def test_a_users_dense_encoding_is_added_at_every_level():
    @pe.register_encoding('test-dense')
    def dense(coordinates, channels, resolution):
        return (coordinates.y[:, None] * coordinates.x).expand(1, channels, -1, -1)

    name = 'test-dense'
    pe.register_plan(name, pe.Plan(input=name, added=lambda level: True, encoding=name))
    for dtype in (torch.float64, torch.float32):    # the plain version and, of whole vectors, the kernel
        G = tiny_generator('test-dense').to(dtype)
        ws = tiny_ws(G).to(dtype)
        picture = G.synthesis(ws, noise_mode='const')
        moved = G.synthesis(ws, noise_mode='const', canvas=Canvas.identity(16).shifted(4, 0))
        assert picture.isfinite().all() and not torch.allclose(picture, moved)


def test_coordinates_in_place_of_a_canvas_have_gradients():
    G = tiny_generator()
    ws = tiny_ws(G)
    shift = torch.tensor([.3, -1.2], dtype=torch.float64, requires_grad=True)

    def render(shift):
        levels = {}
        for resolution in (4, 8, 16):
            y, x, _ = Canvas.identity(16).coordinates(resolution)
            levels[resolution] = (y - shift[0] * resolution / 16, x - shift[1] * resolution / 16)
        return G.synthesis(ws, noise_mode='none', canvas=levels)

    expected = G.synthesis(ws, noise_mode='none', canvas=Canvas.identity(16).shifted(.3, -1.2, wrap=False))
    assert torch.allclose(render(shift), expected, rtol=0, atol=1e-9 * float(expected.std()))
    weight = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda s: (render(s) * weight).sum(), (shift,))


def test_fused_and_scaled_convolutions_agree():
    G = tiny_generator(architecture='resnet')
    ws = tiny_ws(G, 3)
    one = G.synthesis(ws, noise_mode='const', fused_modconv=True)
    other = G.synthesis(ws, noise_mode='const', fused_modconv=False)
    assert torch.allclose(one, other, rtol=0, atol=1e-9 * float(one.std()))


def test_modulated_convolution_against_its_definition():
    generator = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(shape, dtype=torch.float64, generator=generator)
    x, weight, styles, noise = draw(2, 3, 5, 7), draw(4, 3, 3, 3), draw(2, 3), draw(2, 1, 5, 7)
    for fused in (True, False):
        y = networks.modulated_conv2d(x, weight, styles, noise, padding=1, fused_modconv=fused)
        for n in range(2):
            w = weight * styles[n][None, :, None, None]
            w = w / (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            expected = torch.nn.functional.conv2d(x[n:n + 1], w, padding=1) + noise[n]
            assert torch.allclose(y[n:n + 1], expected)
    weight, styles = weight * 300, styles * 300
    full = networks.modulated_conv2d(x, weight, styles, padding=1, fused_modconv=False)
    half = networks.modulated_conv2d(x.half(), weight.float(), styles.float(), padding=1, fused_modconv=False)
    assert (half - full).abs().max() < .02 * full.std()             # float16 does not overflow on the way


def test_reduced_precision_is_near_and_only_where_asked():
    G = tiny_generator(dtype=torch.float32, num_fp16_res=2)
    assert [getattr(G.synthesis, f'b{r}').use_fp16 for r in (4, 8, 16)] == [False, True, True]
    ws = tiny_ws(G).float()
    exact = G.synthesis(ws, noise_mode='const')             # a CPU renders in float32
    assert torch.equal(exact, G.synthesis(ws, noise_mode='const', force_fp32=True))
    networks.set_precision(G, torch.bfloat16)
    rough = G.synthesis(ws, noise_mode='const')
    assert rough.dtype == torch.float32 and 0 < (rough - exact).abs().mean() < .05 * exact.std()
    assert torch.equal(exact, G.synthesis(ws, noise_mode='const', force_fp32=True))
    networks.set_precision(G, None)
    assert torch.equal(exact, G.synthesis(ws, noise_mode='const'))


@pytest.mark.parametrize('count', [0, 1, 3, 4, 6])
def test_minibatch_deviation_takes_any_batch(count):
    layer = networks.MinibatchStdLayer(group_size=4, num_channels=2)
    x = torch.randn(count, 6, 3, 5, dtype=torch.float64)
    y = layer(x)
    assert y.shape == (count, 8, 3, 5) and torch.equal(y[:, :6], x)
    size = {0: 1, 1: 1, 3: 3, 4: 4, 6: 3}[count]
    for n in range(count):
        group = x[n % (count // size)::count // size].numpy()
        for f in range(2):
            expected = np.sqrt(group[:, 3 * f:3 * f + 3].var(axis=0) + 1e-8).mean()
            assert np.allclose(y[n, 6 + f], expected)


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('channels', [1, 4])
def test_discriminator_of_grey_and_rgba(architecture, channels):
    D = networks.Discriminator(0, 16, channels, architecture=architecture, channel_base=128, channel_max=16)
    assert D(torch.randn(5, channels, 16, 16), None).shape == (5, 1)
    assert fill(D)(torch.zeros(0, channels, 16, 16), None).shape == (0, 1)


def test_freezing_layers_turns_parameters_into_buffers_of_the_same_name():
    make = lambda freeze: networks.Discriminator(0, 16, 3, channel_base=128, channel_max=16,
                                                 block_kwargs=dict(freeze_layers=freeze))
    free, frozen = make(0), make(4)
    assert list(free.state_dict().keys() ^ frozen.state_dict().keys()) == []
    gone = {name for name, _ in free.named_parameters()} - {name for name, _ in frozen.named_parameters()}
    assert gone == {f'b16.{name}' for name in ('fromrgb.weight', 'fromrgb.bias', 'conv0.weight', 'conv0.bias',
                                               'conv1.weight', 'conv1.bias', 'skip.weight')}


def test_mapping_truncates_and_follows_its_mean():
    torch.manual_seed(0)
    mapping = fill(networks.MappingNetwork(8, 3, 8, num_ws=5, num_layers=2, w_avg_beta=.9))
    z, c = torch.randn(64, 8), torch.eye(3)[torch.arange(64) % 3]
    full, cut = mapping(z, c), mapping(z, c, truncation_psi=.5, truncation_cutoff=2)
    assert torch.equal(full[:, 2:], cut[:, 2:])
    assert torch.allclose(cut[:, :2], mapping.w_avg + .5 * (full[:, :2] - mapping.w_avg), atol=1e-6)
    before = mapping.w_avg.clone()
    mapping.train()(z, c, skip_w_avg_update=True)
    assert torch.equal(before, mapping.w_avg)
    mapping(z, c)
    assert torch.allclose(mapping.w_avg, .9 * before + .1 * full[:, 0].mean(0), atol=1e-5)


def test_second_derivatives_reach_the_latent_and_the_picture():
    G = tiny_generator(resolution=8)
    D = fill(networks.Discriminator(0, 8, 3, channel_base=64, channel_max=8)).double()
    ws = tiny_ws(G, 1).requires_grad_()
    torch.manual_seed(0)
    probe = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    def slope_of(function):
        return lambda x: torch.autograd.grad(function(x).sum(), x, create_graph=True)[0]

    path = slope_of(lambda ws: G.synthesis(ws, noise_mode='none') * probe)
    assert torch.autograd.gradcheck(path, (ws,), atol=1e-4)
    image = probe.clone().requires_grad_()
    r1 = slope_of(lambda image: D(image, None))
    assert torch.autograd.gradcheck(r1, (image,), atol=1e-4)


def test_networks_copy_whole():
    G = tiny_generator(dtype=torch.float32)
    twin = copy.deepcopy(G)
    ws = tiny_ws(G).float()
    assert torch.equal(G.synthesis(ws, noise_mode='const'), twin.synthesis(ws, noise_mode='const'))
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.equal(next(G.parameters()), next(twin.parameters()))


@pytest.mark.parametrize('make, words', [
    (lambda: tiny_generator('mps'), "'mps'.*did you mean"),
    (lambda: networks.Generator(8, 0, 8, 16, 3, synthesis_kwargs=dict(pe='mspe', channel_max=6)),
     'multiple of 4'),
    (lambda: tiny_generator().synthesis(torch.zeros(1, 6, 8), canvas=Canvas.identity(64)), 'expected 16')])
def test_wrong_networks_and_canvases_are_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
