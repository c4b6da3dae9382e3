"""Pictures: rounding, placement in grids against arrays worked out by hand, PNG modes, whole files only."""

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2_mspe import images


def test_to_uint8_is_stylegan2s_rounding():
    values = np.array([-1.5, -1, -0.999, 0, 0.0039, 1, 2, np.nan], dtype=np.float32)
    expected = [0, 0, 0, 128, 128, 255, 255, 0]  # floor(x · 127.5 + 128), clipped
    assert images.to_uint8(values).tolist() == expected
    assert images.to_uint8(torch.tensor(values)).tolist() == expected
    assert images.to_uint8(torch.tensor(values, dtype=torch.float64)).tolist() == expected


def test_to_uint8_takes_half_precision_other_ranges_and_bytes():
    assert images.to_uint8(torch.tensor([-1.0, 0.5, 1.0], dtype=torch.bfloat16)).tolist() == [0, 191, 255]
    assert images.to_uint8(np.array([0, 1, 100.4, 255]), drange=(0, 255)).tolist() == [0, 1, 100, 255]
    pixels = np.array([0, 7, 255], dtype=np.uint8)
    assert images.to_uint8(pixels) is pixels
    assert images.to_uint8(torch.tensor([[3]], dtype=torch.uint8)).tolist() == [[3]]
    assert images.to_uint8(np.zeros([0, 3, 4, 5])).shape == (0, 3, 4, 5)


def test_image_grid_places_pictures_row_by_row():
    first = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    pictures = np.stack([first + np.uint8(10 * n) for n in range(5)])
    grid = images.image_grid(pictures, grid_size=(3, 2))
    assert grid.tolist() == [[[1, 2, 3, 11, 12, 13, 21, 22, 23],
                              [4, 5, 6, 14, 15, 16, 24, 25, 26],
                              [31, 32, 33, 41, 42, 43, 0, 0, 0],
                              [34, 35, 36, 44, 45, 46, 0, 0, 0]]]
    with pytest.raises(ValueError, match='2 x 2 takes up to 4'):
        images.image_grid(pictures, grid_size=(2, 2))


@pytest.mark.parametrize('channels, mode', [(1, 'L'), (3, 'RGB'), (4, 'RGBA')])
def test_png_keeps_channels_and_orientation(tmp_path, channels, mode):
    pixels = np.random.RandomState(0).randint(0, 256, [channels, 5, 9]).astype(np.uint8)
    images.save_png(pixels, tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as picture:
        assert picture.mode == mode and picture.size == (9, 5)
        back = np.asarray(picture)
    np.testing.assert_array_equal(back if channels == 1 else back.transpose(2, 0, 1), pixels.squeeze())
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']


def test_save_image_grid_reads_the_range(tmp_path):
    batch = torch.linspace(-1, 1, 2 * 1 * 2 * 3).reshape(2, 1, 2, 3)
    images.save_image_grid(batch, tmp_path / 'grid.png', grid_size=(1, 2))
    with Image.open(tmp_path / 'grid.png') as picture:
        assert np.asarray(picture).tolist() == [[0, 23, 46], [70, 93, 116], [139, 162, 185], [209, 232, 255]]


def test_a_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    images.save_png(np.zeros([1, 2, 2], np.uint8), tmp_path / 'a.png')
    before = (tmp_path / 'a.png').read_bytes()

    def fill_the_disk(self, file, **_):
        file.write(b'half')
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(Image.Image, 'save', fill_the_disk)
    with pytest.raises(OSError, match='No space left'):
        images.save_png(np.ones([1, 2, 2], np.uint8), tmp_path / 'a.png')
    assert (tmp_path / 'a.png').read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('shape', [[2, 4, 4], [3, 4], [5, 4, 4], [3, 0, 4]])
def test_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match='1, 3 or 4 channels'):
        images.save_png(np.zeros(shape), tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())


def flat(value: float, height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.full([channels, height, width], value, dtype=np.float32)


def test_labelled_grid_enlarges_by_whole_pixels_in_the_right_places():
    rows = [[flat(-1, 64, 64), flat(1 / 3, 64, 96)], [flat(-1 / 3, 64, 64, channels=1), flat(-1, 64, 96)]]
    rows[0][0][0, 0, 0] = 1  # one red pixel, top left
    rows[0][1][1] = -1       # a colour that no label has
    sheet = np.asarray(images.labelled_grid(rows, ['seed 0', 'seed 1'], ['0', '16'], title='t')).astype(int)
    red = np.argwhere((sheet == [255, 0, 0]).all(2))
    top, left = red.min(0)
    assert (red.max(0) - red.min(0)).tolist() == [1, 1]                       # twofold: 64 → 128
    assert (sheet[top:top + 128, left + 2:left + 128] == 0).all()
    third = np.argwhere((sheet == [170, 0, 170]).all(2))
    assert third.min(0)[0] == top and third.min(0)[1] > left + 128
    assert (third.max(0) - third.min(0) + 1).tolist() == [128, 192]
    assert (sheet[top:top + 128, :left] < 100).any()                          # the label left of it
    assert (sheet[:top, left:left + 128] < 100).any()                         # the label above it


def test_labelled_grid_lays_transparency_on_paper_and_reduces_large_pictures(monkeypatch):
    clear = np.concatenate([flat(-1, 64, 64), flat(-1, 64, 64, channels=1)])
    sheet = np.asarray(images.labelled_grid([[clear]], [''], ['']))
    assert (sheet == 255).all()
    monkeypatch.setattr(images, 'MAX_GRID_PIXELS', 200 * 150)
    sheet = images.labelled_grid([[flat(-1, 200, 150)] * 2], [''], ['', ''])
    assert sheet.height < 150 and (np.asarray(sheet) == 0).all(2).sum() == 2 * 100 * 75


def test_captioned_grid_shows_every_picture():
    sheet = np.asarray(images.captioned_grid([flat(-1, 130, 100)] * 5, [f'seed {i}' for i in range(5)]))
    assert (sheet == 0).all(2).sum() == 5 * 130 * 100


def test_labels_must_fit():
    with pytest.raises(ValueError, match='1 row and 2 column labels'):
        images.labelled_grid([[flat(0, 4, 4)]], ['a'], ['b', 'c'])
    with pytest.raises(ValueError, match='2 captions'):
        images.captioned_grid([flat(0, 4, 4)], ['a', 'b'])
