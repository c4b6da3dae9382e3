"""Network files of diffusion models: there and back, and everything else refused in one sentence."""

import io
import json
import pickle

import pytest
import torch

from ddpm_mspe.diffusion import Diffusion
from ddpm_mspe.unet_file import load_unet, save_small, save_unet
from stylegan2_mspe import legacy
from stylegan2_mspe.network_file import NetworkFileError
from stylegan2_mspe.network_safetensors import load_safetensors, save_safetensors
from stylegan2_mspe.safetensors_file import read_tensors, write_tensors
from tests import drawn
from tests.tiny_unet import make_unet

KWARGS = dict(class_name='stylegan2_mspe.dataset.DemoDataset', path='demo', resolution=64)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'network.safetensors'
    save_unet(path, make_unet(pe_kwargs=dict(base=50.)), Diffusion(steps=77, variance='posterior'), KWARGS)
    return path


def test_there_and_back(path):
    net = make_unet(pe_kwargs=dict(base=50.))
    found = load_unet(path)
    assert found.diffusion == Diffusion(steps=77, variance='posterior')
    assert found.training_set_kwargs == KWARGS
    x, t = torch.randn(1, 3, 16, 16), torch.tensor([5])
    assert torch.equal(found.unet(x, t), net(x, t))
    assert not found.unet.training and not any(value.requires_grad for value in found.unet.parameters())
    assert load_unet(io.BytesIO(path.read_bytes())).unet.pe == 'mspe'


def test_a_header_as_long_as_a_pickles_first_byte(path):
    tensors, metadata = read_tensors(path.read_bytes())
    for length in range(0, 256, 8):
        write_tensors(path, tensors, {**metadata, 'more': ' ' * length})
        load_unet(path)
        if path.read_bytes()[:1] == pickle.PROTO:
            return
    pytest.fail('no such header')


def test_stored_in_half_precision(path, tmp_path):
    """Numbers that float16 holds come back as they were; others nearly; all compute in float32."""
    whole, half = load_unet(path).unet, tmp_path / 'half.safetensors'
    save_small(path, half)
    found = load_unet(half)
    assert found.diffusion == Diffusion(steps=77, variance='posterior') and found.training_set_kwargs is None
    for name, value in found.unet.state_dict().items():
        wanted = whole.state_dict()[name].half().float()
        assert value.dtype == torch.float32 and torch.equal(value, wanted), name
    stored = read_tensors(half.read_bytes())[0]
    assert all(value.dtype == torch.float16 for value in stored.values())
    save_small(half, half)
    assert read_tensors(half.read_bytes())[0].keys() == stored.keys()
    x, t = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([5])
    torch.testing.assert_close(found.unet(x, t), whole(x, t), rtol=0, atol=.02 * float(whole(x, t).std()))


def changed(path, change):
    tensors, metadata = read_tensors(path.read_bytes())
    record = json.loads(metadata['ddpm_mspe'])
    change(record, tensors)
    write_tensors(path, tensors, {'ddpm_mspe': json.dumps(record)})


@pytest.mark.parametrize('change, words', [
    (lambda record, tensors: record['unet'].update(channels='x'), 'channels'),
    (lambda record, tensors: record['unet'].update(channels=2 ** 40), '2147483648'),
    (lambda record, tensors: record['unet'].update(channels=-8), '1 to 16384'),
    (lambda record, tensors: record['unet'].update(groups=True), "groups = 'True' .*expected int"),
    (lambda record, tensors: record['unet'].update(channels=16), 'shape'),
    (lambda record, tensors: record['unet'].update(multipliers=[1] * 99), 'at most 16'),
    (lambda record, tensors: record['unet'].update(multipliers=[1, 2 ** 30, 2]), '1 to 64'),
    (lambda record, tensors: record['unet'].update(channels=2 ** 14, multipliers=[1, 64, 64]), 'shape'),
    (lambda record, tensors: record['unet'].update(blocks=[10 ** 9, 1, 1]), 'blocks'),
    (lambda record, tensors: record['unet'].update(pe='nothing'), 'nothing'),
    (lambda record, tensors: record['unet'].update(pe_kwargs=dict(bass=1)), 'bass'),
    (lambda record, tensors: record['unet'].update(colour='red'), 'another kind'),
    (lambda record, tensors: record['diffusion'].update(steps=0), 'schedule'),
    (lambda record, tensors: record['diffusion'].update(steps=1.5), 'steps'),
    (lambda record, tensors: record['diffusion'].update(more=1), 'schedule'),
    (lambda record, tensors: record.update(training_set_kwargs=dict(class_name='os.system')), 'os.system'),
    (lambda record, tensors: record.pop('unet'), 'expected a dictionary'),
    (lambda record, tensors: tensors.pop('conv_in.weight'), 'conv_in.weight'),
])
def test_a_file_that_describes_something_else(path, change, words):
    changed(path, change)
    with pytest.raises(NetworkFileError, match=words):
        load_unet(path)


def test_other_files(path, tmp_path):
    whole = path.read_bytes()
    for content in (b'', b'abc', whole[:-1], whole[:50], b'\x80\x04.', b'PK\x03\x04', b'\xff' * 100):
        with pytest.raises(NetworkFileError):
            load_unet(io.BytesIO(content))
    write_tensors(tmp_path / 'other.safetensors', {}, {})
    with pytest.raises(NetworkFileError, match='no .ddpm_mspe. among its metadata'):
        load_unet(tmp_path / 'other.safetensors')
    with pytest.raises(OSError):
        load_unet(tmp_path / 'none.safetensors')


def test_a_gan_is_no_diffusion_model_and_the_reverse(path, tmp_path):
    drawn.save(tmp_path / 'gan.pkl')
    with pytest.raises(NetworkFileError, match="pickle, as a GAN's networks are"):
        load_unet(tmp_path / 'gan.pkl')
    torch.save({}, tmp_path / 'training-state-000010.pt')
    with pytest.raises(NetworkFileError, match='a zip, as the state of a training is, expected'):
        load_unet(tmp_path / 'training-state-000010.pt')
    save_safetensors(tmp_path / 'gan.safetensors', legacy.load_network_pkl(tmp_path / 'gan.pkl'))
    with pytest.raises(NetworkFileError, match="holds a GAN's networks"):
        load_unet(tmp_path / 'gan.safetensors')
    with pytest.raises(NetworkFileError, match='sample_ddpm.py draws from a diffusion model'):
        legacy.load_network_pkl(path)
    with pytest.raises(NetworkFileError, match='holds a diffusion model'):
        load_safetensors(path)
