"""A run: what it leaves behind, that it is the same again, and what it may start from."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import networks, run_folder, snapshots, training_loop
from stylegan2_mspe.legacy import load_network_pkl
from stylegan2_mspe.ticks import Progress
from tests import tiny


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


@pytest.fixture(scope='module')
def finished(data, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp('run')
    said, shown = [], []
    training = tiny.build(data)
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
        'reals.png', 'fakes_init.png', 'fakes000000.png', 'network-snapshot-000000.pkl', 'stats.jsonl',
        'training-state-000000.pt'}
    assert shown == list(range(4, 37, 4))
    assert [line.split()[:4] for line in said] == [['tick', str(tick), 'kimg', '0.0'] for tick in range(4)]
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
    assert training.models['G'].training
    assert training.models['G'].synthesis.b16.half_dtype == networks.fast_dtype('cpu')
    assert loaded['G'].synthesis.b16.half_dtype is None


def test_lines_of_statistics(finished):
    run_dir, _, _, _ = finished
    lines = [json.loads(line) for line in (run_dir / run_folder.STATS).read_text().splitlines()]
    assert [line['Progress/kimg']['mean'] for line in lines] == [.004, .016, .028, .036]
    groups = dict(
        Progress='tick kimg augment variety',
        Timing='total_sec sec_per_tick sec_per_kimg maintenance_sec total_hours total_days Gmain Greg Dmain '
               'Dreg',
        Resources='cpu_mem_gb peak_gpu_mem_gb',
        Loss='scores/fake scores/real signs/fake signs/real G/loss G/reg D/loss D/reg pl_penalty r1_penalty')
    names = {f'{group}/{name}' for group, each in groups.items() for name in each.split()}
    for line in lines:
        assert set(line) == names | {'timestamp'}
        assert all(set(line[name]) == {'num', 'mean', 'std'} for name in names)
    # Pictures judged in a tick: of 1, 3, 3 and 2 steps; R1 in steps 0, 3 and 6, of four pictures each.
    assert [line['Loss/scores/real']['num'] for line in lines] == [8, 16, 16, 8]
    assert [line['Loss/G/loss']['num'] for line in lines] == [4, 12, 12, 8]
    assert [line['Loss/r1_penalty']['num'] for line in lines] == [4, 4, 4, 4]
    assert lines[3]['Loss/r1_penalty'] == lines[2]['Loss/r1_penalty'] != lines[1]['Loss/r1_penalty']


def test_the_same_seed_gives_the_same_run(data, finished, tmp_path):
    run_dir, training, _, _ = finished
    again = tiny.build(data)
    torch.randn(99), np.random.rand(9)      # what happens between building and training does not matter
    training_loop.train(again, str(tmp_path), say=lambda line: None, grid=tiny.GRID)
    assert tiny.stats_lines(tmp_path) == tiny.stats_lines(run_dir)
    assert tiny.differences(again.models['G_ema'].state_dict(), training.models['G_ema'].state_dict()) == []
    other = tiny.build(data, seed=4).models['G'].state_dict()
    assert len(tiny.differences(tiny.build(data).models['G'].state_dict(), other)) > 20


def test_starting_from_a_network(data, finished, tmp_path):
    run_dir, training, _, _ = finished
    path = str(run_dir / 'network-snapshot-000000.pkl')
    started = tiny.build(data, resume=path, seed=8)
    for name, module in training.models.items():
        assert tiny.differences(dict(started.models[name].state_dict()), dict(module.state_dict())) == []
    assert started.progress == Progress()
    # what both have is taken over
    without = tiny.build(data, resume=path, pe='none', seed=8).models['G'].state_dict()
    assert torch.equal(
        without['synthesis.b16.conv1.weight'], training.models['G'].state_dict()['synthesis.b16.conv1.weight']
    )
    with pytest.raises(OSError, match='nowhere'):
        tiny.build(data, resume=str(tmp_path / 'nowhere.pkl'))


def test_a_conditional_run(tmp_path):
    run_dir = tmp_path / 'run'
    run_dir.mkdir()
    training = tiny.build_labelled(tmp_path)
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
