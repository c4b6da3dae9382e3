"""Safetensors: the bytes are the format's, networks come back, headers that do not fit are refused."""

import json

import pytest
import torch

from stylegan2_mspe.network_file import NetworkFileError
from stylegan2_mspe.safe_pickle import Refused
from stylegan2_mspe.network_safetensors import load_safetensors, save_safetensors
from stylegan2_mspe.safetensors_file import read_tensors, write_tensors
from tests.content import draw, judge, make_content, same


def test_the_layout_is_that_of_the_format(tmp_path):
    """Bytes worked out by hand from the format's description."""
    tensors = dict(b=torch.tensor([[1.0, -2.0]]), a=torch.tensor(3), none=torch.zeros(0, 3))
    write_tensors(tmp_path / 'a.safetensors', tensors, dict(format='pt'))
    data = (tmp_path / 'a.safetensors').read_bytes()
    size = int.from_bytes(data[:8], 'little')
    assert json.loads(data[8:8 + size]) == {
        '__metadata__': {'format': 'pt'}, 'b': {'dtype': 'F32', 'shape': [1, 2], 'data_offsets': [0, 8]},
        'a': {'dtype': 'I64', 'shape': [], 'data_offsets': [8, 16]},
        'none': {'dtype': 'F32', 'shape': [0, 3], 'data_offsets': [16, 16]}}
    assert size % 8 == 0 and data[8 + size:] == b'\0\0\x80\x3f\0\0\0\xc0' + b'\3' + b'\0' * 7
    found, metadata = read_tensors(data)
    assert metadata == dict(format='pt') and found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_every_type_of_number_comes_back(tmp_path, dtype):
    value = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 7.0]]).to(dtype).t()
    write_tensors(tmp_path / 'a', dict(x=value), {})
    found = read_tensors((tmp_path / 'a').read_bytes())[0]['x']
    assert found.dtype == dtype and torch.equal(found, value)


@pytest.mark.parametrize('options', [dict(pe='mspe'), dict(pe='sspe', c_dim=4), dict(num_fp16_res=2)])
def test_networks_come_back_from_safetensors(tmp_path, options):
    content = make_content(**options)
    kwargs = dict(class_name='training.dataset.ImageFolderDataset', path='x.zip', max_size=7)
    content['training_set_kwargs'] = kwargs
    save_safetensors(tmp_path / 'a.safetensors', content)
    found = load_safetensors(tmp_path / 'a.safetensors')
    same(draw(found['G_ema']), draw(content['G_ema']))
    same(judge(found['D']), judge(content['D']))
    assert found['G_ema'].init_kwargs == content['G_ema'].init_kwargs and found['augment_pipe'] is None
    assert found['training_set_kwargs'] == kwargs


def safetensors(header, numbers=b'\0' * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + numbers


def entry(begin, end, shape=(2,), dtype='F32'):
    return dict(dtype=dtype, shape=list(shape), data_offsets=[begin, end])


@pytest.mark.parametrize('data, asked', [
    (b'', 'a header of 0 bytes in a file of 0'),
    (b'\xff' * 8 + b'{}', 'a header of 18446744073709551615 bytes'),
    (safetensors(b'{"a": '), 'not JSON'),
    (safetensors(b'[' * 100_000), 'not JSON'),
    (safetensors('{}'.encode('utf-16')), 'not JSON'), (safetensors([1]), 'a list'),
    (safetensors(dict(a=5)), 'expected plain numbers'),
    (safetensors(dict(a=entry(0, 8, dtype='F32x'))), 'F32x'),
    (safetensors(dict(a=entry(0, 8, shape=[-2]))), 'expected plain numbers'),
    (safetensors(dict(a=entry(0, 8, shape=[2.0]))), 'expected plain numbers'),
    (safetensors(dict(a=entry(0, 2 ** 42, shape=[2 ** 40]))), 'at bytes 0 to 4398046511104 of 8'),
    (safetensors(dict(a=entry(0, 8, shape=[2 ** 40, 2 ** 40]))), 'at bytes 0 to 8'),
    (safetensors(dict(a=entry(0, 8), b=entry(0, 8))), "'b' at bytes 0 to 8 of 8, expected 8"),  # overlapping
    (safetensors(dict(a=entry(4, 8, [1]))), 'expected 0 to 4'),
    (safetensors(dict(a=entry(0, 4, [1]))), '8 bytes of numbers'),
    (safetensors(dict(a=entry(8, 0))), 'expected 0'),
    (safetensors({'a': entry(0, 8), '__metadata__': 5}), 'metadata'),
])
def test_headers_that_do_not_fit_are_refused(data, asked):
    with pytest.raises(Refused, match=asked):
        read_tensors(data)


@pytest.mark.parametrize('change, asked', [
    (lambda record: record['networks']['G_ema'].update(class_name='os.system'), r'os\.system'),
    (lambda record: record['networks']['G_ema']['kwargs'].update(z_dim=2 ** 40), '1099511627776'),
    (lambda record: record.update(training_set_kwargs=dict(class_name='os.system')), r'os\.system'),
    (lambda record: record['networks'].update(D='G_ema'), 'a Generator as D'),
    (lambda record: record['networks'].update(D='none'), 'none'),
    (lambda record: record['networks'].pop('G_ema'), 'holds no G_ema|damaged'),
    (lambda record: record.pop('networks'), 'networks'),
])
def test_hostile_metadata_is_refused(tmp_path, change, asked):
    content = make_content()
    save_safetensors(tmp_path / 'a', content)
    tensors, metadata = read_tensors((tmp_path / 'a').read_bytes())
    record = json.loads(metadata['stylegan2_mspe'])
    change(record)
    write_tensors(tmp_path / 'b', tensors, dict(stylegan2_mspe=json.dumps(record)))
    with pytest.raises(NetworkFileError, match=asked) as caught:
        load_safetensors(tmp_path / 'b')
    assert '\n' not in str(caught.value)


def test_safetensors_of_others_are_named(tmp_path):
    write_tensors(tmp_path / 'a', dict(x=torch.zeros(3)), dict(format='pt'))
    with pytest.raises(NetworkFileError, match='to say what networks'):
        load_safetensors(tmp_path / 'a')
