"""Pictures that a network drew at a known latent and place are recovered from the default start."""

import dataclasses

import pytest
import torch

from stylegan2_mspe.inversion import inverting, latents, losses, noise
from stylegan2_mspe.inversion.inverting import Wish
from stylegan2_mspe.inversion.projection import RECIPES, Diverged, Projection, Recipe, draw, sample_bytes
from tests.inversion.small import make_discriminator, make_generator, place_at, psnr

SHORT = Recipe(steps=300, samples=1000)


@pytest.fixture(scope='module')
def G():
    return make_generator()


@pytest.fixture(scope='module')
def known(G):
    return latents.statistics(G, 1000)


def known_ws(G, known, count, layers=1, seed=2):
    """ws [N, num_ws, w_dim] as networks that are somewhat truncated draw them."""
    z = torch.randn(count * layers, 8, generator=torch.Generator().manual_seed(seed))
    w = known.mean.lerp(G.mapping(z, None)[:, 0], 0.7).view(count, layers, -1)
    return w.expand(-1, G.num_ws, -1) if layers == 1 else w


def project(G, targets, place, wish, loss='disc', **how):
    loss = losses.make_loss(loss, targets, make_discriminator(targets.shape[1]))
    projection = inverting.begin(G, targets, loss, place, wish, **how)
    for _ in range(wish.recipe.steps):
        projection.step()
    found = draw(G, projection.best.ws, projection.best.place, maps=projection.best.maps, fixed=True)
    return projection.best, psnr(found, targets)


@pytest.mark.parametrize('loss, space', [('disc', 'w'), ('disc', 'w+'), ('disc', 'z'), ('pixel', 'w'),
                                         ('pyramid', 'w')])
def test_a_picture_of_the_network_is_recovered(G, known, loss, space):
    place = place_at(G, (0, 0), (0, 0))
    targets = draw(G, known_ws(G, known, 2), place, fixed=True)
    best, quality = project(G, targets, place, Wish(space=space, recipe=SHORT), loss)
    assert (quality > 35).all(), quality
    same = (best.ws - best.ws[:, :1]).abs().max()
    assert same > 1e-3 if space == 'w+' else same == 0


def test_latents_to_start_from_have_no_place_in_z(G):
    with pytest.raises(ValueError, match='--init: found --space=z, expected w or w.: what'):
        inverting.begin(G, torch.zeros(1, 3, 16, 16), lambda pictures: None, place_at(G, (0, 0)),
                        Wish(space='z'), init=torch.zeros(1, G.num_ws, 8))


def test_a_picture_seen_elsewhere_and_zoomed_is_recovered_there_only(G, known):
    place = place_at(G, (3.5, -6.0), zoom=1.5, size=(20, 12), wraps=(False, True))
    targets = draw(G, known_ws(G, known, 1), place, fixed=True)
    _, quality = project(G, targets, place, Wish(recipe=SHORT))
    assert quality > 35
    brief = Wish(recipe=dataclasses.replace(SHORT, steps=100))
    _, elsewhere = project(G, targets, place_at(G, (0, 0), size=(20, 12)), brief)
    assert elsewhere < quality - 10


def test_the_shift_is_found(G, known):
    places = place_at(G, (3.3, 5.7), (12.2, 1.4))
    targets = draw(G, known_ws(G, known, 2, seed=1), places, fixed=True)
    wish = Wish(find=('shift',), recipe=dataclasses.replace(SHORT, steps=100))
    best, quality = project(G, targets, place_at(G, (0, 0), (0, 0)), wish)
    error = (best.place.shift - places.shift + 8).remainder(16) - 8
    assert error.abs().max() < 0.25 and (quality > 35).all()
    assert (best.place.zoom == 1).all()


def test_shift_and_zoom_are_found_on_a_canvas_that_does_not_wrap(G, known):
    place = place_at(G, (2.2, 1.4), zoom=1.6, size=(16, 20), wraps=(False, False))
    targets = draw(G, known_ws(G, known, 1), place, fixed=True)
    start = place_at(G, (0, 0), size=(16, 20), wraps=(False, False))
    wish = Wish(find=('shift', 'zoom'), recipe=dataclasses.replace(SHORT, steps=150))
    best, quality = project(G, targets, start, wish)
    assert (best.place.shift - place.shift).abs().max() < 0.25 and abs(best.place.zoom - 1.6) < 0.05
    assert quality > 35


def test_noise_maps_are_found_with_the_latent(known):
    G = make_generator()
    with torch.no_grad():
        for layer in noise.noise_layers(G.synthesis).values():
            layer.noise_strength.mul_(5)
    place = place_at(G, (0, 0), (0, 0))
    ws, maps = known_ws(G, known, 2), noise.random_maps(G.synthesis, place.levels(), 2, seed=9)
    targets = draw(G, ws, place, maps=maps).detach()
    recipe = dataclasses.replace(SHORT, steps=100, noise_weight=0.01)
    _, without = project(G, targets, place, Wish(recipe=recipe))
    best, quality = project(G, targets, place, Wish(optimize_noise=True, recipe=recipe))
    assert (quality > without + 3).all(), (quality, without)
    for map in best.maps.values():
        torch.testing.assert_close(map.square().mean(dim=(1, 2, 3)), torch.ones(2))
        assert map.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    strict = dataclasses.replace(recipe, noise_weight=1e3)
    firm, _ = project(G, targets, place, Wish(optimize_noise=True, recipe=strict))
    assert (noise.penalty(firm.maps) < 0.5 * noise.penalty(best.maps)).all()


def test_several_starts_and_a_file_begin_nearer(G, known, monkeypatch):
    place = place_at(G, (0, 0), (0, 0))
    ws = known_ws(G, known, 2)
    targets = draw(G, ws, place, fixed=True)
    loss = losses.make_loss('pixel', targets)
    first = lambda wish, **how: inverting.begin(G, targets, loss, place, wish, **how).best.ws
    recipe = dataclasses.replace(SHORT, samples=200)
    distance = lambda ws: loss(draw(G, ws, place, fixed=True))
    assert (distance(first(Wish(num_starts=100, recipe=recipe))) < distance(first(Wish(recipe=recipe)))).all()
    tried = []
    monkeypatch.setattr(inverting, 'best_samples', lambda G, w, *_: tried.append(len(w)) or [0, 1])
    for count in (1, 2, 100):
        first(Wish(space='z', num_starts=count, recipe=recipe))
    assert tried == [inverting.Z_STARTS, 2, 100]
    torch.testing.assert_close(first(Wish(space='w+', recipe=recipe), init=ws), ws)
    torch.testing.assert_close(first(Wish(recipe=recipe), init=ws[:1]), ws[:1].expand(2, -1, -1))


def test_a_seed_repeats_and_another_does_not(G, known):
    place = place_at(G, (0, 0))
    targets = draw(G, known_ws(G, known, 1), place, fixed=True)
    wish = Wish(optimize_noise=True, recipe=Recipe(steps=5, samples=100))
    ws = [project(G, targets, place, dataclasses.replace(wish, seed=seed))[0].ws for seed in (1, 1, 2)]
    assert torch.equal(ws[0], ws[1]) and not torch.equal(ws[0], ws[2])


def test_conditional_and_grey_networks(known):
    G = make_generator(img_channels=1, c_dim=3)
    labels = torch.eye(3)[1:2]
    place = place_at(G, (0, 0))
    ws = G.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), labels)
    targets = draw(G, ws, place, fixed=True)
    for space in ('w', 'z'):
        wish = Wish(space=space, recipe=Recipe(steps=3, samples=100))
        best, _ = project(G, targets, place, wish, labels=labels)
        assert best.loss.isfinite().all()
    z = latents.start_from_z(torch.ones(1, 8), labels)
    torch.testing.assert_close(z.ws(G), G.mapping(torch.ones(1, 8), labels))


def test_what_is_best_drew_the_lowest_loss(G, known):
    place = place_at(G, (0, 0), (0, 0))
    targets = draw(G, known_ws(G, known, 2), place, fixed=True)
    loss = losses.make_loss('pixel', targets)
    projection = Projection(G, loss, latents.start_from_w(G, 'w', known.mean.expand(2, -1)), place,
                            recipe=Recipe(steps=30), deviation=known.std)
    history = torch.stack([projection.step() for _ in range(30)])
    assert torch.equal(projection.best.loss, history.min(dim=0).values)
    torch.testing.assert_close(loss(draw(G, projection.best.ws, place, fixed=True)), projection.best.loss)


def test_a_loss_that_is_not_finite_ends_it_and_keeps_the_best(G, known):
    place, calls = place_at(G, (0, 0)), []

    def loss(pictures):
        calls.append(pictures)
        return pictures.square().mean(dim=(1, 2, 3)) * (float('nan') if len(calls) == 4 else 1)

    projection = Projection(G, loss, latents.start_from_w(G, 'w', known.mean), place, recipe=Recipe(steps=10))
    for _ in range(3):
        projection.step()
    before = projection.best.ws.clone()
    with pytest.raises(Diverged, match='not a finite number at step 4 of 10'):
        projection.step()
    assert torch.equal(projection.best.ws, before) and before.isfinite().all()


def test_the_rates_and_the_noise_of_stylegan2(G, known):
    """Of 1000 steps: up over the first 50, down along a cosine over the last 250; noise until step 750."""
    projection = Projection(G, None, latents.start_from_w(G, 'w', known.mean), place_at(G, (0, 0)),
                            recipe=RECIPES['paper'], deviation=2.0)
    found = {}
    for projection.count in (0, 25, 50, 375, 750, 875, 1000):
        found[projection.count] = (round(projection.ramp(), 6), round(projection.jitter(), 6))
    assert found == {0: (0, 0.1), 25: (0.5, round(0.1 * (29 / 30) ** 2, 6)),
                     50: (1, round(0.1 * (14 / 15) ** 2, 6)), 375: (1, 0.025), 750: (1, 0), 875: (0.5, 0),
                     1000: (0, 0)}
    recipe = RECIPES['paper']
    assert (recipe.steps, recipe.lr, recipe.noise_weight) == (1000, 0.1, 1e3)
    assert RECIPES['stylegan2'].noise_weight == 1e5


def test_deviation_is_of_whole_latents(G, known):
    distances = (known.w - known.mean).square().sum(dim=1)
    assert known.std == pytest.approx(float(distances.mean().sqrt()), rel=1e-5)
    torch.testing.assert_close(known.w, G.mapping(known.z, None)[:, 0])


def test_what_a_loss_keeps_counts_and_the_weights_it_sees_with_do_not(G):
    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3 * 16 * 24, 4096), requires_grad=False)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return (pictures.flatten(1) @ self.weight).square()

    network, place = Wide(), place_at(G, (0, 0), (3, 1), size=(16, 24))
    bare = sample_bytes(G, place)
    for seeing in (network, torch.jit.script(network)):
        for _ in range(3):      # what TorchScript keeps settles
            assert sample_bytes(G, place, seeing, seeing) - bare == 4096 * 4    # what is squared
