"""Presets against the tables of the StyleGAN2-ADA release and of the paper (C.3)."""

import dataclasses
import json
import subprocess
import sys

import pytest

from stylegan2_mspe import config

# ref_gpus, kimg, batch, mbstd, fmaps (channel_base = 32768 fmaps), lr, gamma, ema kimg, ramp, mapping layers
TABLE = {
    'stylegan2': (8, 25000, 32, 4, 1, .002, 10, 10, None, 8),
    'paper256': (8, 25000, 64, 8, .5, .0025, 1, 20, None, 8),
    'paper512': (8, 25000, 64, 8, 1, .0025, .5, 20, None, 8),
    'paper1024': (8, 25000, 32, 4, 1, .002, 2, 10, None, 8),
    'cifar': (2, 100000, 64, 32, 1, .0025, .01, 500, .05, 2),
    'mspe': (8, 6400, 32, 4, 1, .002, 10, 10, None, 8),
    'sspe': (8, 6400, 32, 4, 1, .002, 10, 10, None, 8),
    'baseline': (8, 6400, 32, 4, 1, .002, 10, 10, None, 8),
}


@pytest.mark.parametrize('name', TABLE)
def test_preset_agrees_with_the_table(name):
    row = config.preset(name, gpus=1, resolution=256)
    found = (
        row.ref_gpus,
        row.kimg,
        row.batch,
        row.mbstd,
        row.cbase / 32768,
        row.lr,
        row.gamma,
        row.ema,
        row.ramp,
        row.maps,
    )
    assert found == TABLE[name]
    assert (row.cmax, row.z, row.snap, row.fp16_d) == (512, 512, 50, 4)


def test_cifar_has_no_path_length_no_mixing_and_a_plain_discriminator():
    row = config.PRESETS['cifar']
    assert (row.pl, row.mixing, row.d_arch) == (0, 0, 'orig')
    others = [config.PRESETS[name] for name in ('stylegan2', 'paper256', 'paper512', 'paper1024')]
    assert {(row.pl, row.mixing, row.d_arch, row.aug, row.pe, row.mirror) for row in others} == \
        {(2, .9, 'resnet', 'ada', 'none', False)}


def test_paper_presets_flip_and_differ_in_the_plan_only():
    for suffix, mirror, mixing in [('', True, .9), ('-small', False, 0)]:
        rows = {
            plan: config.PRESETS[name + suffix]
            for name, plan in [('mspe', 'mspe'), ('sspe', 'sspe'), ('baseline', 'none')]
        }
        assert {plan: row.pe for plan, row in rows.items()} == {plan: plan for plan in rows}
        assert len({row._replace(pe='') for row in rows.values()}) == 1
        row = rows['mspe']
        assert (row.mirror, row.aug, row.pl, row.mixing) == (mirror, 'noaug', 0, mixing)


def test_small_networks_have_the_sizes_asked_for():
    from stylegan2_mspe import networks

    row = config.PRESETS['mspe-small']
    small = config.TrainingConfig(
        training_set_kwargs={},
        data_name='x',
        resolution=64,
        img_channels=3,
        pe=row.pe,
        z_dim=row.z,
        w_dim=row.z,
        map_depth=row.maps,
        channel_base=row.cbase,
        channel_max=row.cmax,
        d_fp16_res=row.fp16_d,
        mbstd_group=row.mbstd,
    )
    G = networks.Generator(**config.generator_kwargs(small))
    D = networks.Discriminator(**config.discriminator_kwargs(small))
    sizes = [sum(each.numel() for each in module.parameters()) / 1e6 for module in (G, D)]
    assert [round(size, 2) for size in sizes] == [.35, .37]
    assert [D.get_submodule(f'b{r}').use_fp16 for r in (64, 32, 16, 8)] == [True, True, True, False]
    assert [G.synthesis.get_submodule(f'b{r}').use_fp16 for r in (64, 32, 16, 8, 4)] == [True] * 4 + [False]


@pytest.mark.parametrize('gpus, resolution, batch, mbstd, cbase, lr, gamma, ema', [
    (1, 64, 32, 4, 16384, .0025, .0002 * 64 ** 2 / 32, 10),
    (1, 256, 16, 4, 16384, .0025, .0002 * 256 ** 2 / 16, 5),
    (8, 256, 64, 4, 16384, .0025, .0002 * 256 ** 2 / 64, 20),
    (2, 1024, 8, 4, 32768, .002, .0002 * 1024 ** 2 / 8, 2.5),
    (8, 2048, 16, 2, 32768, .002, .0002 * 2048 ** 2 / 16, 5),
    (128, 512, 128, 1, 32768, .0025, .0002 * 512 ** 2 / 128, 40),
])
def test_auto_follows_its_rules(gpus, resolution, batch, mbstd, cbase, lr, gamma, ema):
    row = config.preset('auto', gpus=gpus, resolution=resolution)
    assert (row.ref_gpus, row.batch, row.mbstd, row.cbase, row.lr) == (gpus, batch, mbstd, cbase, lr)
    assert (row.gamma, row.ema) == pytest.approx((gamma, ema))
    assert (row.ramp, row.maps, row.kimg, row.pl, row.aug) == (.05, 2, 25000, 2, 'ada')


def test_unknown_preset_is_refused_with_near_names():
    with pytest.raises(ValueError, match='--cfg=mspe-smal is not a preset; did you mean mspe-small'):
        config.preset('mspe-smal', gpus=1, resolution=64)
    with pytest.raises(ValueError, match='--cfg=xyzzy is not a preset; expected one of auto, stylegan2'):
        config.preset('xyzzy', gpus=1, resolution=64)


def test_config_survives_json():
    before = config.TrainingConfig(
        training_set_kwargs=dict(path='a.zip'),
        data_name='a',
        resolution=64,
        img_channels=1,
        random_resize=(48, 64),
        conv_clamp=None,
    )
    text = json.dumps(dataclasses.asdict(before), indent=2)
    assert config.from_json(config.TrainingConfig, json.loads(text)) == before
    with pytest.raises(ValueError, match=r"unknown entries \['nonsense'\].*without \['img_channels'\]"):
        values = json.loads(text)
        del values['img_channels']
        config.from_json(config.TrainingConfig, dict(values, nonsense=1))


def test_config_needs_no_torch():
    modules = 'stylegan2_mspe.config, stylegan2_mspe.options, tools.train'
    code = f'import sys, {modules}; print("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout == 'False\n'
