"""The command line of generate: what it writes, where, how large, what it says, how it fails."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from stylegan2_mspe import default_network, free_memory, images, rendering
from stylegan2_mspe.pe import Canvas
from tests.command import call, runner
from tests.drawn import assert_alike, expected, read, save
from tools import drawing, generate, sheet

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def run(network, tmp_path, monkeypatch):
    return runner(generate.main, network[0], tmp_path, monkeypatch)


# ----- what is written --------------------------------------------------------------------------------------


def test_seeds_are_stylegan2s(run, network):
    files, output = run('--seeds=3,5-6')
    assert files == ['grid.png', 'seed0003.png', 'seed0005.png', 'seed0006.png']
    for seed in (3, 5, 6):
        assert_alike(read(f'o/seed{seed:04d}.png'), expected(network[1], seed))
    assert f'Network: {network[0]}' in output and 'Wrote 3 pictures' in output


def test_trunc_and_noise_mode(run, network):
    run('--seeds=1', '--trunc=0.5', '--noise_mode=none')
    assert_alike(read('o/seed0001.png'), expected(network[1], 1, noise_mode='none', psi=0.5))
    assert 'found nan, expected a number' in call(generate.main, '--trunc=nan', code=2)
    drawn = []
    for _ in range(2):
        run('--seeds=1', '--noise-mode=random')
        drawn.append(read('o/seed0001.png').astype(int))
    assert drawn[0].shape == (3, 16, 16)
    for other in (drawn[0], expected(network[1], 1)):
        assert 0.1 < np.abs(drawn[1] - other).mean() < drawn[1].std()    # another noise, the same picture


def test_each_shift_has_its_column_and_its_name(run, network):
    files, _ = run('--seeds=0-1', '--shift=4', '--shift', '-2,0.5', '--shift=4.0')
    assert files == ['grid.png', 'seed0000-shift-2_0.5.png', 'seed0000.png',
                     'seed0001-shift-2_0.5.png', 'seed0001.png']
    for seed in (0, 1):
        first, second = (Canvas.identity(16).shifted(*shift) for shift in [(4, 4), (-2, 0.5)])
        assert_alike(read(f'o/seed{seed:04d}.png'), expected(network[1], seed, first))
        assert_alike(read(f'o/seed{seed:04d}-shift-2_0.5.png'), expected(network[1], seed, second))


def test_a_shift_by_the_trained_size_goes_once_round(run):
    run('--seeds=0', '--shift=0', '--shift=16', '--shift=0,-32', '--noise-mode=none')
    for name in ('seed0000-shift16_16.png', 'seed0000-shift0_-32.png'):
        assert_alike(read(f'o/{name}'), read('o/seed0000.png'))
    run('--seeds=0', '--shift=0', '--shift=16', '--no-wrap')
    assert np.abs(read('o/seed0000-shift16_16.png').astype(int) - read('o/seed0000.png')).mean() > 5


def test_canvas_then_shift_then_size(run, network):
    run('--seeds=2', '--canvas=16x31', '--shift=8,3', '--size=32x62')
    canvas = Canvas.identity(16).extended(0, 0, 7, 8).shifted(8, 3, wrap=(True, False)).resized(32, 62)
    assert_alike(read('o/seed0002.png'), expected(network[1], 2, canvas))


@pytest.mark.parametrize('pe', ['none', 'sspe', 'mspe'])
def test_another_size_alone_is_what_metrics_measure(run, tmp_path, pe):
    G = save(tmp_path / 'b.pkl', pe=pe)
    run('--seeds=2', '--size=24x40', network=tmp_path / 'b.pkl')
    assert_alike(read('o/seed0002.png'), expected(G, 2, rendering.trained_canvas(G).resized(24, 40)))
    run('--seeds=2', '--size=24x40', '--wrap', network=tmp_path / 'b.pkl')
    wrapped = expected(G, 2, Canvas.identity(16).wrapped().resized(24, 40))
    assert_alike(read('o/seed0002.png'), wrapped)


def test_wrap_repeats_and_no_wrap_does_not(run, network):
    run('--seeds=2', '--canvas=16x48', '--wrap', '--noise-mode=none')
    canvas = Canvas.identity(16).extended(0, 0, 16, 16).wrapped()
    assert_alike(read('o/seed0002.png'), expected(network[1], 2, canvas, noise_mode='none'))


@pytest.mark.parametrize('size, box', [
    ((21, 13), (2, 3, -1, -2)), ((16, 16), (0, 0, 0, 0)), ((1, 1), (-7, -8, -7, -8)),
    ((15, 17), (0, -1, 0, 1)), ((48, 64), (16, 16, 24, 24)),
])
def test_a_box_is_shared_between_both_sides(size, box):
    found = rendering.request_canvas(16, size, wrap=True)
    wanted = Canvas.identity(16).extended(*box).wrapped()
    assert found == wanted or (found is None and not any(box))
    assert rendering.request_canvas(16, size, wrap=False) in (Canvas.identity(16).extended(*box), None)


def test_an_axis_wraps_where_its_length_is_the_trained_one_and_content_moves():
    def periods(*request, **options):
        canvas = rendering.request_canvas(16, *request, **options)
        return canvas.rows.period, canvas.cols.period
    assert periods((16, 32), (1, 0)) == (16, None) and periods((8, 16), (1, 0)) == (None, 16)
    assert periods(None, (0, 1)) == (16, 16) and periods((16, 32), (1, 0), (64, 16)) == (16, None)
    assert periods((16, 32), wrap=True) == (16, 16) and periods(None, (1, 1), wrap=False) == (None, None)
    assert periods((16, 32)) == (None, None) and periods((16, 32), border='plane') == (16, None)
    assert rendering.request_canvas(16) is None and rendering.request_canvas(16, size=(32, 16)) is not None


def test_far_canvases_are_called_extrapolated(run):
    _, output = run('--seeds=0', '--canvas=48x48')
    assert 'extrapolated' not in output
    _, output = run('--seeds=0', '--canvas=50x16')
    assert output.count('extrapolated') == 1
    _, output = run('--seeds=0', '--canvas=50x16', '--wrap')
    assert 'extrapolated' not in output
    _, output = run('--seeds=0', '--shift=17', '--shift=40', '--no-wrap')
    assert output.count('extrapolated') == 1


def test_a_world_that_repeats_is_not_extrapolated(run, tmp_path):
    save(tmp_path / 'b.pkl', pe='mspe-periodic')
    _, output = run('--seeds=0', '--canvas=50x16', network=tmp_path / 'b.pkl')
    assert 'extrapolated' not in output and 'repeats every 16 pixels' in output


@pytest.mark.parametrize('channels, mode', [(1, 'L'), (4, 'RGBA')])
def test_grey_and_transparent_networks(run, tmp_path, channels, mode):
    G = save(tmp_path / 'b.pkl', img_channels=channels)
    run('--seeds=0', '--shift=0', '--shift=3', network=tmp_path / 'b.pkl')
    with Image.open('o/seed0000.png') as picture:
        assert picture.mode == mode
    assert_alike(read('o/seed0000.png'), expected(G, 0))


def test_the_grid_shows_every_seed_at_every_shift(run):
    run('--seeds=0-2', '--shift=0', '--shift=5')
    grid = read('o/grid.png')
    assert grid.shape[1] > 3 * 128 and grid.shape[2] > 2 * 128          # 16 pixels are enlarged eightfold
    for name in ('seed0002.png', 'seed0001-shift5_5.png'):
        large = read(f'o/{name}').repeat(8, axis=1).repeat(8, axis=2)
        spots = np.argwhere((grid == large[:, :1, :1]).all(0))
        assert any((grid[:, y:y + 128, x:x + 128] == large).all() for y, x in spots
                   if grid[:, y:y + 128, x:x + 128].shape == large.shape)


def test_many_seeds_are_cut_short_in_the_grid_only(run, monkeypatch):
    monkeypatch.setattr(sheet, 'MAX_SHEET', 2)
    files, output = run('--seeds=0-4')
    assert len(files) == 6 and 'first 2 of 5' in output


def test_classes(run, tmp_path):
    G = save(tmp_path / 'c.pkl', c_dim=3)
    run('--seeds=0', '--class=2', network=tmp_path / 'c.pkl')
    assert_alike(read('o/seed0000.png'), expected(G, 0, c=torch.eye(3)[[2]]))
    _, output = run('--seeds=0', '--class=2')
    assert 'no classes' in output


@pytest.mark.parametrize('option', ['--projected-w', '--projected_w'])
def test_projected_latents(run, network, option):
    G = network[1]
    ws = G.mapping(torch.randn([2, 8], generator=torch.Generator().manual_seed(0)), None)
    np.savez('p.npz', w=ws.numpy())
    files, output = run(f'{option}=p.npz', '--shift=0', '--shift=2', '--seeds=1')
    assert files == ['grid.png', 'proj00-shift2_2.png', 'proj00.png', 'proj01-shift2_2.png', 'proj01.png']
    assert_alike(read('o/proj01.png'), images.to_uint8(G.synthesis(ws, noise_mode='const')[1]))
    assert '--seeds is not used' in output and '--trunc' not in output and '--class' not in output
    alike = run(f'{option}=p.npz', '--trunc=1')[1]
    assert 'is not used' not in alike.replace('--class is not used, the network', '')
    drawn = read('o/proj01.png')
    _, output = run(f'{option}=p.npz', '--trunc=0.5', '--class=1')     # lines that StyleGAN2-ADA draws
    assert all(f'Note: {each} is not used with --projected-w.' in output for each in ('--trunc', '--class'))
    assert (read('o/proj01.png') == drawn).all()


def test_projected_latents_of_an_npy_file(run, network):
    G = network[1]
    ws = G.mapping(torch.randn([2, 8], generator=torch.Generator().manual_seed(1)), None).numpy()
    for array, names in [(ws, ['grid.png', 'proj00.png', 'proj01.png']), (ws[1], ['proj00.png'])]:
        np.save('p.npy', array)
        files, _ = run('--projected-w=p.npy')
        assert set(names) <= set(files)
    second = G.synthesis(torch.from_numpy(ws[1:]), noise_mode='const')[0]
    assert_alike(read('o/proj00.png'), images.to_uint8(second))
    assert_alike(read('o/proj01.png'), read('o/proj00.png'))


def test_latents_that_are_too_large(run, monkeypatch):
    monkeypatch.setattr(drawing, 'MAX_LATENT_BYTES', 100)
    np.savez('p.npz', w=np.zeros([1, 6, 8]))
    with pytest.raises(ValueError, match='--projected-w=p.npz: found 512 bytes of w, expected an .npz'):
        run('--projected-w=p.npz')
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 6, 8), }"
    header = b'\x93NUMPY\x01\x00\x76\x00' + shape
    pathlib.Path('p.npy').write_bytes(header.ljust(127) + b'\n')
    with pytest.raises(ValueError, match='--projected-w=p.npy: found .*expected an .npz or .npy'):
        run('--projected-w=p.npy')
    assert not pathlib.Path('o').exists()


def test_device(run, network, monkeypatch):
    run('--seeds=0', '--device=cpu')
    assert_alike(read('o/seed0000.png'), expected(network[1], 0))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    run('--seeds=1', '--device=auto')
    assert_alike(read('o/seed0001.png'), expected(network[1], 1))
    with pytest.raises(ValueError, match='--device=cuda: found no CUDA device'):
        run('--seeds=0', '--device=cuda')


@pytest.mark.parametrize('precision, most', [('bf16', 24), ('fp64', 1)])
def test_precisions(run, network, precision, most):
    run('--seeds=0', f'--precision={precision}')
    difference = np.abs(read('o/seed0000.png').astype(int) - expected(network[1], 0))
    assert difference.max() <= most and difference.mean() < most / 8


def test_batches_follow_the_memory(network, monkeypatch):
    G = network[1]
    one = rendering.picture_bytes(G, 16, 16)
    assert rendering.picture_bytes(G, 32, 64) == 8 * one
    assert rendering.picture_bytes(G, 17, 16) == 5 * one // 4       # whole cells of the coarsest level
    monkeypatch.setattr(free_memory, 'free', lambda device: int(one * 3 / free_memory.USABLE) + 1)
    assert rendering.batch_that_fits(G, (16, 16), '') == 3
    with pytest.raises(ValueError, match='--canvas=16x64: a picture of 16x64 .* are free'):
        rendering.batch_that_fits(G, (16, 64), '--canvas=16x64')


def test_running_out_of_memory_is_said_so(network, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError(message)
    monkeypatch.setattr(network[1].synthesis, 'forward', refuse)
    message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nStack"
    with pytest.raises(MemoryError, match='tried to allocate 9 bytes.$'):
        rendering.render(network[1], torch.zeros([1, 6, 8]), None)
    message = 'something else'
    with pytest.raises(RuntimeError, match='something else'):
        rendering.render(network[1], torch.zeros([1, 6, 8]), None)
    assert 0 < free_memory.free('cpu') < 2 ** 50


def test_the_leak_of_every_column_is_written(run):
    files, output = run('--seeds=0-5', '--shift=0', '--shift=4,0', '--leak-map')
    assert {'leak.png', 'leak-shift4_0.png'} <= set(files) and 'Wrote o/leak.png' in output
    first, second = read('o/leak.png'), read('o/leak-shift4_0.png')
    assert first.shape == second.shape and (first != second).any()
    with pytest.raises(ValueError, match='--leak-map: found a picture drawn in tiles'):
        run('--leak-map', '--tile=16')


# ----- with nothing named -----------------------------------------------------------------------------------


def test_the_newest_snapshot_of_the_newest_run_is_the_default(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run, snapshots in {'00002-a': [4, 100], '00010-b': [], '00009-c': [8, 12]}.items():
        folder = tmp_path / 'training-runs' / run
        folder.mkdir(parents=True)
        for kimg in snapshots:
            (folder / f'network-snapshot-{kimg:06d}.pkl').write_bytes(network[0].read_bytes())
        (folder / 'network-snapshot-999999.pkl.part').touch()
    output = call(generate.main)
    assert '00009-c/network-snapshot-000012.pkl' in output
    assert 'out' in output and len(list((tmp_path / 'out').glob('seed*.png'))) == 16


def test_without_runs_it_is_the_bundled_network(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path / 'pretrained')
    with pytest.raises(ValueError, match='--network'):
        default_network.default_network()
    (tmp_path / 'pretrained').mkdir()
    for name in ('a.pkl', default_network.PREFERRED):
        (tmp_path / 'pretrained' / name).write_bytes(b'')
    assert pathlib.Path(default_network.default_network()).name == default_network.PREFERRED


# ----- what is refused --------------------------------------------------------------------------------------


def fails(arguments, folder):
    command = [sys.executable, str(ROOT / 'generate.py'), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert 'Traceback' not in done.stderr and done.stderr.strip().count('\n') <= 3, done.stderr
    assert not (pathlib.Path(folder) / 'o').exists()
    return done.returncode, done.stderr


def test_errors_leave_one_sentence_and_exit_codes(network, tmp_path):
    good = ['--outdir=o', '--seeds=0', f'--network={network[0]}']
    code, text = fails([*good, '--canvas=1000000000x1000000000'], tmp_path)
    assert code == 1 and text.startswith('Error: --canvas=1000000000x1000000000: expected at most')
    code, text = fails([*good, '--canvas=0x16'], tmp_path)
    assert code == 2 and "found '0x16', expected HEIGHTxWIDTH" in text
    code, text = fails([*good, '--network=none.pkl'], tmp_path)
    assert code == 1 and text.strip() == 'Error: none.pkl: No such file or directory'


@pytest.mark.parametrize('arguments, code, text', [
    (['--seeds=1-'], 2, "found '1-', expected seeds"),
    (['--seeds=5-3'], 2, 'expected seeds'),
    (['--seeds=4294967296'], 2, 'expected seeds'),
    (['--seeds=0-4294967295'], 2, 'at most 1000000'),
    (['--seeds='], 2, 'expected seeds'),
    (['--shift=nan'], 2, "found 'nan', expected pixels"),
    (['--shift=1,2,3'], 2, 'expected pixels'),
    (['--shift=1e9'], 2, 'expected pixels'),
    (['--canvas=16'], 2, 'HEIGHTxWIDTH'),
    (['--size=-1x5'], 2, 'HEIGHTxWIDTH'),
    (['--canvas=1000000x1000000'], ValueError, '--canvas=1000000x1000000: expected at most .* in all'),
    (['--size=1x1000000000000'], ValueError, '--size=1x1000000000000'),
    (['--canvas=16x0'], 2, 'HEIGHTxWIDTH'),
    (['--canvas=axb'], 2, 'HEIGHTxWIDTH'),
    (['--repeat-x=4:8'], 2, "found '4:8', expected pixels and how often to show them, such as 64:128x3"),
    (['--repeat-x=8:4x2'], 2, 'expected pixels and how often'),
    (['--mirror-y=4:8x0'], 2, 'expected pixels and how often'),
    (['--repeat-x=8:20x2'], ValueError, '--repeat-x=8:20x2: a world range of 8:20: expected one that'),
    (['--repeat-y=0:4x2', '--mirror-y=0:4x2'], ValueError, '--repeat-y, --mirror-y: found both'),
    (['--zoom=0,0,0x4'], 2, "found '0,0,0x4', expected a box TOP,LEFT,HEIGHTxWIDTH"),
    (['--zoom=4,4'], 2, 'expected a box'),
    (['--zoom=16,0,4x4'], ValueError, '--zoom=16,0,4x4: found a box that is not in the picture'),
    (['--window=0,0,1.5x4'], 2, 'expected a box'),
    (['--window=10,0,8x8'], ValueError, '--window: a window of 8x8 pixels at 10,0: expected .* 16x16'),
    (['--tile=0'], 2, 'x>=1'),
    (['--tile=3'], ValueError, '--tile: a tile of 3 pixels: expected at least 16'),
    (['--max-memory=lots'], 2, "found 'lots', expected an amount of memory such as 2G"),
    (['--max-memory=0'], 2, 'expected an amount of memory'),
    (['--max-memory=1K'], ValueError, '--max-memory: 1e-06 GB of memory: expected at least .* of 16 pixels'),
    (['--tile=16', '--noise-mode=random'], ValueError, '--noise-mode=random: expected const, anchored'),
    (['--border=none'], 2, "'none' is not one of 'zero', 'plane'"),
    (['--noise-seed=-1'], 2, '0<=x'),
    (['--noise-seed=0'], ValueError, '--noise-seed: found --noise-mode=const, expected --noise-mode='),
    (['--noise_seed=3', '--noise-mode=none'], ValueError, '--noise-seed: found --noise-mode=none, expected'),
    (['--tile=16', '--max-memory=1G'], ValueError, '--max-memory: found --tile, expected one of the two'),
    (['--precision=fp16', '--device=cpu'], ValueError, '--precision=fp16'),
    (['--projected-w=none.npz'], ValueError, '--projected-w=none.npz: found no such file'),
    (['--projected-w=text.npz'], ValueError, r'--projected-w=text.npz: found .* expected an .npz or .npy'),
    (['--projected-w=other.npz'], ValueError, 'found no w but x.npy, expected'),
    (['--projected-w=shape.npz'], ValueError, r'found w of shape \[1, 2, 8\], expected .* \[N, 6, 8\]'),
    (['--projected-w=objects.npz'], ValueError, 'Object arrays'),
    (['--projected-w=nan.npy'], ValueError, r'found w of shape \[1, 6, 8\] that is not finite'),
    (['--projected-w=flat.npy'], ValueError, r'found w of shape \[8\], expected'),
    (['--network=text.npz'], ValueError, 'not a network file'),
    (['--network=cond.pkl'], ValueError, '--class: found nothing, expected 0 to 2'),
    (['--network=cond.pkl', '--class=3'], ValueError, '--class: found 3, expected 0 to 2'),
])
def test_bad_input(network, tmp_path, monkeypatch, arguments, code, text):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('text.npz').write_text('hello')
    np.savez('other.npz', x=np.zeros(3))
    np.save('nan.npy', np.full([1, 6, 8], np.nan))
    np.save('flat.npy', np.zeros(8))
    np.savez('shape.npz', w=np.zeros([1, 2, 8]))
    np.savez('objects.npz', w=np.array([None, {}]))
    if '--network=cond.pkl' in arguments:
        save('cond.pkl', c_dim=3)
    monkeypatch.setattr(free_memory, 'free', lambda device: 16e9)
    result = CliRunner().invoke(generate.main, [f'--network={network[0]}', '--outdir=o', *arguments])
    assert result.exception is not None and not pathlib.Path('o').exists()
    if code == 2:
        assert result.exit_code == 2 and text in result.output
    else:
        with pytest.raises(code, match=text):
            raise result.exception


def test_help_needs_no_torch():
    code = 'import sys, tools.generate; print("torch" in sys.modules or "numpy" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == 'False'
