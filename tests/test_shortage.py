"""Running out of memory: the sentence, and grids that are drawn in smaller parts."""

import numpy as np
import pytest
import torch

from stylegan2_mspe import shortage, snapshots, training_loop, training_parts
from tests import tiny

SHORTAGE = getattr(torch, 'OutOfMemoryError', torch.cuda.OutOfMemoryError)
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.make_dataset(tmp_path_factory.mktemp('data') / 'tiny')


@pytest.mark.parametrize('error, short', [
    (SHORTAGE('whatever'), True),
    (MemoryError(), True),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), True),
    (RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.'), True),
    (RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'), True),
    (RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'), True),
    (RuntimeError('shapes do not fit'), False),
    (ValueError('out of memory'), False),
])
def test_what_counts_as_a_shortage(error, short):
    assert shortage.is_shortage(error) is short
    with pytest.raises(MemoryError if short else type(error)) as caught:
        with shortage.explained('this', 'that', CPU):
            raise error
    assert not short or str(caught.value).startswith('this did not fit in the memory of cpu (')


class Small:
    """A generator that draws `most` pictures at a time; each shows its own first latent."""

    def __init__(self, most, resolution=4):
        self.most, self.img_resolution, self.asked = most, resolution, []

    def __call__(self, z, c, noise_mode):
        self.asked.append(len(z))
        if len(z) > self.most:
            raise SHORTAGE('CUDA out of memory.')
        return z[:, :1, None, None].expand(-1, 3, 4, 4) / 127.5


def make_grid(count):
    z = torch.arange(count, dtype=torch.float32)[:, None]
    return snapshots.Grid((count, 1), np.arange(count), z, torch.zeros([count, 0]))


@pytest.mark.parametrize('most, resolution, asked', [
    (100, 4, [32, 5]),                          # never more than a few, of large pictures fewer
    (100, 256, [16, 16, 5]),
    (100, 2048, [1] * 37),
    (7, 4, [32, 16, 8] + [4] * 9 + [1]),        # fewer as soon as that is too many
])
def test_grids_are_drawn_in_parts_that_fit(most, resolution, asked):
    G = Small(most, resolution)
    drawn = snapshots.draw_pictures(make_grid(37), G, device=CPU)
    assert G.asked == asked and drawn.shape == (37, 3, 4, 4)
    assert (drawn[:, 0, 0, 0] - 128).tolist() == list(range(37))


def test_a_grid_of_which_nothing_fits():
    G = Small(0)
    with pytest.raises(MemoryError) as caught:
        snapshots.draw_pictures(make_grid(9), G, device=CPU)
    assert G.asked == [9, 4, 2, 1]
    assert '1 picture of 4x4 pixels of the grid did not fit in the memory of cpu (' in str(caught.value)
    assert str(caught.value).endswith('expected a smaller --batch-gpu, which leaves more memory free')


def fail(*args, **kwargs):
    raise SHORTAGE('CUDA out of memory. Tried to allocate 2.00 GiB.')


@pytest.mark.parametrize('changes, sentence', [
    (dict(batch_gpu=4), '--batch-gpu=4: a pass of 4 pictures of 16x16 pixels did not fit in the memory of '),
    (dict(batch_gpu=1), '--batch-gpu=1: a pass of 1 picture of 16x16 pixels did not fit in the memory of '),
])
def test_a_step_that_does_not_fit(data, tmp_path, changes, sentence):
    training = training_parts.build(tiny.config(data, **changes))
    training.loss.accumulate_gradients = fail
    with pytest.raises(MemoryError) as caught:
        training_loop.train(training, str(tmp_path), say=lambda line: None, grid=tiny.GRID)
    expected = ('; expected smaller networks by --cbase and --cmax' if changes['batch_gpu'] == 1 else
                '; expected a smaller one, such as --batch-gpu=2, which trains alike in more passes')
    assert str(caught.value).startswith(sentence) and str(caught.value).endswith(expected)
    assert (tmp_path / 'training-state-000000.pt').exists()


def test_networks_that_do_not_fit(data, monkeypatch):
    monkeypatch.setattr(training_parts, 'make_models', fail)
    with pytest.raises(MemoryError) as caught:
        training_parts.build(tiny.config(data))
    assert str(caught.value).startswith('--cbase=64 with --cmax=8: networks for 16x16 pixels did not fit in ')
