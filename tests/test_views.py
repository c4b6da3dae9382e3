"""Looking at digits on canvases: boxes, similarities and classes against pictures looked at by hand."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import classifier, rendering
from stylegan2_mspe.experiments import sheets, views
from stylegan2_mspe.experiments.standard_error import standard_error
from stylegan2_mspe.experiments.views import Box, View, look, shifted_view
from stylegan2_mspe.pe import Canvas
from stylegan2_mspe.similarity import grey
from tests.drawn import make_generator


class Brightest:
    """A judge that reads which of ten rows of a patch is the brightest, and is the surer the brighter."""

    def judge(self, patches):
        rows = patches[:, ::3][:, :10].mean(dim=2)
        return classifier.Judgement(rows.argmax(dim=1), rows.amax(dim=1))


@pytest.fixture(scope='module')
def G():
    return rendering.prepare(make_generator(), 'cpu')


def similarity_by_hand(first, second):
    return np.minimum(first, second).sum() / np.maximum(first, second).sum()


def test_every_box_of_every_view_is_looked_at(G):
    R = G.img_resolution
    wide = Canvas.identity(R).extended(0, 0, 0, R)
    half = R // 2
    shown = [View(None, [Box(0, 0, half, half)]),
             View(wide, [Box(half, R, half, half), Box(0, R + half + 3, half, half)])]
    seen = look(G, shown, range(40), Brightest())           # two batches
    assert seen.similarity.shape == seen.ink.shape == seen.classes.shape == seen.kept.shape == (3, 40)
    assert (seen.similarity[0] == 1).all() and seen.kept[0].all() and len(seen.standard.classes) == 40
    ws = rendering.seed_ws(G, [37])
    before = grey(rendering.render(G, ws))[:, :half, :half]
    picture = grey(rendering.render(G, ws, wide))
    round_the_border = torch.cat([picture[:, :half, R + half + 3:], picture[:, :half, :3]], dim=2)
    for box, patch in ((1, picture[:, half:, R:R + half]), (2, round_the_border)):
        judged = Brightest().judge(classifier.as_patches(patch))
        assert seen.similarity[box, 37] == pytest.approx(similarity_by_hand(before.numpy(), patch.numpy()),
                                                         abs=1e-5)
        assert seen.ink[box, 37] == pytest.approx(float(patch.mean()), abs=1e-5)
        assert seen.classes[box, 37] == judged.classes and seen.confidence[box, 37] == pytest.approx(
            float(judged.confidence), abs=1e-5)
        assert seen.kept[box, 37] == (
            judged.classes == Brightest().judge(classifier.as_patches(before)).classes)


def test_a_larger_box_is_reduced_to_the_digit(G):
    R = G.img_resolution
    larger = View(Canvas.identity(R).resized(2 * R, 3 * R), [Box(0, 0, R, 3 * R // 2)])
    seen = look(G, [larger], [4], Brightest())
    patch = grey(rendering.render(G, rendering.seed_ws(G, [4]), larger.canvas))[:, :R, :3 * R // 2]
    assert seen.ink[0, 0] == pytest.approx(float(patch.mean()), rel=0.02)
    flat = views.as_size(torch.full([2, 24, 36], 0.3), Box(0, 0, 8, 8))
    assert flat.shape == (2, 8, 8) and torch.allclose(flat, torch.tensor(0.3))


def test_a_shifted_view_goes_round(G):
    R = G.img_resolution
    shown = [shifted_view(R, *shift) for shift in ((0, 0), (R, 2 * R), (3, 5))]
    seen = look(G, shown, range(3), Brightest())
    assert seen.similarity[:2] == pytest.approx(1, abs=1e-3) and (seen.similarity[2] < 0.999).all()


def test_standard_errors_by_hand():
    assert standard_error(np.array([[1., 3., 5., 7.]])) == pytest.approx([np.sqrt(20 / 3) / 2])
    assert standard_error(np.array([[4.]])).tolist() == [0] and standard_error(np.array([4.])) == 0


def test_a_sheet_of_networks_seeds_and_canvases(G):
    R = G.img_resolution
    wide = lambda G: {'trained': None, 'wide': Canvas.identity(R).resized(R, 2 * R)}
    one = sheets.sheet({'a': G}, [1], wide)
    two = sheets.sheet({'a': G, 'b': G}, [1, 2], wide, 'Title')
    assert two.height > 3 * one.height and abs(two.width - one.width) < 40
