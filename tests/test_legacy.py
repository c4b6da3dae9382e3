"""Network pickles: what is read equals what was written, and nothing in a file is ever executed."""

import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from stylegan2_mspe import legacy, networks, rebuild
from stylegan2_mspe.legacy import NetworkFileError, load_network_pkl, save_network_pkl
from tests import foreign_pickle
from tests.foreign_module import Foreign, read
from tests.golden import fill, golden, golden_value
from tests.small_networks import draw, make_discriminator, make_generator
from torch_utils import persistence

KWARGS = dict(class_name='training.dataset.ImageFolderDataset', path='digits.zip', use_labels=False)


@pytest.fixture(scope='module')
def generator():
    return make_generator()


@pytest.fixture(scope='module')
def network_file(generator, tmp_path_factory):
    path = tmp_path_factory.mktemp('networks') / 'network-snapshot-000001.pkl'
    save_network_pkl(path, G=generator, D=make_discriminator(), G_ema=generator, training_set_kwargs=KWARGS)
    return path


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
    (b'\x89PNG\r\n\x1a\n....', 'not a network file'), (b'PK\x03\x04....', 'not a network pickle but a zip'),
    (b'version https://git-lfs', "not a network file: found b'version https://' at its beginning"),
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
