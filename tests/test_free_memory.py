"""What is free on a device: what the system has, and what this process would take again."""

import pytest
import torch

from stylegan2_mspe import free_memory


def test_what_torch_keeps_of_a_gpu_for_its_next_tensors_is_free(monkeypatch):
    """Of 80 bytes 30 are another program's, 40 are torch's, of which tensors have 15."""
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (10, 80))
    monkeypatch.setattr(torch.cuda, 'memory_reserved', lambda device: 40)
    monkeypatch.setattr(torch.cuda, 'memory_allocated', lambda device: 15)
    assert free_memory.free('cuda') == 10 + 25
    assert free_memory.batch_that_fits(5, 'cuda', 'a picture', 16) == 4        # 35 * 0.7 / 5
    with pytest.raises(ValueError, match='a picture takes about'):
        free_memory.batch_that_fits(25, 'cuda', 'a picture', 16)


def test_a_cpu_has_some():
    assert 0 < free_memory.free('cpu') < 2 ** 50
