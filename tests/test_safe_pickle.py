"""Pickles that want something else than networks: nothing in them is executed, and nothing large is made."""

import builtins
import collections
import io
import os
import pickle
import subprocess
import time

import pytest
import torch

from stylegan2_mspe.legacy import NetworkFileError, load_network_pkl
from tests.foreign_module import Foreign, read
from tests.small_networks import make_generator


@pytest.fixture(scope='module')
def generator():
    return make_generator()


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def nested_pickle():
    """Tensor data that are a pickle of another kind."""
    return Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(os.system, 'true')))


@pytest.mark.parametrize('content, asked', [
    (lambda: Calls(os.system, 'touch {}'), r'(posix|nt)\.system'),
    (lambda: dict(G_ema=Calls(eval, 'open({!r}, "w")')), r'builtins\.eval'),
    (lambda: dict(G_ema=Calls(exec, 'open({!r}, "w")')), r'builtins\.exec'),
    (lambda: dict(G_ema=Calls(getattr, os, 'system')), r'builtins\.getattr|module'),
    (lambda: dict(G_ema=Calls(builtins.open, '{}', 'w')), r'(_?io)\.open'),
    (lambda: dict(G_ema=None, x=Calls(subprocess.Popen, ['touch', '{}'])), r'subprocess\.Popen'),
    (lambda: dict(G_ema=None, x=Calls(torch.load, '{}')), r'torch\.serialization\.load'),
    (lambda: dict(G_ema=nested_pickle()), 'tensor data'),
])
def test_code_is_refused_by_name_and_not_run(tmp_path, content, asked):
    marker = tmp_path / 'executed'
    try:
        data = pickle.dumps(content())
    except TypeError:                           # a module does not pickle: say it by hand
        data = b'\x80\x02c__builtin__\ngetattr\n(cos\nsystem\nS"x"\ntR.'.replace(b'__builtin__', b'builtins')
    data = data.replace(b'{}', str(marker).encode()[:2])
    with pytest.raises(NetworkFileError, match=asked) as caught:
        load_network_pkl(io.BytesIO(data))
    assert '\n' not in str(caught.value) and not marker.exists() and not list(tmp_path.iterdir())


@pytest.mark.parametrize('data, asked', [
    (b'\x80\x02cos\nsystem\n(S"true"\ntR.', r'os\.system'),
    (b'\x80\x02(S"true"\nios\nsystem\n.', 'instruction'),                    # INST
    (b'\x80\x04\x8c\x02os\x8c\x06system\x93.', r'os\.system'),              # STACK_GLOBAL
    (b'\x80\x02\x82\x01.', 'instruction'),                                   # EXT1
    (b'\x80\x02X\x01\x00\x00\x00aQ.', 'persistent id'),
    (b'\x80\x02Pname\n.', 'persistent id'),
    (b'\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.', 'calls a str'),
    (b'\x80\x02ccollections\nOrderedDict\n]]()Nea\x85R.', 'has a tuple as a key'),
    (b'\x80\x02}))s.', 'has a tuple as a key'),
    (b'\x80\x02]}b.', 'sets attributes of a list'),
    (b'\x80\x02]K\x00K\x00s.', 'sets items of a list'),
])
def test_hand_made_programs_are_refused(data, asked):
    with pytest.raises(NetworkFileError, match=asked):
        load_network_pkl(io.BytesIO(data))


@pytest.mark.parametrize('changes, asked', [
    (dict(class_name='os.system'), r"the class 'os\.system'"),
    (dict(class_name='Trainer'), "the class 'Trainer'"),
    (dict(type='function'), 'unknown form'),
    (dict(state=dict(_init_kwargs=dict(z_dim=8, hidden=5))), 'hidden'),
    (dict(state=dict(_init_kwargs=dict(z_dim=2 ** 40))), '1099511627776'),
    (dict(state=dict(_init_kwargs=dict(z_dim='8'))), "z_dim = '8'.*expected int"),
    (dict(state=dict(_init_kwargs=dict(synthesis_kwargs=dict(conv_clamp=[1])))), 'conv_clamp.*float or None'),
    (dict(state=dict(_init_kwargs=dict(synthesis_kwargs=dict(kernel_size=2)))), 'odd number'),
    (dict(class_name='SynthesisInput'), "'SynthesisInput', which is not a network of StyleGAN2-ADA"),
    (dict(state=dict(_init_args=(torch.zeros(3),))), 'Tensor among its arguments'),
    (dict(state=dict(_parameters=dict(extra=torch.zeros(3)))), r'unknown parameter G_ema\.extra'),
    (dict(state=dict(_modules={})), r'lacks parameter G_ema\.'),
])
def test_networks_of_another_kind_are_refused(generator, changes, asked):
    with pytest.raises(NetworkFileError, match=asked):
        read(dict(G_ema=Foreign(generator, **changes)))


def test_shapes_have_to_agree(generator):
    kwargs = dict(generator.init_kwargs, w_dim=9)
    with pytest.raises(NetworkFileError, match=r'G_ema\.\S+ of shape \[8.*\], expected \['):
        read(dict(G_ema=Foreign(generator, state=dict(_init_kwargs=kwargs))))


@pytest.mark.parametrize('kwargs', [
    dict(z_dim=2 ** 30, w_dim=2 ** 30),                             # 2^60 numbers
    dict(mapping_kwargs=dict(num_layers=10 ** 8)),
    dict(mapping_kwargs=dict(num_layers=-1)),
    dict(mapping_kwargs=dict(num_layers=0)),
    dict(mapping_kwargs=dict(num_layers=True)),
    dict(img_resolution=2 ** 31),
    dict(synthesis_kwargs=dict(channel_base=2 ** 31, channel_max=2 ** 31)),
    dict(synthesis_kwargs=dict(activation='os.system')),
    dict(synthesis_kwargs=dict(resample_filter='os.system')),
    dict(synthesis_kwargs=dict(pe='os.system')),
    dict(synthesis_kwargs=dict(channel_base=64, channel_max=8, pe='mspe', pe_kwargs=dict(os='system'))),
    dict(synthesis_kwargs=dict(channel_base=64, channel_max=8, pe='mspe', pe_kwargs=dict(base=[1]))),
])
def test_hostile_arguments_end_in_a_sentence_and_quickly(generator, kwargs):
    start = time.monotonic()
    with pytest.raises(NetworkFileError):
        read(dict(G_ema=Foreign(generator, state=dict(_init_kwargs=dict(generator.init_kwargs, **kwargs)))))
    assert time.monotonic() - start < 5


def bomb(depth, width=2):
    value = []
    for _ in range(depth):
        value = [value] * width
    return value


@pytest.mark.parametrize('value', [bomb(60), bomb(300, 1), {'a': bomb(40)}, [0] * 200_000])
def test_bombs_among_the_arguments_end_in_a_sentence(generator, value):
    with pytest.raises(NetworkFileError, match='without end'):
        kwargs = dict(generator.init_kwargs, mapping_kwargs=value)
        read(dict(G_ema=Foreign(generator, state=dict(_init_kwargs=kwargs))))


def test_deep_and_wide_programs_end_in_a_sentence():
    deep = b'\x80\x02' + b']' * 200_000 + b'a' * 199_999 + b'.'                 # a list in a list in a list …
    tuples = b'\x80\x02)' + b'\x85' * 200_000 + b'q\x00}h\x000s.'
    key = b'\x80\x02})' + b'2\x86' * 100 + b'Ns.'                               # hashing it takes 2^100 steps
    for data in (deep, tuples, key):
        with pytest.raises(NetworkFileError):
            load_network_pkl(io.BytesIO(data))


def storage_bytes(count, dtype=torch.float32):
    buffer = io.BytesIO()
    torch.save(torch.zeros(count, dtype=dtype).storage(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.mark.parametrize('offset, size, stride', [
    (0, (2 ** 42,), (1,)), (0, (2 ** 42,), (0,)), (0, (5,), (1,)), (2, (3,), (1,)), (0, (2, 2), (4, 1)),
    (-1, (2,), (1,)), (0, (2,), (-1,)), (0, (1,) * 20, (1,) * 20), (0, (2, 2), (1,)),
])
def test_tensors_stay_within_their_data(offset, size, stride):
    storage = Calls(torch.storage._load_from_bytes, storage_bytes(4))
    hooks = collections.OrderedDict()
    tensor = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, hooks)
    with pytest.raises(NetworkFileError):
        read(dict(G_ema=None, x=tensor))


def test_a_claim_of_2_to_the_42_bytes_allocates_nothing():
    data = storage_bytes(4)
    count = data[:-24] + (2 ** 40).to_bytes(8, 'little') + data[-16:]               # before the four numbers
    for content in (pickle.dumps(Calls(torch.storage._load_from_bytes, count)),
                    b'\x80\x04\x8e' + (2 ** 42).to_bytes(8, 'little') + b'x.',       # bytes
                    b'\x80\x05\x96' + (2 ** 42).to_bytes(8, 'little') + b'x.'):      # a bytearray
        with pytest.raises(NetworkFileError):
            load_network_pkl(io.BytesIO(content))


def test_dataset_classes_are_looked_up_and_never_imported(generator):
    with pytest.raises(NetworkFileError, match=r"the dataset class 'os\.system'"):
        read(dict(G_ema=generator, training_set_kwargs=dict(class_name='os.system', path='x')))
