"""Network pickles: what is read equals what was written, and nothing in a file is ever executed."""

import builtins
import collections
import io
import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from stylegan2_mspe import legacy, networks, rebuild
from stylegan2_mspe.legacy import NetworkFileError, load_network_pkl, save_network_pkl
from tests import foreign_pickle, tensorflow_pickle
from tests.golden import fill, golden, golden_value
from torch_utils import persistence

KWARGS = dict(class_name='training.dataset.ImageFolderDataset', path='digits.zip', use_labels=False)


def make_generator(seed=1, **kwargs):
    synthesis = dict(channel_base=64, channel_max=8, num_fp16_res=1, conv_clamp=256, pe='mspe')
    options = dict(z_dim=8, c_dim=0, w_dim=8, img_resolution=16, img_channels=3,
                   mapping_kwargs=dict(num_layers=2), synthesis_kwargs=synthesis)
    return fill(networks.Generator(**{**options, **kwargs}), seed)


def make_discriminator(**kwargs):
    return fill(networks.Discriminator(**{**dict(c_dim=0, img_resolution=16, img_channels=3, channel_base=64,
                                                 channel_max=8), **kwargs}))


@pytest.fixture(scope='module')
def generator():
    return make_generator()


@pytest.fixture(scope='module')
def network_file(generator, tmp_path_factory):
    path = tmp_path_factory.mktemp('networks') / 'network-snapshot-000001.pkl'
    save_network_pkl(path, G=generator, D=make_discriminator(), G_ema=generator, training_set_kwargs=KWARGS)
    return path


def draw(G, canvas=None):
    z = torch.from_numpy(np.random.RandomState(0).randn(2, G.z_dim))
    c = torch.eye(G.c_dim)[:2] if G.c_dim else None
    return G(z, c, noise_mode='const', canvas=canvas)


# ----- what is written comes back ---------------------------------------------------------------------------


def test_round_trip_gives_equal_networks(generator, network_file):
    content = load_network_pkl(network_file)
    assert content['training_set_kwargs'] == KWARGS and content['augment_pipe'] is None
    assert content['G'] is content['G_ema']                                 # one network, written once
    torch.testing.assert_close(draw(content['G_ema']), draw(generator), rtol=0, atol=0)
    images = torch.randn([3, 3, 16, 16])
    torch.testing.assert_close(content['D'](images, None), make_discriminator()(images, None), rtol=0, atol=0)
    for module in (content['G_ema'], content['D']):
        assert not module.training
        for tensor in [*module.parameters(), *module.buffers()]:
            assert not tensor.requires_grad and tensor.device.type == 'cpu'
    assert content['G_ema'].init_kwargs == generator.init_kwargs


@pytest.mark.parametrize('kwargs', [
    dict(img_channels=1), dict(img_channels=4), dict(c_dim=3),
    dict(synthesis_kwargs=dict(channel_max=8, architecture='resnet', resample_filter=[1, 2, 1])),
    dict(synthesis_kwargs=dict(channel_max=8, architecture='orig', use_noise=False, pe='sspe')),
])
def test_round_trip_of_unusual_networks(tmp_path, kwargs):
    G = make_generator(**kwargs)
    D = make_discriminator(c_dim=G.c_dim, img_channels=G.img_channels, block_kwargs=dict(freeze_layers=2))
    path = str(tmp_path / 'a.pkl')
    save_network_pkl(path, G=make_generator(seed=2, **kwargs), D=D, G_ema=G, training_set_kwargs=None)
    content = load_network_pkl(path)
    torch.testing.assert_close(draw(content['G_ema']), draw(G), rtol=0, atol=0)
    assert not torch.equal(draw(content['G']), draw(G)) and content['training_set_kwargs'] is None
    assert content['D'].state_dict().keys() == D.state_dict().keys()


def test_open_files_and_file_urls_are_read(network_file, generator):
    with open(network_file, 'rb') as file:
        assert load_network_pkl(file)['G_ema'].z_dim == 8
    assert load_network_pkl(io.BytesIO(network_file.read_bytes()))['G_ema'].z_dim == 8
    assert load_network_pkl(network_file.as_uri())['G_ema'].z_dim == 8


def test_what_is_saved_can_be_saved_again_and_says_nothing_of_the_run(tmp_path, generator):
    G = make_generator().train().requires_grad_(True)
    networks.set_precision(G, torch.bfloat16)
    base = torch.zeros([1000])
    G.mapping.w_avg = base[:8].copy_(G.mapping.w_avg)                       # a view of something larger
    before = G.state_dict()
    for _ in range(2):
        save_network_pkl(tmp_path / 'a.pkl', G=G, D=None, G_ema=G, training_set_kwargs=KWARGS)
        assert G.state_dict().keys() == before.keys()
        G = load_network_pkl(tmp_path / 'a.pkl')['G_ema']
    assert not any(getattr(part, 'half_dtype', None) for part in G.modules())
    assert G.mapping.w_avg.untyped_storage().nbytes() == 32
    torch.testing.assert_close(draw(G), draw(generator), rtol=0, atol=0)


def test_an_ordinary_unpickler_with_our_packages_opens_it(network_file, generator):
    with open(network_file, 'rb') as file:
        content = pickle.load(file)
    assert list(content) == ['training_set_kwargs', 'G', 'D', 'G_ema', 'augment_pipe']
    assert not content['G_ema'].training
    torch.testing.assert_close(draw(content['G_ema']), draw(generator), rtol=0, atol=0)


def test_reading_does_not_import_the_compiler(network_file):
    code = f'''import sys; from stylegan2_mspe import legacy
legacy.load_network_pkl({str(network_file)!r})
print("torch._dynamo" in sys.modules or "torch._inductor" in sys.modules)'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


# ----- pickles of other writers -----------------------------------------------------------------------------


class Foreign:
    """Pickles a module as StyleGAN2-ADA-PyTorch does, with any source text, class name and changes of the
    state.
    """

    def __init__(self, module, source='', **changes):
        self.module, self.source, self.changes = module, source, changes

    def __reduce__(self):
        state = collections.OrderedDict(self.module.__dict__)
        state['_modules'] = collections.OrderedDict((name, Foreign(child, self.source))
                                                    for name, child in self.module._modules.items())
        state.update(self.changes.get('state', {}))
        name = type(self.module).__name__
        meta = dict(type='class', version=6, module_src=self.source, class_name=name, state=state)
        meta.update({key: value for key, value in self.changes.items() if key != 'state'})
        return persistence._reconstruct_persistent_obj, (meta,)


def read(content, protocol=pickle.DEFAULT_PROTOCOL):
    return load_network_pkl(io.BytesIO(pickle.dumps(content, protocol)))


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_protocols_source_text_and_numpy_numbers(generator, tmp_path, protocol):
    marker = tmp_path / 'executed'
    source = f'open({str(marker)!r}, "w").close()\nraise SystemExit'
    kwargs = dict(KWARGS, max_size=np.int64(7), stretch=np.float32(0.5), table=np.arange(6).reshape(2, 3))
    state = dict(_init_kwargs=dict(generator.init_kwargs, z_dim=np.int32(8)))
    content = read(dict(G_ema=Foreign(generator, source, state=state), training_set_kwargs=kwargs), protocol)
    torch.testing.assert_close(draw(content['G_ema']), draw(generator), rtol=0, atol=0)
    plain = dict(KWARGS, max_size=7, stretch=0.5, table=[[0, 1, 2], [3, 4, 5]])
    assert content['training_set_kwargs'] == plain
    assert not marker.exists() and content['D'] is None


def test_names_of_numpy_1_are_known(generator):
    kwargs = dict(KWARGS, max_size=np.int64(7))
    data = foreign_pickle.dumps(dict(G_ema=generator, training_set_kwargs=kwargs), protocol=3)
    old = io.BytesIO(foreign_pickle.with_numpy_1_names(data))
    assert load_network_pkl(old)['training_set_kwargs']['max_size'] == 7


def by_hand(module, **options):
    """A network of ours as a pickle that none of our writers has seen."""
    parts = foreign_pickle.G_PARTS if isinstance(module, networks.Generator) else foreign_pickle.D_PARTS
    return foreign_pickle.network(dict(module.init_kwargs), module.state_dict(), parts, **options)


@pytest.mark.parametrize('location', ['cpu', 'cuda:0', 'cuda:7'])
@pytest.mark.parametrize('name', ['networks_uncond', 'networks_cond'])
def test_golden_networks_come_out_equal_through_a_pickle_made_by_hand(name, location):
    numbers, found = golden(name), {}
    for key, parts in (('G', foreign_pickle.G_PARTS), ('D', foreign_pickle.D_PARTS)):
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        values = {}
        for part, shape in json.loads(str(numbers[f'{key}_state'])).items():
            value = torch.outer(taps, taps) if part.endswith('resample_filter') else (
                golden_value(part, shape, int(numbers['seed'])))
            values[part] = value
        found[key] = foreign_pickle.network(json.loads(str(numbers[f'{key}_kwargs'])), values, parts,
                                            location=location)
    content = read(dict(training_set_kwargs=KWARGS, **found, G_ema=found['G'], augment_pipe=None))
    z, c = torch.from_numpy(numbers['z']), torch.from_numpy(numbers['c'])
    for ours, theirs in [(content['G_ema'](z, c, noise_mode='const'), 'img_const'),
                         (content['D'](torch.from_numpy(numbers['D_in']), c), 'D_logits')]:
        assert (ours - torch.from_numpy(numbers[theirs])).abs().max() <= 1e-4 * numbers[theirs].std()


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('c_dim, halves', [(0, 0), (3, 2)])
def test_architectures_labels_and_half_precision_by_hand(architecture, c_dim, halves):
    options = dict(channel_base=64, channel_max=8, num_fp16_res=halves, conv_clamp=256 if halves else None)
    G = make_generator(c_dim=c_dim, synthesis_kwargs=dict(architecture=architecture, **options))
    D = make_discriminator(c_dim=c_dim, architecture=architecture, **options,
                           block_kwargs=dict(freeze_layers=4))     # the whole first block
    frozen = [name for name in D.state_dict() if name.startswith('b16.')]
    found = dict(G=by_hand(G), D=by_hand(D, frozen=frozen), G_ema=by_hand(G, location='cuda:1'))
    content = read(found, protocol=2)
    images = torch.from_numpy(np.random.RandomState(1).randn(2, 3, 16, 16)).float()
    labels = torch.eye(3)[:2] if c_dim else None
    torch.testing.assert_close(draw(content['G_ema']), draw(G), rtol=0, atol=0)
    torch.testing.assert_close(content['D'](images, labels), D(images, labels), rtol=0, atol=0)
    assert content['G_ema'].synthesis.b16.use_fp16 == bool(halves)
    assert content['training_set_kwargs'] is None


def test_augmentation_is_read_with_its_strength(tmp_path):
    augment = pytest.importorskip('stylegan2_mspe.augment')
    pipe = augment.AugmentPipe(xflip=1, rotate90=1, scale=np.float64(1))
    pipe.p.copy_(torch.as_tensor(0.375))
    path = tmp_path / 'a.pkl'
    G = make_generator()
    save_network_pkl(path, G=None, D=None, G_ema=G, training_set_kwargs=None, augment_pipe=pipe)
    found = load_network_pkl(path)
    assert found['augment_pipe'].p == 0.375
    assert found['augment_pipe'].init_kwargs == dict(xflip=1, rotate90=1, scale=1)
    assert found['G'] is None and found['D'] is None


def test_augmentation_where_there_is_none(monkeypatch):
    monkeypatch.setattr(rebuild, 'AUGMENT', 'stylegan2_mspe.no_such_module')
    state = dict(_buffers=dict(p=torch.tensor(0.5)), _init_args=(), _init_kwargs={})
    meta = dict(type='class', version=6, module_src='', class_name='AugmentPipe', state=state)
    pipe = foreign_pickle.Calls(persistence._reconstruct_persistent_obj, meta)
    with pytest.warns(UserWarning, match='augmentation'):
        assert read(dict(G_ema=make_generator(), augment_pipe=pipe))['augment_pipe'] is None


@pytest.mark.parametrize('state, asked', [
    (dict(_buffers={}), 'strength p'), (dict(_buffers=dict(p=torch.tensor(float('nan')))), 'strength p'),
    (dict(_buffers=dict(p=torch.zeros(3)), _init_kwargs=dict(os='system')), 'another kind'),
])
def test_hostile_augmentations_are_refused(state, asked):
    pytest.importorskip('stylegan2_mspe.augment')
    meta = dict(type='class', version=6, module_src='', class_name='AugmentPipe',
                state=dict(dict(_init_args=(), _init_kwargs={}), **state))
    pipe = foreign_pickle.Calls(persistence._reconstruct_persistent_obj, meta)
    with pytest.raises(NetworkFileError, match=asked):
        read(dict(G_ema=make_generator(), augment_pipe=pipe))


def test_force_fp16_changes_precision_and_nothing_else(generator):
    D = make_discriminator()
    content = foreign_pickle.dumps(dict(G_ema=generator, D=D))
    plain, halved = (load_network_pkl(io.BytesIO(content), force_fp16=half) for half in (False, True))
    synthesis = halved['G_ema'].synthesis
    assert [block.use_fp16 for block in (synthesis.b4, synthesis.b8, synthesis.b16)] == [False, True, True]
    changed = dict(generator.init_kwargs.synthesis_kwargs, num_fp16_res=4)
    assert halved['G_ema'].init_kwargs.synthesis_kwargs == changed
    assert halved['D'].b16.use_fp16 and halved['D'].b16.conv1.conv_clamp == 256
    assert not plain['D'].b16.use_fp16
    torch.testing.assert_close(draw(halved['G_ema']), draw(generator), rtol=0, atol=0)      # float32 on a CPU


def test_arguments_given_by_position_are_recorded_by_name(tmp_path):
    G = fill(networks.Generator(8, 0, 8, 16, 3, synthesis_kwargs=dict(channel_base=64, channel_max=8)))
    save_network_pkl(tmp_path / 'a.pkl', G=G, D=None, G_ema=G, training_set_kwargs=None)
    found = load_network_pkl(tmp_path / 'a.pkl')
    assert found['G_ema'].init_args == () and found['G_ema'].init_kwargs.img_resolution == 16
    assert found['G'] is found['G_ema']


# ----- TensorFlow's pickles ---------------------------------------------------------------------------------


@pytest.mark.parametrize('architecture', ['orig', 'skip', 'resnet'])
@pytest.mark.parametrize('c_dim, layers', [(0, 8), (3, 8), (3, 0)])
def test_tensorflow_pickles(architecture, c_dim, layers, monkeypatch):
    options = dict(channel_base=64, channel_max=8, architecture=architecture)
    G, half = (make_generator(seed, c_dim=c_dim, synthesis_kwargs=options) for seed in (1, 2))
    D = make_discriminator(c_dim=c_dim, mapping_kwargs=dict(num_layers=layers) if c_dim else {}, **options)
    static = dict(fmap_base=32, fmap_max=8, architecture=architecture, resample_kernel=[1, 3, 3, 1])
    three = (tensorflow_pickle.generator(half, **static), tensorflow_pickle.discriminator(D, **static),
             tensorflow_pickle.generator(G, conv_clamp=256, num_fp16_res=2, **static))
    content = load_network_pkl(io.BytesIO(tensorflow_pickle.dumps(three, monkeypatch)))
    images = torch.from_numpy(np.random.RandomState(1).randn(2, 3, 16, 16)).float()
    labels = torch.eye(3)[:2] if c_dim else None
    for ours, theirs in [(draw(content['G']), draw(half)), (draw(content['G_ema']), draw(G)),
                         (content['D'](images, labels), D(images, labels))]:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.std() + theirs.abs().max()))
    assert content['G_ema'].synthesis.b16.conv1.conv_clamp == 256 and content['G_ema'].synthesis.b8.use_fp16
    assert content['training_set_kwargs'] is None and content['augment_pipe'] is None


def of_part(G, name):
    return G.state['components'][name].state['variables']


@pytest.mark.parametrize('change, asked', [
    (lambda G: G.state.update(variables=None), 'unknown form'),
    (lambda G: G.state['static_kwargs'].update(mapping_nonlinearity='relu'), "mapping_nonlinearity = 'relu'"),
    (lambda G: of_part(G, 'synthesis').append(('8x8/Fancy/weight', 5)), 'Fancy'),
    (lambda G: of_part(G, 'synthesis').pop(), 'lacks parameter G.synthesis'),
    (lambda G: G.state['components'].update(synthesis=5), 'unknown form'),
    (lambda G: G.state['components'].update(mapping=G), 'unknown form|without end'),
    (lambda G: of_part(G, 'mapping').append(('LabelConcat/weight', 5)), 'LabelConcat'),
    (lambda G: G.state.update(components={str(index): G for index in range(100)}), 'unknown form'),
    (lambda G: G.state['variables'].append(('dlatent_avg', 'x')), 'dlatent_avg'),
])
def test_tensorflow_pickles_of_another_kind_are_refused(change, asked, monkeypatch):
    module = make_generator(synthesis_kwargs=dict(channel_base=64, channel_max=8))
    G = tensorflow_pickle.generator(module)
    change(G)
    data = tensorflow_pickle.dumps((G, tensorflow_pickle.discriminator(make_discriminator()), G), monkeypatch)
    with pytest.raises(NetworkFileError, match=asked):
        load_network_pkl(io.BytesIO(data))


# ----- pickles that want something else ---------------------------------------------------------------------


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
        data = b'c__builtin__\ngetattr\n(cos\nsystem\nS"x"\ntR.'.replace(b'__builtin__', b'builtins')
    data = data.replace(b'{}', str(marker).encode()[:2])
    with pytest.raises(NetworkFileError, match=asked) as caught:
        load_network_pkl(io.BytesIO(data))
    assert '\n' not in str(caught.value) and not marker.exists() and not list(tmp_path.iterdir())


@pytest.mark.parametrize('data, asked', [
    (b'cos\nsystem\n(S"true"\ntR.', r'os\.system'),
    (b'(S"true"\nios\nsystem\n.', 'instruction'),                            # INST
    (b'\x80\x04\x8c\x02os\x8c\x06system\x93.', r'os\.system'),              # STACK_GLOBAL
    (b'\x80\x02\x82\x01.', 'instruction'),                                   # EXT1
    (b'\x80\x02X\x01\x00\x00\x00aQ.', 'persistent id'),
    (b'Pname\n.', 'persistent id'),
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


# ----- damaged and other files ------------------------------------------------------------------------------


def test_truncated_files_end_in_a_sentence(network_file):
    data = network_file.read_bytes()
    for length in [0, 1, 2, 5, 100, len(data) // 3, len(data) // 2, len(data) - 100, len(data) - 1]:
        with pytest.raises(NetworkFileError) as caught:
            load_network_pkl(io.BytesIO(data[:length]))
        assert '\n' not in str(caught.value)


def test_flipped_bytes_never_end_in_a_traceback(network_file):
    data, random = network_file.read_bytes(), np.random.RandomState(0)
    head = data.index(b'_load_from_bytes') + 2000
    for _ in range(60):
        damaged = bytearray(data)
        for position in random.randint(0, head, size=3):
            damaged[position] = random.randint(256)
        try:
            load_network_pkl(io.BytesIO(bytes(damaged)))
        except NetworkFileError as error:
            assert '\n' not in str(error)


@pytest.mark.parametrize('data, found', [
    (b'\x89PNG\r\n\x1a\n....', 'not a network file'), (b'PK\x03\x04....', 'not a network file'),
    (pickle.dumps([1, 2]), 'holds a list'), (pickle.dumps(dict(G=None)), 'no G_ema'),
    (pickle.dumps(dict(G_ema=5)), 'has a int as G_ema, expected a Generator'),
    (pickle.dumps(dict(G_ema=make_discriminator())), 'has a Discriminator as G_ema, expected a Generator'),
    (pickle.dumps(dict(G_ema=make_generator().mapping)), 'has a MappingNetwork as G_ema, expected a Gen'),
])
def test_other_files_are_named(tmp_path, data, found):
    (tmp_path / 'a.pkl').write_bytes(data)
    with pytest.raises(NetworkFileError, match=rf'a\.pkl.*{found}'):
        load_network_pkl(tmp_path / 'a.pkl')


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pkl'):
        load_network_pkl(tmp_path / 'none.pkl')
    with pytest.raises(NetworkFileError, match='is a folder'):
        load_network_pkl(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, generator, monkeypatch):
    path = tmp_path / 'a.pkl'
    path.write_bytes(b'old')

    def fill_the_disk(content, file):
        file.write(b'half')
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(legacy.pickle, 'dump', fill_the_disk)
    with pytest.raises(OSError, match='No space'):
        save_network_pkl(path, G=generator, D=None, G_ema=generator, training_set_kwargs=None)
    assert path.read_bytes() == b'old' and len(list(tmp_path.iterdir())) == 1
