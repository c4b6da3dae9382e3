"""The bundled digit classifier on real and drawn digits, and on what is none; its file; its training."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import classifier, classifier_training, digits, similarity
from stylegan2_mspe.safetensors_file import write_tensors
from tests.real_digits import real_digits


@pytest.fixture(scope='module')
def bundled():
    return classifier.load_classifier()


def drawn_digits(count, seed=0):
    """Demo digits: grey uint8 [N, 28, 28] and classes."""
    random = np.random.RandomState(seed)
    classes = np.array([digits.demo_class(index) for index in range(count)])
    return np.stack([digits.handwritten_digit(int(label), random) for label in classes]), classes


def test_real_digits(bundled):
    right, sure = classifier_training.accuracy(bundled, *real_digits(2000))
    assert right >= 0.985 and sure >= 0.90      # the first half of the test digits is the harder one


@pytest.mark.slow
def test_all_real_digits(bundled):
    right, sure = classifier_training.accuracy(bundled, *real_digits(10000))
    assert right >= 0.99 and sure >= 0.94


def test_drawn_digits_which_it_has_never_seen(bundled):
    """Digits of a font, as the demo draws them, written by nobody."""
    right, _ = classifier_training.accuracy(bundled, *drawn_digits(300))
    assert right >= 0.75


def test_what_is_no_digit_is_not_believed(bundled):
    torch.manual_seed(0)
    patches = torch.stack([torch.from_numpy(picture).float() / 255 for picture in drawn_digits(200)[0]])
    patches = torch.nn.functional.pad(patches, [2, 2, 2, 2])
    mixed = torch.cat([patches[:, :16], patches.roll(3, 0)[:, 16:]], dim=1)     # of the third next class
    blobs = torch.nn.functional.interpolate(torch.rand(100, 1, 5, 5), size=[32, 32], mode='bilinear')[:, 0]
    sure = {name: float((bundled.judge(some).confidence > 0.9).float().mean()) for name, some in dict(
        digits=patches, mixed=mixed, noise=torch.rand(100, 32, 32), blobs=blobs, black=torch.zeros(2, 32, 32),
        grey=torch.full([2, 32, 32], 0.5)).items()}
    assert sure['digits'] > 0.5 and sure['mixed'] < 0.3
    assert sure['noise'] == sure['blobs'] == sure['black'] == 0


def test_colour_and_brightness_do_not_matter(bundled):
    digit = drawn_digits(4)[0][3]
    hues = (0, 1 / 3, 2 / 3, 0.9)
    pictures = torch.from_numpy(np.stack([digits.draw_digit(digit, hue) for hue in hues])).permute(0, 3, 1, 2)
    patches = similarity.grey(pictures / 127.5 - 1)[:, :32, :32]
    logits = bundled(torch.cat([patches, patches[:1] * 0.6]))
    assert patches.amax(dim=(1, 2)).min() < 0.12 and logits.std() > 1     # blue is as dark as that
    torch.testing.assert_close(logits, logits[:1].expand(5, -1), atol=0.15, rtol=0)


def test_shapes(bundled):
    patches = torch.rand(3, 32, 32)
    assert bundled(patches).shape == (3, 10) and bundled.features(patches).shape == (3, 64)
    torch.testing.assert_close(bundled(patches[:, None]), bundled(patches))
    torch.testing.assert_close(bundled.classes(bundled.features(patches)), bundled(patches))
    judgement = bundled.judge(patches)
    assert torch.equal(judgement.classes, bundled(patches).argmax(dim=1))
    torch.testing.assert_close(judgement.confidence, bundled(patches).softmax(dim=1).amax(dim=1))
    assert bundled.judge(patches[:0]).classes.shape == (0,) and bundled(patches[:1]).shape == (1, 10)
    with pytest.raises(ValueError, match=r'\[N, 32, 32\], not \[3, 3, 32, 32\]'):
        bundled(torch.rand(3, 3, 32, 32))


def test_other_sizes_become_patches():
    ramp = torch.linspace(0, 1, 16).expand(2, 12, 16)
    patches = classifier.as_patches(ramp)
    assert patches.shape == (2, 32, 32) and (patches.diff(dim=2) >= -1e-6).all()
    assert classifier.as_patches(patches) is patches
    assert classifier.as_patches(torch.ones(1, 64, 64)).mean() == pytest.approx(1)


def test_file_is_small_and_comes_back_the_same(tmp_path, bundled):
    assert classifier.BUNDLED.stat().st_size < 1_000_000
    path = tmp_path / 'again.safetensors'
    classifier.save_classifier(path, bundled, dict(seed='0'))
    patches = torch.rand(2, 32, 32)
    assert torch.equal(classifier.load_classifier(path)(patches), bundled(patches))


def test_other_files_are_refused_in_a_sentence(tmp_path, bundled):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(b'no such thing')
    with pytest.raises(ValueError, match='x.safetensors is not a safetensors file'):
        classifier.load_classifier(path)
    state = bundled.state_dict()
    write_tensors(path, {'classes.weight': state['classes.weight'].T}, {})
    with pytest.raises(ValueError, match='x.safetensors is no digit classifier: found nothing as class'):
        classifier.load_classifier(path)
    tensors = {name: value for name, value in state.items() if not name.endswith('tracked')}
    write_tensors(path, {**tensors, 'classes.weight': tensors['classes.weight'].T}, {})
    with pytest.raises(ValueError, match=r'found \[64, 10\] as classes.weight, expected \[10, 64\]'):
        classifier.load_classifier(path)
    with pytest.raises(FileNotFoundError):
        classifier.load_classifier(tmp_path / 'none')


# ----- training ---------------------------------------------------------------------------------------------


def test_patches_are_the_upper_left_of_color_mnist_in_grey():
    pictures, _ = drawn_digits(5)
    patches = classifier_training.patches_of(pictures, seed=3)
    hues = digits.random_hues(5, np.random.RandomState(3))
    whole = digits.draw_digit(pictures[2], hues[2])
    expected = whole[:32, :32] @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(patches[2], expected, atol=1e-6)
    assert whole[32:].max() == whole[:, 32:].max() == 0


def test_spoiled_patches_and_what_is_right_for_them():
    random = torch.Generator().manual_seed(0)
    patches = torch.arange(1., 33.).reshape(32, 1, 1, 1).expand(32, 1, 32, 32) / 100
    targets = torch.nn.functional.one_hot(torch.arange(32) % 10, 10).float()
    shown, right = classifier_training.spoil(patches, targets, random)
    torch.testing.assert_close(right.sum(dim=1), torch.ones(32))
    for patch, belief in zip(shown[:4], right[:4]):         # an eighth: of the digits that are in them
        values = {round(value * 100) - 1 for value in patch.unique().tolist()}
        assert values and {value % 10 for value in values} <= set(belief.nonzero().flatten().tolist())
    assert (right[4:6] == 0.1).all() and torch.equal(shown[6:], patches[6:])
    assert torch.equal(right[6:], targets[6:]) and shown.min() >= 0 and shown.max() <= 1


def test_augmented_digits_are_moved_by_at_most_two_pixels():
    point = torch.zeros(200, 1, 32, 32)
    point[:, :, 10, 20] = 1
    moved = classifier_training.augment(point, torch.Generator().manual_seed(1))
    places = [divmod(int(patch.argmax()), 32) for patch in moved]
    offsets = np.array(places) - [10, 20]
    assert abs(offsets).max() == 2 and offsets.min() == -2
    assert moved.min() >= 0 and moved.max() <= 1


def test_training_learns_and_is_reproducible():
    pictures, classes = drawn_digits(256)
    first, again = (classifier_training.train(pictures, classes, epochs=6, batch=64, seed=2)
                    for _ in range(2))
    patches = torch.rand(2, 32, 32)
    assert torch.equal(first(patches), again(patches))
    assert classifier_training.accuracy(first, *drawn_digits(100, seed=1))[0] > 0.6    # of ten classes
