"""Everything on a device that is not the CPU: nothing is mixed, and nothing waits that need not.

What it computes are the CPU's numbers by the plain operators.
"""

import dataclasses

import numpy as np
import pytest
import torch

from ddpm_mspe import sampling
from ddpm_mspe.diffusion import Diffusion
from stylegan2_mspe import (leak, loading, rendering, similarity, steps, streaming, training_loop,
                            training_parts)
from stylegan2_mspe.dataset import dataset_kwargs
from stylegan2_mspe.inversion import inverting, losses, projection, search
from stylegan2_mspe.inversion.place import Place
from stylegan2_mspe.metrics import calculation, registry, shift_metrics
from stylegan2_mspe.ops import native
from stylegan2_mspe.pe import Canvas, Window
from stylegan2_mspe.ticks import Stopwatch
from tests import scripted, tiny
from tests.inversion.small import make_discriminator, make_generator
from tests.other_device import DEVICE, other_device
from tests.tiny_unet import make_unet

IDENTITY = Canvas.identity(16)
PLACES = [None, IDENTITY.shifted(2.5, 1), IDENTITY.resized(24, 19),
          tuple(IDENTITY.shifted(n, .5) for n in (0, 1)), Window(IDENTITY.extended(0, 9, 3, 0), 1, 2, 9, 7)]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def test_it_refuses_what_a_gpu_refuses(monkeypatch):
    x = torch.arange(6.).reshape(2, 3)
    with other_device(monkeypatch) as device:
        there = x.to(DEVICE).requires_grad_()
        assert there.device == DEVICE and (there * 2).sum().device == DEVICE and device.waits == 0
        with pytest.raises(RuntimeError, match='two devices'):
            there + x
        with pytest.raises(RuntimeError, match='two devices'):
            x[torch.tensor([0, 1], device=DEVICE)]
        with pytest.raises(RuntimeError, match='numpy'):
            there.detach().numpy()
        (there[torch.tensor([1, 0])] * torch.tensor(3.)).square().sum().backward()
        assert device.waits == 0 and torch.equal(there.grad.cpu(), 18 * x) and device.waits == 1
        assert float(there.detach().sum()) == 15 and device.waits == 2


@pytest.mark.parametrize('changes', [
    dict(aug='ada', augpipe='bgcfnc', augment_p=.7, ada_kimg=1., border='plane', random_shift=True),
    pytest.param(dict(pe='none', random_resize=(12, 24), random_margin=.5), marks=pytest.mark.slow)])
def test_a_training_ends_with_the_weights_of_the_cpu(changes, data, tmp_path, monkeypatch):
    monkeypatch.setattr(native, 'enabled', False)
    made = tiny.config(data, g_fp16_res=0, d_fp16_res=0, kimg=.016, **changes)

    def trained(device):
        (tmp_path / device).mkdir()
        training = training_parts.build(dataclasses.replace(made, device=device))
        weights = lambda: torch.cat([value.cpu().flatten() for value in training.models['D'].parameters()])
        before = weights().clone()
        training_loop.train(training, str(tmp_path / device), say=lambda line: None, grid=tiny.GRID)
        return before, weights()

    before, expected = trained('cpu')
    with other_device(monkeypatch):
        also, found = trained('meta')
    assert torch.equal(before, also)
    assert (found - expected).norm() < 1e-3 * (expected - before).norm()


def test_a_step_waits_for_nothing(data, monkeypatch):
    made = tiny.config(data, device='meta', aug='fixed', augpipe='bgcfnc', augment_p=.7, random_shift=True)
    with other_device(monkeypatch) as device:
        training = training_parts.build(made)
        pictures = loading.batches(training.dataset, 4, seed=0, start=0, workers=0)
        for number in range(4):
            device.waits = 0
            steps.training_step(training, *next(pictures), Stopwatch(DEVICE))
            assert device.waits == 0, number


@pytest.mark.parametrize('noise_mode', ['const', 'random', 'anchored'])
def test_a_picture_waits_for_nothing(noise_mode, monkeypatch):
    with other_device(monkeypatch) as device:
        G = rendering.prepare(make_generator(), DEVICE)
        ws = rendering.seed_ws(G, range(2))
        device.waits = 0
        for place in PLACES:
            rendering.render(G, ws, place, noise_mode, 3)
        assert device.waits == 0


@pytest.mark.parametrize('pe, border', [
    ('mspe', 'plane'), pytest.param('none', 'zero', marks=pytest.mark.slow)])
def test_what_is_drawn_is_what_the_cpu_draws(pe, border, monkeypatch):
    monkeypatch.setattr(native, 'enabled', False)
    G = make_generator(pe=pe)
    G.synthesis.border = border

    def drawn():
        ws = rendering.seed_ws(G, range(2))
        found = [rendering.render(G, ws, place, noise_mode, 3) for place in PLACES
                 for noise_mode in ('const', 'anchored', 'none')]
        canvases, seeds = [IDENTITY, IDENTITY.resized(24, 24)], torch.tensor([1, 2])
        found += rendering.render_each(G, ws, canvases, 'anchored', seeds)
        found.append(streaming.render(G, ws[:1], IDENTITY.extended(0, 20, 0, 9), 16, 'anchored'))
        found.append(leak.leak_map(G, ws).picture)
        return [each.cpu() for each in found], similarity.shift_similarity(G, [(3, 4)], range(2))

    expected, alike = drawn()
    with other_device(monkeypatch):
        G = rendering.prepare(G, DEVICE)
        found, also = drawn()
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(also, alike, atol=1e-5)


def test_the_diffusion_model_draws_what_it_draws_on_the_cpu(monkeypatch):
    monkeypatch.setattr(native, 'enabled', False)
    unet, diffusion = make_unet(), Diffusion(20)

    def drawn():
        found = []
        for place in (None, IDENTITY.extended(0, 5, 3, 0), [IDENTITY.shifted(n, .5) for n in (0, 1)]):
            pictures = sampling.sample(unet, diffusion, [1, 2], place, sampler='ddim', steps=3, eta=1)
            back = sampling.reconstructed(unet, diffusion, pictures.cpu(), 10, [3, 4], place, steps=3)
            found += [pictures, back]
        return [each.cpu() for each in found]

    expected = drawn()
    with other_device(monkeypatch):
        unet = sampling.prepare(unet, DEVICE)
        for ours, theirs in zip(drawn(), expected):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('name', ['fid5k', 'pr5k3', 'is5k', 'ppl_zfull', 'fid5k@24x16', 'acc_mnist',
                                  'eqt5k_frac', 'shift_sim', 'noise_std'])
def test_metrics_are_those_of_the_cpu(name, data, monkeypatch, tmp_path):
    monkeypatch.setattr(native, 'enabled', False)
    monkeypatch.setattr(shift_metrics, 'MAPS', 3)
    monkeypatch.setenv('MSPE_DETECTORS', str(scripted.folder()))
    monkeypatch.setenv('DNNLIB_CACHE_DIR', str(tmp_path))
    few = dataclasses.replace(registry.parse(name), pictures=12)
    monkeypatch.setattr(calculation, 'parse', lambda text: few)
    G = make_generator(pe='mspe')
    calculate = lambda: calculation.calculate(G, name, dataset_kwargs=dataset_kwargs(data)).results
    expected = calculate()
    with other_device(monkeypatch):
        G = rendering.prepare(G, DEVICE)
        found = calculate()
    assert found == pytest.approx(expected, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize('loss, find', [
    ('disc', ()), pytest.param('pyramid', ('shift', 'zoom'), marks=pytest.mark.slow)])
def test_projections_mix_nothing(loss, find, monkeypatch):
    stage = search.Stage(places=1, latents=3, starts=2, steps=2, widths=(1 / 8,))
    monkeypatch.setattr(search, 'STAGES', (stage,))
    wish = inverting.Wish(find=find, optimize_noise=True, recipe=projection.Recipe(steps=3, samples=20))
    with other_device(monkeypatch):
        G, D = rendering.prepare(make_generator(), DEVICE), rendering.prepare(make_discriminator(), DEVICE)
        targets = torch.rand(2, 3, 16, 16).to(DEVICE) * 2 - 1
        place = Place.of(16, (16, 16), [[1, 2]] * 2, [1.] * 2, (True, True), DEVICE)
        begun = inverting.begin(G, targets, losses.make_loss(loss, targets, D), place, wish)
        found = [begun.step().tolist() for _ in range(3)]
    assert np.isfinite(found).all() and begun.best.ws.device == DEVICE
