"""The leak as a picture: colours of values, one map a level, cells of the right size."""

import numpy as np
import torch

from stylegan2_mspe.leak import Leak
from stylegan2_mspe.leak_picture import COLOURS, heat, leak_picture


def test_colours_go_evenly_from_nothing_to_most():
    shown = heat(np.array([[0, 0.5, 1.0], [2.0, 4.0, 8.0]]), 4)
    assert shown.shape == (3, 2, 3)
    assert tuple(shown[:, 0, 0]) == COLOURS[0] and tuple(shown[:, 0, 2]) == COLOURS[1]
    assert tuple(shown[:, 1, 0]) == COLOURS[2]
    assert tuple(shown[:, 1, 1]) == tuple(shown[:, 1, 2]) == COLOURS[-1]
    assert tuple(shown[:, 0, 1]) == tuple(np.round(np.add(COLOURS[0], COLOURS[1]) / 2))
    assert (np.diff(heat(np.linspace(0, 1, 50)[None], 1).astype(int).sum(0)[0]) > 0).all()     # ever lighter


def test_every_level_has_its_map_in_cells_of_its_size():
    coarse = torch.zeros(2, 3)
    coarse[1, 2] = 1
    fine, picture = torch.full([4, 6], 0.5), torch.full([3, 6], 0.25)       # a canvas of 3 x 6 pixels
    sheet = np.asarray(leak_picture(Leak({2: coarse, 4: fine}, picture)))
    black, most, half, quarter = (np.flatnonzero((sheet == np.array(colour)).all(2).any(0))
                                  for colour in (COLOURS[0], COLOURS[4], COLOURS[2], COLOURS[1]))
    scale = 43                              # of three rows to about 128 pixels
    assert len(half) == len(quarter) == 6 * scale and black.min() < most.min() < half.min() < quarter.min()
    assert len(most) == 2 * scale and most.max() - black.min() == 6 * scale - 1
