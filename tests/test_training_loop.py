"""The loop: phases and their optimizers, one step, the running average, what a run leaves behind."""

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import networks, run_folder, snapshots, step_canvas, stream, training_loop
from stylegan2_mspe.legacy import load_network_pkl
from stylegan2_mspe.ticks import Progress, Stopwatch, Ticks, status_line
from tests import tiny
from tests.golden import fill
from torch_utils import training_stats

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


def build(data, **changes):
    return training_loop.build(tiny.config(data, **changes))


def step(training, seed=0):
    torch.manual_seed(seed)
    training_loop.training_step(training, *next(training_loop.open_stream(training)), Stopwatch(CPU))


def weights(training, name):
    return copy.deepcopy(dict(training.models[name].named_parameters()))


def moved(before, training, name):
    return {
        key for key, value in training.models[name].named_parameters() if not torch.equal(value, before[key])
    }


# ----- phases -----------------------------------------------------------------------------------------------


def test_lazy_regularisation_scales_rate_and_memory(data):
    """lr · i/(i+1), β^(i/(i+1)): G every 4 steps, D every 16 (StyleGAN2, appendix B)."""
    config = tiny.config(data, lr=.0025, g_reg_interval=4, d_reg_interval=16)
    phases = training_loop.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    assert [(phase.name, phase.interval) for phase in phases] == [
        ('Gmain', 1),
        ('Greg', 4),
        ('Dmain', 1),
        ('Dreg', 16),
    ]
    groups = [phase.optimizer.param_groups[0] for phase in phases]
    assert [group['lr'] for group in groups] == pytest.approx([.002, .002, .0025 * 16 / 17, .0025 * 16 / 17])
    assert [group['betas'][1] for group in groups] == pytest.approx(
        [0.99**0.8, 0.99**0.8, 0.99 ** (16 / 17), 0.99 ** (16 / 17)]
    )
    assert {group['betas'][0] for group in groups} == {0} and {group['eps'] for group in groups} == {1e-8}
    assert phases[0].optimizer is phases[1].optimizer is not phases[2].optimizer


def test_without_path_length_the_rate_stays_scaled(data):
    config = tiny.config(data, pl_weight=0., g_reg_interval=4, lr=.002)
    phases = training_loop.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    assert [phase.name for phase in phases] == ['Gmain', 'Dmain', 'Dreg']
    assert phases[0].optimizer.param_groups[0]['lr'] == pytest.approx(.0016)
    config = tiny.config(data, gamma=0.)
    assert [
        phase.name
        for phase in training_loop.make_phases(config, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    ] == ['Gmain', 'Greg', 'Dmain']


# ----- one step ---------------------------------------------------------------------------------------------


def test_a_step_moves_everything_once(data):
    training = build(data)
    before = {name: weights(training, name) for name in training.models}
    step(training)
    for name in ('G', 'D', 'G_ema'):
        assert moved(before[name], training, name) == set(before[name])
    assert (training.progress.nimg, training.progress.step) == (4, 1)
    assert not any(each.requires_grad for module in training.models.values() for each in module.parameters())
    assert float(training.loss.pl_mean) > 0


def test_phases_come_when_they_are_due(data):
    training = build(data, g_reg_interval=2, d_reg_interval=3)
    calls = []
    training.loss.accumulate_gradients = lambda phase, *args, sync, gain: calls.append(
        (training.progress.step, phase, gain)
    )
    for _ in range(4):
        step(training)
    assert calls == [
        (0, 'Gmain', 1),
        (0, 'Greg', 2),
        (0, 'Dmain', 1),
        (0, 'Dreg', 3),
        (1, 'Gmain', 1),
        (1, 'Dmain', 1),
        (2, 'Gmain', 1),
        (2, 'Greg', 2),
        (2, 'Dmain', 1),
        (3, 'Gmain', 1),
        (3, 'Dmain', 1),
        (3, 'Dreg', 3),
    ]


def gradients_of_first_phase(data, phase, **changes):
    """Gradients of all parameters in the first call of the phase, on filled networks in double precision."""
    training = build(data, style_mixing=0., **changes)
    for module in training.models.values():
        fill(module).train().double()
    training.loss.pl_mean = training.loss.pl_mean.double()
    [chosen] = [each for each in training.phases if each.name == phase]
    pictures, labels = next(training_loop.open_stream(training))
    for name, parameter in training.models['G'].named_parameters():
        if name.endswith('noise_strength'):
            parameter.zero_()               # its noise would be drawn anew for each pass
    torch.manual_seed(1)
    training_loop.run_phase(training, chosen, stream.to_network(pictures, CPU).double(), labels)
    return {
        name: each.grad
        for name, each in chosen.module.named_parameters()
        if not name.endswith('noise_strength')
    }


@pytest.mark.parametrize('phase', ['Gmain', 'Dmain', 'Dreg'])
def test_passes_add_up_to_the_whole_batch(data, phase):
    """Without the minibatch standard deviation, which sees one pass only: a group of one has none."""
    whole = gradients_of_first_phase(data, phase, batch=6, batch_gpu=6, mbstd_group=1)
    parts = gradients_of_first_phase(data, phase, batch=6, batch_gpu=2, mbstd_group=1)
    assert any(float(each.abs().max()) > 1e-3 for each in whole.values() if each is not None)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


def test_one_bad_gradient_does_not_end_a_run(data):
    training = build(data)
    phase = training.phases[0]

    def explode(*args, **kwargs):
        for index, parameter in enumerate(phase.module.parameters()):
            parameter.grad = torch.full_like(
                parameter, [float('nan'), float('inf'), -float('inf')][index % 3]
            )

    training.loss.accumulate_gradients = explode
    training_loop.run_phase(training, phase, torch.zeros([4, 3, 16, 16]), torch.zeros([4, 0]))
    assert all(bool(each.isfinite().all()) for each in phase.module.parameters())


def test_frozen_layers_keep_their_weights(data):
    training = build(data, freezed=2)
    D = training.models['D']
    before = {name: value.clone() for name, value in D.state_dict().items()}
    step(training)
    kept = {
        name
        for name, value in D.state_dict().items()
        if torch.equal(value, before[name]) and 'filter' not in name
    }
    assert kept == {'b16.fromrgb.weight', 'b16.fromrgb.bias', 'b16.conv0.weight', 'b16.conv0.bias'}


@pytest.mark.parametrize('wish', [dict(random_resize=(12, 24)), dict(random_shift=True),
                                  dict(random_margin=.5), dict(random_shift=True, border='plane')])
def test_steps_on_other_canvases_train(data, wish):
    training = build(data, **wish)
    before = weights(training, 'G')
    for number in range(3):
        step(training)
        assert training.loss.step_canvas == step_canvas.step_canvas(training.config, number)
    assert training.loss.step_canvas is not None and moved(before, training, 'G') == set(before)


def test_labels_of_the_dataset_reach_both_networks(tmp_path):
    path = tiny.make_dataset(tmp_path / 'labelled', labels=True)
    kwargs = dict(tiny.config(path).training_set_kwargs, use_labels=True)
    training = build(path, training_set_kwargs=kwargs, label_dim=3)
    labels = training_loop.random_labels(training, 300)
    assert labels.shape == (300, 3) and labels.sum(dim=1).unique().tolist() == [1]
    assert all(70 < count < 130 for count in labels.sum(dim=0).tolist())
    before = weights(training, 'D'), weights(training, 'G')
    step(training)
    assert 'mapping.embed.weight' in moved(before[0], training, 'D') & moved(before[1], training, 'G')


# ----- the average ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('nimg, ramp, share', [
    (10 ** 6, None, .5 ** (32 / 5000)),         # a difference halves in 5 kimg
    (10 ** 6, .05, .5 ** (32 / 5000)),
    (32000, .05, .5 ** (32 / 1600)),            # at first in a twentieth of what has been shown
    (32, .05, .5 ** (32 / 1.6)),
])
def test_the_average_follows_with_the_half_life(data, nimg, ramp, share):
    config = tiny.config(data, batch=32, ema_kimg=5., ema_ramp=ramp)
    models = dict(G=torch.nn.Linear(1, 1), G_ema=torch.nn.Linear(1, 1))
    models['G'].register_buffer('w_avg', torch.tensor(3.))
    models['G_ema'].register_buffer('w_avg', torch.tensor(1.))
    models['G'].weight.data.fill_(2), models['G_ema'].weight.data.fill_(1)
    training_loop.update_average(config, models, nimg)
    assert models['G_ema'].weight.item() == pytest.approx(2 - share, abs=1e-6)
    assert models['G_ema'].w_avg.item() == 3 and models['G'].weight.item() == 2


# ----- a run ------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def finished(data, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp('run')
    said, shown = [], []
    training = build(data)
    training_loop.train(training, str(run_dir), say=said.append, watch=shown.append, grid=tiny.GRID)
    return run_dir, training, said, shown


def test_tensorboard_shows_what_the_statistics_say(finished):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished[0])).Reload()
    lines = [json.loads(line) for line in (finished[0] / 'stats.jsonl').read_text().splitlines()]
    for name in ('Progress/tick', 'Loss/scores/fake'):
        shown = [event.value for event in events.Scalars(name)]
        assert shown == pytest.approx([line[name]['mean'] for line in lines if name in line])


def test_files_of_a_run(finished):
    run_dir, training, said, shown = finished
    assert {path.name for path in run_dir.iterdir()} >= {
        'reals.png',
        'fakes_init.png',
        'fakes000000.png',
        'network-snapshot-000000.pkl',
        'stats.jsonl',
        'training-state-000000.pt',
    }
    assert shown == list(range(4, 37, 4))
    assert [line.split()[:4] for line in said] == [
        ['tick', '0', 'kimg', '0.0'],
        ['tick', '1', 'kimg', '0.0'],
        ['tick', '2', 'kimg', '0.0'],
        ['tick', '3', 'kimg', '0.0'],
    ]
    assert not (run_dir / 'training_options.json').exists()      # the caller's


def test_pictures_of_a_run(finished, data):
    run_dir, training, _, _ = finished
    reals = np.asarray(Image.open(run_dir / 'reals.png'))
    assert reals.shape == (2 * 16, 3 * 16, 3)
    sources = [np.asarray(Image.open(f'{data}/{index:03d}.png')) for index in range(40)]
    sources += [each[:, ::-1] for each in sources]
    for row, column in np.ndindex(2, 3):
        cell = reals[row * 16:row * 16 + 16, column * 16:column * 16 + 16]
        assert sum(np.array_equal(cell, each) for each in sources) == 1
    first, last = (np.asarray(Image.open(run_dir / name)) for name in ('fakes_init.png', 'fakes000000.png'))
    assert first.shape == last.shape == reals.shape and not np.array_equal(first, last)


def test_the_pickle_holds_the_networks(finished):
    run_dir, training, _, _ = finished
    loaded = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')
    for name, module in training.models.items():
        assert tiny.differences(dict(loaded[name].state_dict()), dict(module.state_dict())) == []
        assert not loaded[name].training
    assert loaded['training_set_kwargs']['path'].endswith('tiny') and loaded['augment_pipe'] is None
    # The run's own networks are as they were: training goes on with them.
    assert training.models['G'].training and training.models[
        'G'
    ].synthesis.b16.half_dtype == networks.fast_dtype('cpu')
    assert loaded['G'].synthesis.b16.half_dtype is None


def test_lines_of_statistics(finished):
    run_dir, _, _, _ = finished
    lines = [json.loads(line) for line in (run_dir / run_folder.STATS).read_text().splitlines()]
    assert [line['Progress/kimg']['mean'] for line in lines] == [.004, .016, .028, .036]
    names = {
        'Progress/tick',
        'Progress/kimg',
        'Progress/augment',
        'Progress/variety',
        'Timing/total_sec',
        'Timing/sec_per_tick',
        'Timing/sec_per_kimg',
        'Timing/maintenance_sec',
        'Timing/total_hours',
        'Timing/total_days',
        'Timing/Gmain',
        'Timing/Greg',
        'Timing/Dmain',
        'Timing/Dreg',
        'Resources/cpu_mem_gb',
        'Resources/peak_gpu_mem_gb',
        'Loss/scores/fake',
        'Loss/scores/real',
        'Loss/signs/fake',
        'Loss/signs/real',
        'Loss/G/loss',
        'Loss/G/reg',
        'Loss/D/loss',
        'Loss/D/reg',
        'Loss/pl_penalty',
        'Loss/r1_penalty',
        'timestamp',
    }
    for line in lines:
        assert set(line) == names
        assert all(
            set(field) == {'num', 'mean', 'std'} for name, field in line.items() if name != 'timestamp'
        )
    # Pictures judged in a tick: of 1, 3, 3 and 2 steps; R1 in steps 0, 3 and 6, of four pictures each.
    assert [line['Loss/scores/real']['num'] for line in lines] == [8, 16, 16, 8]
    assert [line['Loss/G/loss']['num'] for line in lines] == [4, 12, 12, 8]
    assert [line['Loss/r1_penalty']['num'] for line in lines] == [4, 4, 4, 4]
    assert lines[3]['Loss/r1_penalty'] == lines[2]['Loss/r1_penalty'] != lines[1]['Loss/r1_penalty']


def test_the_same_seed_gives_the_same_run(data, finished, tmp_path):
    run_dir, training, _, _ = finished
    again = build(data)
    torch.randn(99), np.random.rand(9)      # what happens between building and training does not matter
    training_loop.train(again, str(tmp_path), say=lambda line: None, grid=tiny.GRID)
    assert tiny.stats_lines(tmp_path) == tiny.stats_lines(run_dir)
    assert tiny.differences(again.models['G_ema'].state_dict(), training.models['G_ema'].state_dict()) == []
    other = build(data, seed=4).models['G'].state_dict()
    assert len(tiny.differences(build(data).models['G'].state_dict(), other)) > 20


def test_starting_from_a_network(data, finished, tmp_path):
    run_dir, training, _, _ = finished
    path = str(run_dir / 'network-snapshot-000000.pkl')
    started = build(data, resume=path, seed=8)
    for name, module in training.models.items():
        assert tiny.differences(dict(started.models[name].state_dict()), dict(module.state_dict())) == []
    assert started.progress == Progress()
    # what both have is taken over
    without = build(data, resume=path, pe='none', seed=8).models['G'].state_dict()
    assert torch.equal(
        without['synthesis.b16.conv1.weight'], training.models['G'].state_dict()['synthesis.b16.conv1.weight']
    )
    with pytest.raises(OSError, match='nowhere'):
        build(data, resume=str(tmp_path / 'nowhere.pkl'))


def test_grid_sizes():
    assert snapshots.grid_size(64) == (32, 32)
    assert snapshots.grid_size(256) == (30, 16)
    assert snapshots.grid_size(1024) == (7, 4)
    assert snapshots.grid_size(2048) == (7, 4)


def labelled(tmp_path, **changes):
    path = tiny.make_dataset(tmp_path / 'labelled', labels=True)
    kwargs = dict(tiny.config(path).training_set_kwargs, use_labels=True)
    return build(path, training_set_kwargs=kwargs, label_dim=3, **changes)


def test_a_grid_shows_a_class_a_row(tmp_path):
    training = labelled(tmp_path)
    grid = snapshots.make_grid(training.dataset, 8, seed=0, size=(5, 7))
    assert grid.c.argmax(dim=1).reshape(7, 5).tolist() == [[row % 3] * 5 for row in range(7)]
    assert grid.indices.shape == (35,) and len(set(grid.indices)) == 35     # 26 of each class, flips included
    assert all(torch.equal(torch.from_numpy(training.dataset.get_label(int(index))), label)
               for index, label in zip(grid.indices, grid.c))
    other = snapshots.make_grid(training.dataset, 8, seed=1, size=(5, 7))
    assert list(other.indices) != list(grid.indices) and torch.equal(other.c, grid.c)


def test_a_conditional_run(tmp_path):
    run_dir = tmp_path / 'run'
    run_dir.mkdir()
    training = labelled(tmp_path)
    training_loop.train(training, str(run_dir), say=lambda line: None, grid=(4, 3))
    loaded = load_network_pkl(run_dir / 'network-snapshot-000000.pkl')
    G, D = loaded['G_ema'], loaded['D']
    assert (G.c_dim, D.c_dim, loaded['training_set_kwargs']['use_labels']) == (3, 3, True)
    # The grid shows the latents with the labels of their rows ...
    grid = snapshots.make_grid(training.dataset, 8, seed=3, size=(4, 3))
    fakes = np.asarray(Image.open(run_dir / 'fakes000000.png')).reshape(3, 16, 4, 16, 3).swapaxes(1, 2)
    drawn = G(grid.z, grid.c, noise_mode='const').permute(0, 2, 3, 1).mul(127.5).add(128).clip(0, 255)
    assert np.abs(fakes.reshape(12, 16, 16, 3) - drawn.detach().numpy()).mean() < 2       # half precision
    # ... which matter, to both.
    turned = grid.c.roll(1, dims=1)
    assert (G(grid.z, grid.c, noise_mode='none') - G(grid.z, turned, noise_mode='none')).abs().max() > 1e-3
    pictures = torch.zeros([12, 3, 16, 16])
    assert (D(pictures, grid.c) - D(pictures, turned)).abs().max() > 1e-3


def test_a_grid_larger_than_the_dataset(data):
    training = build(data)
    grid = snapshots.make_grid(training.dataset, 8, seed=0, size=(11, 9))
    assert len(grid.indices) == 99 and set(grid.indices) == set(range(80))
    assert grid.z.shape == (99, 8) and grid.c.shape == (99, 0)


# ----- ticks ------------------------------------------------------------------------------------------------


def test_values_not_reported_stay_what_they_were(tmp_path):
    progress = Progress()
    ticks = Ticks(
        str(tmp_path),
        progress,
        device=CPU,
        say=lambda line: None,
        latest={'Loss/old': dict(num=1, mean=7.0, std=0.0)},
    )
    for number in range(3):
        progress.nimg += 8
        if number != 1:
            training_stats.report('Loss/new', torch.tensor([1., 3.]) + number)
        ticks.stop()
        ticks.close()
        ticks.begin()
    lines = [json.loads(line) for line in (tmp_path / run_folder.STATS).read_text().splitlines()]
    assert [line['Loss/new'] for line in lines] == [dict(num=2, mean=mean, std=1.) for mean in (2, 2, 4)]
    assert [line['Loss/old']['mean'] for line in lines] == [7, 7, 7]
    assert (progress.tick, progress.tick_nimg) == (3, 24)


def test_when_a_tick_is_due(tmp_path):
    progress = Progress(nimg=4)
    ticks = Ticks(str(tmp_path), progress, device=CPU, say=lambda line: None)
    assert ticks.due(4, done=False)                             # the first step
    progress.tick, progress.tick_nimg = 1, 4
    for nimg, expected in [(8, False), (4003, False), (4004, True), (9000, True)]:
        progress.nimg = nimg
        assert ticks.due(4, done=False) is expected
    progress.nimg = 8
    assert ticks.due(4, done=True)


def test_status_line():
    line = status_line(
        dict(
            tick=3,
            kimg=12.34,
            total_sec=3723,
            sec_per_tick=61.26,
            sec_per_kimg=15.318,
            maintenance_sec=2.04,
            cpu_mem_gb=1.234,
            peak_gpu_mem_gb=0,
            augment=0.05,
        )
    )
    assert line.split() == [
        'tick',
        '3',
        'kimg',
        '12.3',
        'time',
        '1h',
        '02m',
        '03s',
        'sec/tick',
        '61.3',
        'sec/kimg',
        '15.32',
        'maintenance',
        '2.0',
        'cpumem',
        '1.23',
        'gpumem',
        '0.00',
        'augment',
        '0.050',
    ]
