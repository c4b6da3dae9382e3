"""Pickles of persistent classes: what they hold and give back, and that they never run what they carry."""

import copy
import io
import pathlib
import pickle
import sys

import pytest
import torch

from torch_utils import persistence


@persistence.persistent_class
class Scale(torch.nn.Module):
    """A module with everything a state can hold."""

    def __init__(self, size, factor=2.0, names=()):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(size, dtype=torch.float32))
        self.register_buffer('factor', torch.tensor(factor))
        self.names = list(names)

    def forward(self, x):
        return x * self.weight * self.factor


@persistence.persistent_class
class Shifted(Scale):
    def __init__(self, size, shift, **kwargs):
        super().__init__(size, **kwargs)
        self.inner = Scale(1, factor=shift)

    def forward(self, x):
        return super().forward(x) + self.inner.factor


class Undecorated(Scale):
    pass


@persistence.persistent_class
class Notes(dict):
    def __init__(self, title):
        super().__init__()
        self.title = title


@pytest.fixture
def hooks(monkeypatch):
    monkeypatch.setattr(persistence, '_import_hooks', [])


def meta_of(obj):
    function, (meta,), *rest = obj.__reduce_ex__(4)
    assert function is persistence._reconstruct_persistent_obj and not any(rest)
    return meta


def test_meta_data_is_that_of_the_contract():
    module = Shifted(3, 0.5, names=['a'])
    meta = meta_of(module)
    assert set(meta) == {'type', 'version', 'module_src', 'class_name', 'state'}
    assert (meta['type'], meta['version'], meta['class_name']) == ('class', 6, 'Shifted')
    assert meta['module_src'] == pathlib.Path(__file__).read_text()
    assert meta['state'].keys() >= {'_parameters', '_buffers', '_modules', 'names'}
    assert (meta['state']['_init_args'], meta['state']['_init_kwargs']) == ((3, 0.5), {'names': ['a']})
    assert b'torch_utils.persistence' in pickle.dumps(module) and b'Undecorated(' in pickle.dumps(module)


@pytest.mark.parametrize('protocol', [2, 4])
def test_round_trip(protocol):
    module = Shifted(3, 0.5, names=['a']).eval()
    with torch.no_grad():
        module.weight.add_(1)
    other = pickle.loads(pickle.dumps(module, protocol))
    assert type(other) is Shifted and type(other.inner) is Scale and not other.training
    assert other.names == ['a']
    x = torch.tensor([1.0, 2.0, 4.0])
    assert other(x).tolist() == module(x).tolist() == [2.5, 8.5, 24.5]
    assert isinstance(other.weight, torch.nn.Parameter)
    assert other.weight.data_ptr() != module.weight.data_ptr()
    other.load_state_dict(Shifted(3, 1.5).state_dict())
    assert other.inner.factor == 1.5


def test_deepcopy_is_independent():
    module = Shifted(3, 0.5)
    other = copy.deepcopy(module).requires_grad_(False)
    assert type(other) is Shifted and other.init_args == (3, 0.5)
    other.weight.add_(1)
    assert module.weight.tolist() == [0, 1, 2] and module.weight.requires_grad
    assert copy.copy(module).weight is module.weight


def test_shared_objects_stay_shared():
    module = Scale(2)
    a, b = pickle.loads(pickle.dumps([module, module]))
    assert a is b


def test_the_source_is_in_a_pickle_once():
    module = Shifted(3, 0.5)
    assert meta_of(module)['module_src'] is meta_of(module.inner)['module_src']
    source = pathlib.Path(__file__).read_bytes()
    assert pickle.dumps([module, Notes('t')]).count(source) == 1


def test_recorded_arguments_are_those_of_the_outermost_class_and_cannot_be_changed():
    names = ['a']
    module = Shifted(3, shift=0.5, names=names)
    names.append('b')
    assert module.init_args == (3,) and module.init_kwargs == {'shift': 0.5, 'names': ['a']}
    assert module.init_kwargs.shift == 0.5
    module.init_kwargs['names'].append('c')
    assert module.init_kwargs['names'] == ['a']
    assert module.inner.init_kwargs == {'factor': 0.5}
    assert pickle.loads(pickle.dumps(module)).init_kwargs == module.init_kwargs


def test_classes_keep_their_identity():
    assert persistence.persistent_class(Scale) is Scale
    assert (Scale.__name__, Scale.__qualname__, Scale.__module__) == ('Scale', 'Scale', __name__)
    assert 'everything a state can hold' in Scale.__doc__
    assert persistence.is_persistent(Scale) and persistence.is_persistent(Shifted(1, 1))
    assert not persistence.is_persistent(Undecorated) and not persistence.is_persistent(Undecorated(1))
    assert not persistence.is_persistent(3) and not persistence.is_persistent(torch.nn.Linear)


def test_an_undecorated_subclass_does_not_pass_for_its_base():
    module = Undecorated(2, names=['x'])
    function, arguments, *_ = module.__reduce_ex__(4)
    assert function is not persistence._reconstruct_persistent_obj
    assert type(copy.deepcopy(module)) is Undecorated


def test_a_container_keeps_its_items():
    notes = Notes('t')
    notes['k'] = [1]
    other = pickle.loads(pickle.dumps(notes))
    assert type(other) is Notes and other == {'k': [1]} and other.title == 't'
    assert copy.deepcopy(notes) == notes


def test_embedded_source_is_never_executed(tmp_path, hooks):
    witness = tmp_path / 'executed'
    meta = {**meta_of(Scale(2)), 'module_src': f'open({str(witness)!r}, "w")\nclass Scale:\n    pass\n'}
    modules = set(sys.modules)
    module = persistence._reconstruct_persistent_obj(meta)
    assert type(module) is Scale and not witness.exists() and set(sys.modules) == modules


@pytest.mark.parametrize('change, words', [
    ({'class_name': 'Nowhere'}, "'Nowhere'.*no imported module"),
    ({'class_name': 'Undecorated'}, "'Undecorated'.*no imported module"),
    ({'version': 7}, '7.*expected'),
    ({'type': 'function'}, 'function.*expected'),
])
def test_what_is_not_known_is_refused_in_one_sentence(change, words, tmp_path):
    witness = tmp_path / 'executed'
    source = f'open({str(witness)!r}, "w")\nclass Nowhere: pass\n'
    meta = {**meta_of(Scale(2)), 'module_src': source, **change}
    with pytest.raises(ValueError, match=words) as caught:
        persistence._reconstruct_persistent_obj(meta)
    assert '\n' not in str(caught.value) and not witness.exists()


def test_the_class_of_the_same_source_wins_and_an_ambiguous_name_is_refused(monkeypatch):
    here, there = type('Here', (), {}), type('There', (), {})
    monkeypatch.setitem(persistence._classes, 'Twice', {('a', 'source a'): here, ('b', 'source b'): there})
    meta = dict(type='class', version=6, class_name='Twice', state={})
    for source, cls in (('source a', here), ('source b', there)):
        assert type(persistence._reconstruct_persistent_obj({**meta, 'module_src': source})) is cls
    with pytest.raises(ValueError, match=r'several modules have one \(a, b\)'):
        persistence._reconstruct_persistent_obj({**meta, 'module_src': 'another'})
    reloaded = {('a', 'old'): here, ('a', 'new'): there}
    monkeypatch.setitem(persistence._classes, 'Twice', reloaded)
    assert type(persistence._reconstruct_persistent_obj({**meta, 'module_src': 'another'})) is there


def test_import_hooks_may_rename_and_rewrite(hooks):
    @persistence.import_hook
    def rename(meta):
        meta.class_name = {'OldScale': 'Scale'}.get(meta.class_name, meta.class_name)
        meta.state.names = ['renamed']
        return meta

    module = persistence._reconstruct_persistent_obj({**meta_of(Scale(2)), 'class_name': 'OldScale'})
    assert type(module) is Scale and module.names == ['renamed']


def test_torch_save_takes_it():
    file = io.BytesIO()
    torch.save({'G': Scale(2)}, file)
    file.seek(0)
    assert type(torch.load(file, weights_only=False)['G']) is Scale
