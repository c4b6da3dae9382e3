"""Networks that know no padding: what they draw everywhere, and that every way of drawing knows that."""

import dataclasses

import pytest
import torch

from stylegan2_mspe import legacy, network_safetensors, networks, rendering, streaming
from stylegan2_mspe.classifier import DigitClassifier
from stylegan2_mspe.experiments import fig6, table1, views
from stylegan2_mspe.framing import Repeat, frame
from stylegan2_mspe.keyframes import Stop, travelled_canvases
from stylegan2_mspe.large_picture import Look, describe
from stylegan2_mspe.leak import leak_map
from stylegan2_mspe.metrics.registry import parse
from stylegan2_mspe.metrics.task import MetricTask
from stylegan2_mspe.pe import Canvas, Window
from stylegan2_mspe.step_canvas import StepCanvas
from tests.golden import fill

IDENTITY = Canvas.identity(16)
CANVASES = [IDENTITY.wrapped(True), IDENTITY.shifted(2.5, -3), IDENTITY.extended(0, 5, 3, 0),
            IDENTITY.resized(24, 19)]


def make(border, pe='mspe'):
    own = {} if border == 'zero' else dict(border=border)
    return fill(networks.Generator(8, 0, 8, 16, 3, mapping_kwargs=dict(num_layers=2), synthesis_kwargs=dict(
        channel_base=128, channel_max=8, pe=pe, **own))).double().eval()


def latents(G, count=2):
    return G.mapping(torch.randn([count, 8], generator=torch.Generator().manual_seed(1)), None)


@pytest.mark.parametrize('pe', ['mspe', 'none'])
def test_it_draws_what_its_padded_twin_draws_on_planes(pe):
    plane, zero = make('plane', pe), make('zero', pe)
    ws = latents(plane)
    for canvas in [None, CANVASES, *CANVASES]:
        places = tuple(canvas[:2]) if isinstance(canvas, list) else canvas or IDENTITY.wrapped(True)
        asked = list(places) if isinstance(places, tuple) else canvas
        expected = zero.synthesis(ws, noise_mode='anchored', canvas=Window.whole(places, 'plane'))
        found = plane.synthesis(ws, noise_mode='anchored', canvas=asked)
        assert (found - expected).abs().max() <= 1e-12 * expected.std()
        padded = rendering.render(plane, ws, asked, 'anchored', border='zero')
        expected = rendering.render(zero, ws, asked, 'anchored')
        assert (padded - expected).abs().max() <= 1e-12 * expected.std()
        assert (padded - found).abs().max() > .01 * expected.std()


def test_round_the_trained_picture_a_quarter_is_rolled():
    G = make('plane')
    ws = latents(G)
    still = rendering.render(G, ws, None, 'none')
    moved = rendering.render(G, ws, IDENTITY.shifted(4, -8), 'none')
    assert (moved - still.roll((4, -8), (2, 3))).abs().max() < 1e-10 * still.std()


def test_a_periodic_networks_picture_tiles():
    G = make('plane', 'mspe-periodic')
    ws = latents(G)
    one = rendering.render(G, ws, IDENTITY.shifted(2.5, -3).wrapped(True), 'none')
    four = rendering.render(G, ws, IDENTITY.shifted(2.5, -3).wrapped(False).extended(0, 16, 0, 16), 'none')
    assert (four - one.tile(1, 1, 2, 2)).abs().max() < 1e-10 * one.std()


def test_tiles_are_the_whole():
    G = make('plane')
    ws, canvas = latents(G, 1), IDENTITY.extended(0, 21, 9, 8)
    whole = rendering.render(G, ws, canvas)[0]
    assert (streaming.render(G, ws, canvas, tile=16) - whole).abs().max() <= 1e-12 * whole.std()
    recipe = lambda border: describe(G, ws, canvas, Look(border=border), 16)
    assert recipe(None) == recipe('plane') != recipe('zero')


def test_the_trained_picture_goes_round_whoever_draws_it():
    G = make('plane')
    ws = latents(G, 1)
    whole = rendering.render(G, ws)
    for found in (streaming.render(G, ws)[None], streaming.render(make('zero'), ws, border='plane')[None],
                  rendering.render(G, ws, rendering.request_canvas(16, border='plane'))):
        assert (found - whole).abs().max() <= 1e-12 * whole.std()
    asked = rendering.render(G, ws, rendering.request_canvas(16, wrap=False, border='plane'))
    assert (asked - rendering.render(G, ws, IDENTITY)).abs().max() <= 1e-12 * whole.std()
    assert (asked - whole).abs().max() > .01 * whole.std()
    padded, plain = leak_map(G, ws, noise_mode='none'), rendering.render(G, ws, None, 'none')
    apart = (rendering.render(G, ws, None, 'none', border='zero') - plain).square().mean(dim=(0, 1)).sqrt()
    assert torch.allclose(padded.picture, apart / plain.std())
    task = MetricTask(G=G, request=parse('fid@24x40'))
    assert task.canvas == IDENTITY.wrapped().resized(24, 40)
    assert dataclasses.replace(task, G=make('zero')).canvas == IDENTITY.resized(24, 40)


def test_files_keep_it(tmp_path):
    G = make('plane').float()
    expected = rendering.render(G, latents(G))
    legacy.save_network_pkl(tmp_path / 'a.pkl', G=G, D=None, G_ema=G, training_set_kwargs=None)
    network_safetensors.save_safetensors(tmp_path / 'a.safetensors', dict(G_ema=G))
    for found in (legacy.load_network_pkl(tmp_path / 'a.pkl')['G_ema'],
                  network_safetensors.load_safetensors(tmp_path / 'a.safetensors')['G_ema']):
        assert torch.equal(rendering.render(found, latents(found)), expected)


def test_what_it_can_not_draw():
    G = make('plane')
    levels = {resolution: tuple(IDENTITY.coordinates(resolution)) for resolution in (4, 8, 16)}
    with pytest.raises(ValueError, match='coordinates of every level on a border .*expected a canvas'):
        G.synthesis(latents(G), canvas=levels)
    with pytest.raises(ValueError, match="a border 'round': expected zero or plane"):
        make('round')


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_at_other_sizes_the_world_ends_where_it_ended_in_training_whoever_draws_it(border):
    size, square = (24, 40), (24, 24)
    wanted = {each: rendering.trained_canvas(make(border)).resized(*each) for each in (size, square)}
    periods = {axis.period for axis in (wanted[size].rows, wanted[size].cols)}
    assert periods == {16 if border == 'plane' else None}
    assert MetricTask(G=make(border), request=parse('fid@24x40')).canvas == wanted[size]
    assert rendering.request_canvas(16, size=size, border=border) == wanted[size]
    assert frame(16, size=size, border=border) == wanted[size]
    assert StepCanvas(16, 24, border=border).canvas == wanted[square]
    for film in ([Stop((0, 0))], [Stop((0, 0), (16, 16))] * 2):
        assert travelled_canvases(film, 2, 16, size, border=border) == [wanted[size]] * 2


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_what_is_moved_goes_round_whoever_draws_it(border):
    moved = IDENTITY.shifted(0, 3).resized(24, 40)
    assert rendering.request_canvas(16, None, (0, 3), (24, 40), border=border) == moved
    assert frame(16, None, (0, 3), size=(24, 40), border=border) == moved
    still, there = travelled_canvases([Stop((0, 0)), Stop((0, 3))], 2, 16, (24, 40), border=border)
    assert there == moved and still == IDENTITY.wrapped().resized(24, 40)   # a film does not jump
    assert StepCanvas(16, 24, (0, 3), border=border).canvas == IDENTITY.shifted(0, 3).resized(24, 24)
    repeated = frame(16, repeats=(None, Repeat(0, 5, 2)), border=border)
    assert repeated == IDENTITY.wrapped().repeated(cols=(0, 5, 2))


def test_the_constant_of_the_baseline_is_interpolated_with_its_edges_held():
    G = make('zero', 'none')
    canvas = rendering.request_canvas(16, size=(24, 40))
    found = G.synthesis.b4.input(latents(G)[:, :1], torch.float64, canvas)
    wanted = torch.nn.functional.interpolate(G.synthesis.b4.const[None], (6, 10), mode='bilinear')
    torch.testing.assert_close(found, wanted.expand(2, -1, -1, -1))


@pytest.mark.parametrize('border', ['zero', 'plane'])
def test_at_other_sizes_experiments_draw_the_world_as_it_was_trained(border, monkeypatch):
    """As metrics do: without a border it goes round; with one the canvas is as it was, to the bit."""
    G, asked = make(border), []
    render = lambda G, ws, canvas=None, *_: asked.append(canvas) or torch.zeros(len(ws), 1, 8, 8)
    for module in (rendering, views):
        monkeypatch.setattr(module, 'render', render)
    wanted = rendering.trained_canvas(G).resized(24, 24)
    table1.samples({'a': G})
    fig6.picture({'a': G})
    assert asked.count(wanted) == 2 and asked[3] is None
    view = fig6.views(G)['24x24']
    asked.clear()
    views.look(G, [view], [0], DigitClassifier())
    assert asked == [None, wanted]
