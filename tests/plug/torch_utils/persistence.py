"""As others do it: the recorded source is executed as a module of its own. Ours never is read so by us."""

import copy
import inspect
import sys
import types

import dnnlib

_modules = {}


def persistent_class(orig_class):
    class Persistent(orig_class):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self._init_args, self._init_kwargs = copy.deepcopy(args), copy.deepcopy(kwargs)

        @property
        def init_args(self):
            return copy.deepcopy(self._init_args)

        @property
        def init_kwargs(self):
            return dnnlib.EasyDict(copy.deepcopy(self._init_kwargs))

        def __reduce__(self):
            meta = dict(type='class', version=6, module_src=source, class_name=orig_class.__name__,
                        state=self.__dict__)
            return _reconstruct_persistent_obj, (meta,)

    module = sys.modules[orig_class.__module__]
    source = module.__dict__.get('_recorded_source') or inspect.getsource(module)
    Persistent.__name__ = orig_class.__name__
    return Persistent


def is_persistent(obj):
    return hasattr(obj, '_init_args')


def _reconstruct_persistent_obj(meta):
    assert (meta['type'], meta['version']) == ('class', 6)
    source = meta['module_src']
    if source not in _modules:
        module = types.ModuleType(f'_recorded_{len(_modules)}')
        sys.modules[module.__name__] = _modules[source] = module
        module._recorded_source = source
        exec(source, module.__dict__)
    orig = getattr(_modules[source], meta['class_name'])
    obj = orig.__new__(orig)
    obj.__setstate__(meta['state'])
    return obj
