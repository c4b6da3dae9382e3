"""How dataset_tool changes pictures: channels, backgrounds, tall crops; what it leaves out."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan2_mspe.dataset_writing import convert
from stylegan2_mspe.dataset import ImageFolderDataset
from stylegan2_mspe.fit import Fit, parse_colour
from stylegan2_mspe.sources import Item, Source, open_source


def random_pixels(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape, np.uint8)


def over(pixels, colour):
    """RGBA over a colour, in float64: the definition."""
    opacity = pixels[:, :, 3:] / 255
    return pixels[:, :, :3] * opacity + np.array(colour) * (1 - opacity)


# ----- channels and backgrounds -----------------------------------------------------------------------------


@pytest.mark.parametrize('colour', [(255, 255, 255), (10, 200, 30)])
def test_background_is_behind_what_is_transparent(colour):
    pixels = random_pixels(9, 5, 4)
    pixels[0, 0, 3], pixels[0, 1, 3] = 0, 255
    found = Fit(background=colour).apply(pixels)
    assert found.shape == (9, 5, 3) and np.abs(found - over(pixels, colour)).max() <= 1
    assert tuple(found[0, 0]) == colour and (found[0, 1] == pixels[0, 1, :3]).all()
    for channels in (1, 3):
        opaque = random_pixels(9, 5, channels)
        np.testing.assert_array_equal(Fit(background=colour).apply(opaque), opaque)


@pytest.mark.parametrize('have', [1, 3, 4])
@pytest.mark.parametrize('want', [1, 3, 4])
def test_every_number_of_channels_to_every_other(have, want):
    pixels = random_pixels(6, 7, have)
    found = Fit(channels=want).apply(pixels)
    assert found.shape == (6, 7, want)
    seen = over(pixels, (0, 0, 0)) if have == 4 and want < 4 else pixels[:, :, :3].astype(float)
    if want == 1 and have != 1:
        seen = seen @ [[0.299], [0.587], [0.114]]       # ITU-R 601
    assert np.abs(found[:, :, :3] - seen).max() <= 1
    if want == 4:
        np.testing.assert_array_equal(found[:, :, 3:], pixels[:, :, 3:] if have == 4 else 255)


def test_background_serves_grey_too():
    pixels = np.zeros([4, 4, 4], np.uint8)
    assert (Fit(channels=1, background=(255, 255, 255)).apply(pixels) == 255).all()
    assert (Fit(channels=1).apply(pixels) == 0).all()
    with pytest.raises(ValueError, match='--background: found a colour, expected none with --force'):
        Fit(channels=4, background=(1, 2, 3))


def test_what_is_invisible_does_not_bleed_into_the_rest():
    pixels = np.zeros([8, 8, 4], np.uint8)
    pixels[:, :4] = 255, 255, 255, 255      # opaque white beside invisible red
    pixels[:, 4:] = 255, 0, 0, 0
    for fit in (Fit(width=2, height=2), Fit(width=2, height=2, background=(255, 255, 255))):
        small = fit.apply(pixels)
        assert (small[:, 0, :3] >= 250).all() and (fit.background is None or (small >= 250).all())


@pytest.mark.parametrize('text, colour', [('white', (255, 255, 255)), ('#0f0', (0, 255, 0)),
                                          ('1, 2,255', (1, 2, 255)), ('#0a0B0c', (10, 11, 12))])
def test_colours(text, colour):
    assert parse_colour(text) == colour


@pytest.mark.parametrize('text', ['', 'whitish', '1,2', '1,2,256', '#12', '#11223344', '1,2,3,4', '-1,0,0'])
def test_no_colours(text):
    with pytest.raises(ValueError, match='expected a colour such as white, #ffffff or 255,255,255'):
        parse_colour(text)


# ----- tall crops -------------------------------------------------------------------------------------------


def test_center_crop_tall_stands_between_black_bars():
    wide = random_pixels(8, 20, 3)
    square = Fit(transform='center-crop-tall', width=4, height=8).apply(wide)
    assert square.shape == (8, 8, 3) and not square[:, :2].any() and not square[:, 6:].any()
    np.testing.assert_array_equal(square[:, 2:6], wide[:, 8:12])
    narrow = random_pixels(30, 4, 1)
    square = Fit(transform='center-crop-tall', width=4, height=8).apply(narrow)
    np.testing.assert_array_equal(square[:, 2:6], narrow[11:19])
    with pytest.raises(ValueError, match='--width: found 8, expected at most the height of 4'):
        Fit(transform='center-crop-tall', width=8, height=4)


def test_bars_of_transparent_pictures_are_transparent():
    square = Fit(transform='center-crop-tall', width=4, height=8).apply(np.full([8, 4, 4], 255, np.uint8))
    assert not square[:, :2].any() and (square[:, 2:6] == 255).all()


# ----- what is left out -------------------------------------------------------------------------------------


def mixed_folder(folder, count=70):
    """Pictures 00.png ... of 8x8 RGB, class 3, but for four that are damaged, wide, grey and large."""
    folder.mkdir()
    for n in range(count):
        shape = {20: (8, 4, 3), 66: (8, 8), 67: (16, 16, 3)}.get(n, (8, 8, 3))
        Image.fromarray(random_pixels(*shape, seed=n)).save(folder / f'{n:02d}.png')
    (folder / '10.png').write_bytes(b'no picture')
    labels = [[f'{n:02d}.png', 3] for n in range(count)]
    (folder / 'dataset.json').write_text(json.dumps({'labels': labels}))
    return str(folder)


@pytest.mark.parametrize('workers', [1, 2])
def test_bad_pictures_are_named_and_left_out(tmp_path, workers):
    source = open_source(mixed_folder(tmp_path / 'in'))
    skipped = []
    count = convert(source, str(tmp_path / 'out.zip'), workers=workers, skip=skipped.append)
    assert count == 66 and [sentence[:6] for sentence in skipped] == ['10.png', '20.png', '66.png', '67.png']
    assert 'do not decode' in skipped[0] and '8x4 RGB, expected a square' in skipped[1]
    assert '8x8 grey, expected 8x8 RGB as the first (use --force-channels)' in skipped[2]
    assert skipped[3].endswith('16x16 RGB, expected 8x8 RGB as the first')
    dataset = ImageFolderDataset(str(tmp_path / 'out.zip'), use_labels=True)
    good = [n for n in range(70) if n not in (10, 20, 66, 67)]
    assert len(dataset) == 66 and dataset.label_dim == 4     # numbered without gaps, labels beside
    for index in (9, 10, 19, 65):
        np.testing.assert_array_equal(dataset[index][0].transpose(1, 2, 0),
                                      random_pixels(8, 8, 3, seed=good[index]))


def test_entries_that_cannot_be_read_are_left_out_too(tmp_path):
    convert(Source(3, lambda: iter([Item('x', random_pixels(8, 8, 3, seed=n), None) for n in range(3)])),
            str(tmp_path / 'a.zip'))
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    data[data.index(b'IDAT') + 40] ^= 255                   # of the first picture
    (tmp_path / 'a.zip').write_bytes(data)
    with pytest.raises(ValueError, match='img00000000.png in .*damaged entry'):
        convert(open_source(str(tmp_path / 'a.zip')), str(tmp_path / 'b.zip'))
    skipped = []
    assert convert(open_source(str(tmp_path / 'a.zip')), str(tmp_path / 'b.zip'), skip=skipped.append) == 2
    assert len(skipped) == 1 and 'img00000000.png in ' in skipped[0]
    with zipfile.ZipFile(tmp_path / 'b.zip') as archive:
        first = Image.open(io.BytesIO(archive.read('00000/img00000000.png')))
    np.testing.assert_array_equal(np.asarray(first), random_pixels(8, 8, 3, seed=1))


def test_nothing_good_is_an_error(tmp_path):
    source = Source(2, lambda: iter([Item('x', b'bad', None)] * 2))
    with pytest.raises(ValueError, match='--skip-bad: found nothing good among 2 pictures'):
        convert(source, str(tmp_path / 'out.zip'), skip=lambda sentence: None)
    assert not list(tmp_path.iterdir())
