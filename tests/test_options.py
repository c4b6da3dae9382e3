"""From options to a checked config and the run's name."""

import dataclasses

import pytest

from stylegan2_mspe.options import DatasetInfo, describe, prepare, resolve, warnings

SMALL = DatasetInfo(name='digits', size=100, channels=3, resolution=64, label_dim=10)
FACES = DatasetInfo(name='faces', size=1000, channels=3, resolution=256, label_dim=0)


def made(dataset=SMALL, **options):
    return resolve(dict(data='digits.zip', **options), dataset)


def test_what_is_asked_for_overrides_the_preset():
    config = made(
        cfg='mspe-small',
        pe='sspe',
        gamma=7.0,
        kimg=12,
        batch=16,
        cbase=1024,
        cmax=32,
        map_depth=3,
        seed=5,
        tick=1,
        snap=2,
        workers=1,
        mirror=True,
        subset=50,
        cond=True,
        random_resize=(48, 64),
    )
    assert (config.pe, config.gamma, config.kimg, config.batch, config.batch_gpu) == ('sspe', 7, 12, 16, 16)
    assert (config.channel_base, config.channel_max, config.map_depth) == (1024, 32, 3)
    assert (config.seed, config.tick, config.snap, config.workers, config.random_resize) == (
        5,
        1,
        2,
        1,
        (48, 64),
    )
    assert (config.label_dim, config.resolution, config.img_channels) == (10, 64, 3)
    assert config.training_set_kwargs == dict(
        class_name='training.dataset.ImageFolderDataset',
        path='digits.zip',
        resolution=64,
        max_size=50,
        use_labels=True,
        xflip=True,
        random_seed=5,
    )


def test_zero_is_a_wish():
    config = made(cfg='stylegan2', gamma=0., mirror=False)
    assert config.gamma == 0 and config.training_set_kwargs['xflip'] is False
    assert made(FACES, cfg='mspe').training_set_kwargs['xflip'] is True
    assert made(FACES, cfg='mspe', mirror=False).training_set_kwargs['xflip'] is False


def test_float32_has_neither_half_precision_nor_a_clamp():
    config = made(cfg='stylegan2', fp32=True)
    assert (config.g_fp16_res, config.d_fp16_res, config.conv_clamp) == (0, 0, None)
    assert not made(cfg='mspe-small').random_shift and made(cfg='mspe-small', random_shift=True).random_shift
    plus = made(cfg='mspe-plus-small')
    assert plus.random_shift and (plus.border, plus.pe) == ('plane', 'mspe-periodic')
    assert made().random_margin == 0 and made(random_margin=.5).random_margin == .5
    config = made(cfg='mspe-small')
    assert (config.g_fp16_res, config.d_fp16_res, config.conv_clamp) == (4, 3, 256)


@pytest.mark.parametrize('options, batch, batch_gpu', [
    (dict(cfg='stylegan2'), 32, 4),                     # 32 images were meant for eight devices
    (dict(cfg='stylegan2', batch=16), 16, 16),
    (dict(cfg='mspe-small'), 16, 16),
    (dict(cfg='mspe-small', batch_gpu=8), 16, 8),
    (dict(cfg='auto'), 32, 32),
])
def test_images_per_pass(options, batch, batch_gpu):
    config = made(**options)
    assert (config.batch, config.batch_gpu) == (batch, batch_gpu)


@pytest.mark.parametrize(
    'options, name',
    [
        (dict(), 'digits-auto1'),
        (dict(cfg='mspe-small'), 'digits-mspe-small'),
        (dict(cfg='mspe-small', random_shift=True), 'digits-mspe-small-shift'),
        (dict(cfg='mspe-plus-small', random_shift=False), 'digits-mspe-plus-small-noshift'),
        (dict(cfg='mspe-small', random_margin=.25), 'digits-mspe-small-margin0.25'),
        (dict(cfg='mspe-small', border='plane'), 'digits-mspe-small-plane'),
        (
            dict(cfg='paper256', mirror=True, gamma=0.5, kimg=1000, batch=8, aug='noaug'),
            'digits-mirror-paper256-gamma0.5-kimg1000-batch8-noaug',
        ),
        (dict(cond=True, subset=50, mirror=False, cfg='mspe'), 'digits-cond-subset50-nomirror-mspe'),
        (dict(cfg='cifar', aug='fixed', p=0.25, augpipe='bg'), 'digits-cifar-fixed-p0.25-bg'),
        (dict(cfg='cifar', aug='ada', target=0.7, augpipe='blit'), 'digits-cifar-ada-target0.7-blit'),
        (dict(resume='noresume', freezed=4), 'digits-auto1-noresume-freezed4'),
        (dict(resume='ffhq256', gpus=8), 'digits-auto8-resumeffhq256'),
        (
            dict(resume='somewhere/net.pkl', pe='mspe', kimg=1000000),
            'digits-auto1-kimg1000000-resumecustom-pemspe',
        ),
        (
            dict(kimg=0.5, gamma=1e-5, random_resize=(48, 64), desc='try'),
            'digits-auto1-gamma1e-05-kimg0.5-resize48,64-try',
        ),
        (dict(seed=3, workers=1, device='cpu', fp32=True, tick=1, snap=1, metrics=()), 'digits-auto1'),
    ],
)
def test_name_says_what_was_asked_for(options, name):
    assert describe(options, 'digits') == name


def test_resuming_from_a_network_has_no_ramp(tmp_path):
    path = tmp_path / 'net.pkl'
    path.touch()
    assert made(cfg='auto').ema_ramp == .05
    config = made(cfg='auto', resume=str(path))
    assert (config.ema_ramp, config.resume) == (None, str(path))
    assert made(resume='noresume').resume is None
    assert made(resume='ffhq256').resume.endswith('/ffhq-res256-mirror-paper256-noaug.pkl')


def test_what_is_left_undone_is_told_once_each():
    assert warnings({}, FACES) == []
    [line] = warnings({}, SMALL)
    assert line.startswith('digits has labels (10), which are not used: --cond=1 ')
    assert warnings(dict(cond=True), SMALL) == warnings(dict(cond=False), SMALL) == []


def test_metrics_are_those_asked_for_else_the_usual_one_where_there_is_a_gpu():
    assert made().metrics == () and made(metrics=('fid5k', 'eqt_int')).metrics == ('fid5k', 'eqt_int')
    on_gpu = resolve(dict(data='digits.zip'), SMALL, 'cuda')
    assert on_gpu.metrics == ('fid50k_full',)
    assert resolve(dict(data='digits.zip', metrics=()), SMALL, 'cuda').metrics == ()


def test_what_metrics_need_is_looked_for_first(monkeypatch):
    asked = []

    def require(metrics):
        asked.append(metrics)
        if 'fid50k_full' in metrics:
            raise ValueError('inception can not be had')
    monkeypatch.setattr('stylegan2_mspe.metrics.available.require', require)
    on_gpu = resolve(dict(data='digits.zip'), SMALL, 'cuda')
    config, [sentence] = prepare(on_gpu, {})        # left at the default: said, and done without
    assert config == dataclasses.replace(on_gpu, metrics=())
    assert sentence == 'inception can not be had; training without metrics.'
    with pytest.raises(ValueError, match='^inception can not be had$'):
        prepare(on_gpu, dict(metrics=('fid50k_full',)))
    wanted = made(metrics=('fid_mnist',))
    assert prepare(wanted, dict(metrics=('fid_mnist',))) == (wanted, [])
    assert asked == [('fid50k_full',), ('fid50k_full',), ('fid_mnist',)]
    config, [sentence] = prepare(made(), {})
    assert config == made() and sentence.startswith('fid50k_full, the default of --metrics, would take hours')
    assert prepare(made(metrics=()), dict(metrics=())) == (made(), [])


@pytest.mark.parametrize('options, expected', [
    (dict(), ('ada', 'bgc', 0, .6, 500)),
    (dict(cfg='paper256', target=.7, augpipe='bg'), ('ada', 'bg', 0, .7, 500)),
    (dict(cfg='stylegan2', resume='ffhq256'), ('ada', 'bgc', 0, .6, 100)),
    (dict(cfg='cifar', aug='fixed', p=.25), ('fixed', 'bgc', .25, .6, 500)),
    (dict(cfg='cifar', aug='noaug'), ('noaug', 'bgc', 0, .6, 500)),
    (dict(cfg='mspe-small'), ('noaug', 'bgc', 0, .6, 500)),
    (dict(cfg='mspe-small', aug='ada', augpipe='blit'), ('ada', 'blit', 0, .6, 500)),
])
def test_augmentation(options, expected):
    config = made(**options)
    assert (config.aug, config.augpipe, config.augment_p, config.ada_target, config.ada_kimg) == expected
    assert config.ada_interval == 4


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(cfg='mpse'), '--cfg=mpse is not a preset; did you mean mspe'),
        (dict(batch=0), '--batch=0: expected at least 1'),
        (dict(desc='a/b'), "--desc='a/b': expected a part of a folder name"),
        (dict(batch_gpu=5), '--batch-gpu=5: expected a divisor of 32'),
        (dict(batch=6), '--batch=6: gives 6 images per pass, expected a multiple of 4'),
        (dict(batch_gpu=-1), '--batch-gpu=-1: expected at least 1'),
        (dict(random_margin=1.5), '--random-margin=1.5: expected a part of the pictures, 0 to 1'),
        (dict(cfg='mspe-plus-small', random_margin=.5), '--random-margin=0.5: found --border=plane'),
        (dict(random_margin=.01), '--random-margin=0.01: gives none of the 32 images per pass a margin'),
        (dict(gpus=3), '--gpus=3: expected a power of two'),
        (dict(gpus=4, batch=30), '--batch=30: expected a multiple of --gpus=4'),
        (dict(metrics=('fid50k_full', 'fid50')), '--metrics=fid50 is not a metric; did you mean fid50k'),
        (dict(aug='fixed'), '--aug=fixed: expected --p with it'),
        (dict(p=0.5), '--p=0.5: expected .* together with --aug=fixed'),
        (dict(aug='fixed', p=1.5), '--p=1.5: expected a probability from 0 to 1'),
        (dict(aug='noaug', target=0.5), '--target=0.5: expected .* with --aug=ada'),
        (dict(aug='noaug', augpipe='bg'), '--augpipe=bg: found --aug=noaug, expected --aug=ada or'),
        (dict(cfg='mspe', augpipe='bg'), '--augpipe=bg: found --cfg=mspe, which does not augment'),
        (dict(cfg='mspe', target=0.5), '--target=0.5: found --cfg=mspe, .* expected --aug=ada with it'),
        (dict(kimg=0.0), '--kimg=0.0: expected thousands of images, above 0'),
        (dict(kimg=float('nan')), '--kimg=nan'),
        (dict(tick=-1.0), '--tick=-1.0'),
        (dict(snap=0), '--snap=0: expected at least 1'),
        (dict(workers=0), '--workers=0: expected at least 1'),
        (dict(gamma=-1.0), '--gamma=-1.0: expected at least 0'),
        (dict(gamma=float('nan')), '--gamma=nan: expected at least 0'),
        (dict(seed=-1), '--seed=-1: expected at least 0'),
        (dict(seed=2**32), '--seed=4294967296: expected at most 4294967295'),
        (dict(subset=101), '--subset=101: found 100 pictures in digits.zip'),
        (dict(subset=0), '--subset=0: expected at least 1'),
        (
            dict(cmax=30, pe='mspe'),
            '--cbase=16384 with --cmax=30: gives 30 channels at 4x4, expected a multiple of 4',
        ),
        (dict(cbase=32), '--cbase=32 with --cmax=512: gives 0 channels at 64x64, expected at least 1'),
        (dict(random_resize=(64, 8)), '--random-resize: found 8, expected sizes from 16 to 256'),
        (dict(resume='nowhere.pkl'), '--resume=nowhere.pkl: no such file'),
        (dict(freezed=-1), '--freezed=-1: expected at least 0'),
    ],
)
def test_bad_options_get_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        made(**options)
    assert '\n' not in str(caught.value)


def test_labels_must_be_there():
    with pytest.raises(ValueError, match='--cond=1: found no labels in digits.zip'):
        made(FACES, cond=True)
    with pytest.raises(ValueError, match='--data is missing'):
        resolve({}, SMALL)
