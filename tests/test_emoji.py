"""What is lost of pictures that are moved: by hand, and the command at toy size."""

import pytest
import torch
from PIL import Image

from stylegan2_mspe import legacy
from stylegan2_mspe.experiments import emoji
from tests.reproduced import make_generator, reproduced


class Painter:
    """Draws the numbered picture of a latent where the canvas says, but for a part of it another's."""
    img_resolution = 64

    def __init__(self, pictures, others):
        self.pictures, self.others = pictures, others
        self.asked = 0

    def render(self, ws, canvas=None):
        own = self.pictures[ws]
        if canvas is None:
            return own
        self.asked += 1
        rows, cols = ((axis.world(torch.arange(64) + 0.5) - 0.5).round().long()
                      for axis in (canvas.rows, canvas.cols))
        mixed = own + self.others * (self.pictures[1 - ws] - own)
        return mixed[:, :, rows[:, None] % 64, cols % 64]


@pytest.fixture
def painter(monkeypatch):
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(emoji, 'render', lambda G, *place: G.render(*place))
    monkeypatch.setattr(emoji, 'seed_ws', lambda G, seeds: torch.tensor(list(seeds)))
    return lambda others: Painter(pictures, others)


@pytest.mark.parametrize('others, lost', [(0, 0), (0.5, 0.25), (1, 1)])
@pytest.mark.parametrize('batch', [1, 32])
def test_what_is_lost_is_a_share_of_the_difference_of_two_pictures(painter, monkeypatch, others, lost, batch):
    monkeypatch.setattr(emoji, 'BATCH', batch)
    G = painter(others)
    right, down = emoji.measure({'one': G}, range(2))
    assert (right.network, right.direction, down.direction) == ('one', 'right', 'down')
    assert right.pixels == down.pixels == [4, 8, 12, 16, 20, 24, 28, 32]
    assert right.lost + down.lost == pytest.approx([lost] * 16, abs=1e-6)
    assert G.asked == 16 * (2 // min(batch, 2))


def test_pictures_that_stay_where_they_are_lose_by_how_far_they_should_have_moved(painter, monkeypatch):
    """A slope across the picture, 0 to 63 twice as steep in the second: moved by s and gone round, s of its
    columns differ by 64 - s, the rest by s."""
    slope = torch.arange(64.).expand(1, 64, 64)
    pictures = torch.stack([slope, 2 * slope])
    monkeypatch.setattr(emoji, 'render', lambda G, ws, canvas=None: pictures[ws])
    right, down = emoji.measure({'stuck': painter(0)}, range(2))
    between = sum(n ** 2 for n in range(64))
    expected = [2.5 * (s * (64 - s) ** 2 + (64 - s) * s ** 2) / between for s in right.pixels]
    assert right.lost == pytest.approx(expected) and down.lost == [0] * 8


def curves(**lost):
    return [emoji.Curve(f'emoji-{name}', direction, [4, 8, 12, 16, 20, 24, 28, 32], values)
            for name, values in lost.items() for direction in emoji.DIRECTIONS]


def test_the_claim_is_about_shifts_between_cells():
    as_claimed = curves(baseline=[.5, .5, .5, 0, .5, .5, .5, 0], mspe=[.25] * 8)
    claim, = emoji.claims(as_claimed)
    assert claim.holds and claim.found == '0.25 against 0.50 in the mean, 0.25 against 0.50 at the worst'
    claim, = emoji.claims(curves(baseline=[.5] * 8, mspe=[.25] * 6 + [.5, .25]))
    assert claim.holds is False
    claim, = emoji.claims(curves(mspe=[.25] * 8))
    assert claim.holds is None and 'emoji-baseline=FILE' in claim.found
    assert emoji.summary(as_claimed)[2] == ('| emoji-baseline, right | 0.50 | 0.50 | 0.50 | 0.00 | 0.50 | '
                                            '0.50 | 0.50 | 0.00 |')


def test_the_command(monkeypatch, tmp_path):
    networks = {'a.pkl': make_generator('none'), 'b.pkl': make_generator('mspe')}
    monkeypatch.setattr(legacy, 'load_network_pkl', lambda file: {'G_ema': networks[file]})
    output, numbers = reproduced(tmp_path, 'emoji', '--network=emoji-baseline=a.pkl',
                                 '--network=emoji-mspe=b.pkl', '--seeds=2')
    assert [curve['network'] for curve in numbers['curves']] == ['emoji-baseline'] * 2 + ['emoji-mspe'] * 2
    assert all(0 < lost < 9 for curve in numbers['curves'] for lost in curve['lost'])
    assert '| emoji-mspe, down |' in output and 'at every shift between cells' in output
    assert Image.open(tmp_path / 'emoji.png').size == (1440, 440)
    assert Image.open(tmp_path / 'emoji-samples.png').height > 8 * 64


def test_one_picture_has_no_other_to_be_compared_with(painter):
    with pytest.raises(ValueError, match='--seeds=1: expected two or more'):
        emoji.measure({'one': painter(0)}, range(1))
