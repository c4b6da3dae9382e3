"""Training: a run that is resumed, or divided otherwise, ends with the same weights; what a run leaves."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_mspe import training
from ddpm_mspe.config import DiffusionConfig
from ddpm_mspe.unet_file import load_unet
from stylegan2_mspe import chance, checkpoint
from stylegan2_mspe.tick_end import Stopped
from tests import tiny

ENDING = 'training-state-000000.pt'     # all of a tiny run is below one kimg


@pytest.fixture
def config(tmp_path, monkeypatch):
    """4 pictures a step, 3 steps a tick, a snapshot every second tick, 9 steps in all."""
    monkeypatch.setattr(training, 'GRID', (2, 1))
    monkeypatch.setattr(training, 'GRID_STEPS', 2)
    kwargs = dict(class_name='training.dataset.ImageFolderDataset', path=tiny.make_dataset(tmp_path / 'data'),
                  resolution=16, max_size=None, use_labels=False, xflip=False, random_seed=0)
    return DiffusionConfig(
        training_set_kwargs=kwargs, data_name='tiny', resolution=16, img_channels=3, cfg='test', pe='mspe',
        channels=8, multipliers=(1, 2), blocks=(0, 1), attention=(8,), groups=4, dropout=.1, kimg=.036,
        batch=4, batch_gpu=4, lr=1e-3, ema_kimg=.05, fp32=True, tick=.012, snap=2, workers=0, seed=3)


def run(config, folder, state=None):
    folder.mkdir(exist_ok=True)
    built = training.build(config, state)
    training.train(built, str(folder), say=lambda line: None)
    return built


def test_a_resumed_run_ends_with_the_same_bits(config, tmp_path):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    run(config, whole)
    run(dataclasses.replace(config, kimg=.02), parts)
    torch.manual_seed(time.time_ns() % 2 ** 63)
    run(config, parts, checkpoint.newest_state(str(parts)))
    # The shorter run had a tick where it ended, and no other step was different.
    states = [checkpoint.load_state(str(each / ENDING)) for each in (whole, parts)]
    for name in ('modules', 'optimizers'):
        assert tiny.differences(states[0][name], states[1][name]) == []
    assert states[0]['values']['progress']['nimg'] == states[1]['values']['progress']['nimg'] == 36
    assert (whole / 'fakes000000.png').read_bytes() == (parts / 'fakes000000.png').read_bytes()
    assert all(torch.equal(one, other) for one, other in zip(
        *(load_unet(each / 'network-snapshot-000000.safetensors').unet.parameters()
          for each in (whole, parts))))


def test_killed_between_ticks_it_repeats_them_to_the_same_lines(config, tmp_path):
    run(config, tmp_path / 'whole')

    class Killed(Exception):
        pass

    def kill(nimg):
        if nimg == 28:
            raise Killed
    (tmp_path / 'killed').mkdir()
    with pytest.raises(Killed):
        training.train(training.build(config), str(tmp_path / 'killed'), say=lambda line: None, watch=kill)
    run(config, tmp_path / 'killed', checkpoint.newest_state(str(tmp_path / 'killed')))
    states = [checkpoint.load_state(str(tmp_path / each / ENDING)) for each in ('whole', 'killed')]
    assert tiny.differences(*states) == []
    assert tiny.stats_lines(tmp_path / 'whole') == tiny.stats_lines(tmp_path / 'killed')


def test_smaller_passes_train_alike(config, tmp_path):
    config = dataclasses.replace(config, dropout=0., kimg=.008)
    built = [run(dataclasses.replace(config, batch_gpu=count), tmp_path / str(count)) for count in (4, 2, 1)]
    for other in built[1:]:
        for name, value in built[0].models['unet'].state_dict().items():
            torch.testing.assert_close(other.models['unet'].state_dict()[name], value, rtol=1e-3, atol=2e-5)


def test_what_a_run_leaves(config, tmp_path):
    built = run(config, tmp_path / 'run')
    assert tiny.files(tmp_path / 'run') == {
        'fakes000000.png', 'network-snapshot-000000.safetensors', 'reals.png', 'stats.jsonl', ENDING}
    lines = tiny.stats_lines(tmp_path / 'run')
    assert [line['Progress/tick']['mean'] for line in lines] == [0, 1, 2, 3]
    assert [line['Loss/noise']['num'] for line in lines] == [4, 12, 12, 8]
    assert .2 < lines[-1]['Loss/noise']['mean'] < 3
    saved = load_unet(tmp_path / 'run' / 'network-snapshot-000000.safetensors')
    for one, other in zip(saved.unet.parameters(), built.models['unet_ema'].parameters()):
        assert torch.equal(one, other)
    assert saved.training_set_kwargs == config.training_set_kwargs
    assert Image.open(tmp_path / 'run' / 'reals.png').size == (32, 16)


@pytest.mark.parametrize('output, debias', [('noise', False), ('noise', True), ('velocity', True)])
def test_a_step_by_hand(config, output, debias):
    """One step of Adam (β 0, .99) on the clipped gradient of the loss at the times and noise of step 0."""
    config = dataclasses.replace(config, dropout=0., output=output, debias=debias)
    built = training.build(config)
    unet = built.models['unet']
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    pictures = torch.from_numpy(np.stack([built.dataset[index][0] for index in range(4)]))
    with chance.part(0, 1, config.seed, 0):
        t = ((torch.arange(4) + chance.rand([4], dtype=torch.float64)) * 250).long()
        noise = chance.randn([4, 3, 16, 16])
    x0, kept = pictures / 127.5 - 1, built.diffusion.alphas_cumprod[t].float()[:, None, None, None]
    signal, spread = kept.sqrt(), (1 - kept).sqrt()
    target = noise if output == 'noise' else signal * noise - spread * x0
    errors = (unet(signal * x0 + spread * noise, t) - target).square()
    errors = errors if output == 'noise' else kept * errors         # of v, it is √ā times that in ε
    loss = (errors * (spread / signal if debias else 1)).mean()
    gradients = dict(zip(dict(unet.named_parameters()), torch.autograd.grad(loss, unet.parameters())))
    norm = torch.stack([each.norm() for each in gradients.values()]).norm()
    training.training_step(built, pictures)
    for name, value in unet.state_dict().items():
        gradient = gradients[name] / max(float(norm), 1)
        moved = config.lr * gradient / (gradient.abs() + 1e-8)      # the first step of Adam: of either sign
        torch.testing.assert_close(before[name] - value, moved, rtol=2e-2, atol=2e-5)
    kept = .5 ** (4 / 50)
    for name, value in built.models['unet_ema'].state_dict().items():
        wanted = kept * before[name] + (1 - kept) * unet.state_dict()[name]
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-6)


def test_every_time_is_drawn_alike_often_whoever_draws_it():
    drawn = []
    for step in range(200):
        with chance.part(0, 1, 1, step):
            whole = training.draw_times(10, 6, range(6))
        assert all(index * 10 // 6 <= t < (index + 1) * 10 / 6 for index, t in enumerate(whole.tolist()))
        for place in range(3):
            with chance.part(place, 3, 1, step):
                assert torch.equal(training.draw_times(10, 6, range(place, 6, 3)), whole[place::3])
        drawn.append(whole)
    counts = torch.bincount(torch.cat(drawn), minlength=10)
    assert len(counts) == 10 and (counts - 120).abs().max() < 45    # four standard deviations


def test_learns(config, tmp_path):
    """All pictures are one: after some steps their noise is told better than by saying 0."""
    one = dict(config.training_set_kwargs, max_size=1)
    config = dataclasses.replace(config, training_set_kwargs=one, dropout=0., kimg=.24, tick=.12, lr=1e-2)
    run(config, tmp_path / 'run')
    losses = [line['Loss/noise']['mean'] for line in tiny.stats_lines(tmp_path / 'run')]
    assert losses[0] > .9 and losses[-1] < .6


def test_a_nan_is_told_and_ends_the_run_where_asked(config, tmp_path):
    (tmp_path / 'run').mkdir()
    built = training.build(dataclasses.replace(config, stop_on_nan=True))
    with torch.no_grad():
        built.models['unet'].conv_in.bias.fill_(float('nan'))
    said = []
    with pytest.raises(Stopped, match='--stop-on-nan: NaN since tick 0'):
        training.train(built, str(tmp_path / 'run'), say=said.append)
    assert any('NaN in the weights of unet' in line for line in said)
    assert not (tmp_path / 'run' / 'network-snapshot-000000.safetensors').exists()


@pytest.mark.parametrize('capability, half', [((7, 5), None), ((8, 0), torch.bfloat16),
                                              ((9, 0), torch.bfloat16)])
def test_half_precision_is_for_gpus_that_compute_in_it(config, capability, half, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    found = training.half_dtype(dataclasses.replace(config, fp32=False), torch.device('cuda'))
    assert found is half and training.half_dtype(config, torch.device('cuda')) is None
