"""Which diffusion model is opened when none is named."""

import pathlib

import pytest

from ddpm_mspe import default_network
from ddpm_mspe.unet_file import load_unet

BOX = default_network.BUNDLED


def test_newest_run_else_the_box_else_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(default_network, 'BUNDLED', tmp_path / 'box')
    runs = tmp_path / 'runs'
    with pytest.raises(ValueError, match='found no network-snapshot-.*runs.*expected the path of a network'):
        default_network.default_network(str(runs))
    (tmp_path / 'box').mkdir()
    (tmp_path / 'box' / default_network.ROLES['mspe']).write_bytes(b'')
    assert default_network.default_network(str(runs)) == str(tmp_path / 'box' / default_network.ROLES['mspe'])
    assert default_network.bundled_role('baseline') is None
    for run, kimg in (('00000-a', 300), ('00002-c', 100), ('00010-d', None), ('00001-b', 200)):
        (runs / run).mkdir(parents=True)
        if kimg:
            (runs / run / f'network-snapshot-{kimg:06d}.safetensors').write_bytes(b'')
    found = pathlib.Path(default_network.default_network(str(runs)))
    assert found.parts[-2:] == ('00002-c', 'network-snapshot-000100.safetensors')


@pytest.mark.parametrize('role', default_network.ROLES)
def test_what_is_in_the_box(role):
    path = default_network.bundled_role(role)
    assert path is not None
    saved = load_unet(path)
    assert saved.unet.pe == ('none' if role == 'baseline' else role)
    assert (saved.unet.img_resolution, saved.unet.img_channels) == (64, 3)
    assert saved.training_set_kwargs is None                    # no path of anyone's
    assert sum(file.stat().st_size for file in BOX.glob('*.safetensors')) <= 8e6
    assert pathlib.Path(path).name in (BOX / 'README.md').read_text(encoding='utf-8')
