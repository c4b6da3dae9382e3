"""Targets of any size, shape and number of channels become what the network draws."""

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe.inversion.target import as_tensor, read_target


def save(path, *shape, value=None):
    pixels = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8) if value is None else np.full(
        shape, value, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_picture_of_the_trained_size_stays_as_it_is(tmp_path):
    pixels = save(tmp_path / 'a.png', 16, 16, 3)
    for how in ('crop', 'pad', 'as-is'):
        assert np.array_equal(read_target(tmp_path / 'a.png', how, 16, 3), pixels)
    tensor = as_tensor(pixels[None])
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor[0, 1, 2, 3].item() == pytest.approx(pixels[2, 3, 1] / 127.5 - 1)


def test_crop_and_pad(tmp_path):
    pixels = save(tmp_path / 'a.png', 16, 30, 3)
    assert np.array_equal(read_target(tmp_path / 'a.png', 'crop', 16, 3), pixels[:, 7:23])
    save(tmp_path / 'b.png', 40, 80, value=200)
    padded = read_target(tmp_path / 'b.png', 'pad', 16, 1)
    assert padded.shape == (16, 16, 1) and (padded[4:12] == 200).all()
    assert not padded[:4].any() and not padded[12:].any()
    assert read_target(tmp_path / 'b.png', 'as-is', 16, 1).shape == (40, 80, 1)


@pytest.mark.parametrize('own', [(), (3,), (4,)])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_channels_become_the_networks(own, channels, tmp_path):
    save(tmp_path / 'a.png', 20, 20, *own, value=255)
    found = read_target(tmp_path / 'a.png', 'crop', 16, channels)
    assert found.shape == (16, 16, channels) and (found == 255).all()


def test_what_is_transparent_lies_on_black(tmp_path):
    pixels = np.full([16, 16, 4], 255, np.uint8)
    pixels[:8, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    found = read_target(tmp_path / 'a.png', 'crop', 16, 3)
    assert (found[:8] == 0).all() and (found[8:] == 255).all()
    assert np.array_equal(read_target(tmp_path / 'a.png', 'crop', 16, 4)[:, :, 3], pixels[:, :, 3])


def test_bad_targets(tmp_path):
    save(tmp_path / 'dot.png', 1, 1, 3)
    with pytest.raises(ValueError, match='--target=.*dot.png: found 1x1 RGB, expected at least 4x4 pixels'):
        read_target(tmp_path / 'dot.png', 'crop', 16, 3)
    (tmp_path / 'text.png').write_text('no picture')
    with pytest.raises(ValueError, match='--target=.*text.png: found 10 bytes that do not decode'):
        read_target(tmp_path / 'text.png', 'crop', 16, 3)
    with pytest.raises(FileNotFoundError):
        read_target(tmp_path / 'none.png', 'crop', 16, 3)
    save(tmp_path / 'a.png', 16, 16, 3)
    with pytest.raises(ValueError, match='--network: found a network of 2 channels'):
        read_target(tmp_path / 'a.png', 'crop', 16, 2)
