"""Classes whose pickles carry their own source and constructor arguments.

A pickled object is `_reconstruct_persistent_obj(meta)` with meta = {type, version, module_src, class_name,
state}, the format of StyleGAN2-ADA-PyTorch. Its own reader executes `module_src`; this one never does: it
finds the class among those decorated in this process and in the modules HOMES, or refuses.
"""

import contextlib
import copy
import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import dnnlib

VERSION = 6  # of the pickled meta data
HOMES = ('stylegan2_mspe.networks', 'stylegan2_mspe.augment')   # of the classes in network pickles

_classes: dict[str, dict[tuple[str, str], type]] = {}  # class name → (module name, its source) → class
_sources: dict[str, str] = {}   # one text per module, so that a pickle of many of its objects holds it once
_import_hooks: list[Callable] = []


def persistent_class(orig_class: type) -> type:
    """Class decorator: objects remember their constructor arguments (`init_args`, `init_kwargs`) and pickle
    as above.

    The state is the object's `__dict__` (or what `__getstate__` gives). A class already decorated is returned
    as it is.
    """
    assert isinstance(orig_class, type), orig_class
    if _is_decorated(orig_class):
        return orig_class

    class Decorated(orig_class):
        def __init__(self, *args, **kwargs):
            recorded = copy.deepcopy(args), copy.deepcopy(kwargs)  # before the constructor can change them
            super().__init__(*args, **kwargs)
            self._init_args, self._init_kwargs = recorded

        @property
        def init_args(self) -> tuple:
            """A copy of the positional arguments this object was made with."""
            return copy.deepcopy(self._init_args)

        @property
        def init_kwargs(self) -> dnnlib.EasyDict:
            """A copy of the keyword arguments this object was made with."""
            return dnnlib.EasyDict(copy.deepcopy(self._init_kwargs))

        def __reduce_ex__(self, protocol):
            if type(self) is not Decorated:  # a subclass speaks for itself
                return super().__reduce_ex__(protocol)
            return _reduce(self, orig_class, source)

    source = _module_source(orig_class.__module__)
    functools.update_wrapper(Decorated, orig_class, updated=())
    Decorated._is_persistent_class = Decorated
    _classes.setdefault(orig_class.__name__, {})[orig_class.__module__, source] = Decorated
    return Decorated


def is_persistent(obj: Any) -> bool:
    """Whether `obj` is a class decorated with `persistent_class` or an object of one."""
    return _is_decorated(obj) if isinstance(obj, type) else _is_decorated(type(obj))


def import_hook(hook: Callable) -> Callable:
    """Registers `hook(meta) -> meta`, which may change what a pickle says before its object is rebuilt.

    `meta` is an EasyDict of type, version, module_src, class_name and state. Usable as a decorator.
    """
    assert callable(hook)
    _import_hooks.append(hook)
    return hook


def _is_decorated(cls: type) -> bool:
    return cls.__dict__.get('_is_persistent_class') is cls


def _module_source(module_name: str) -> str:
    """The text of a module, or nothing where there is none (an interactive session)."""
    try:
        source = inspect.getsource(sys.modules[module_name])
        return _sources.setdefault(source, source)
    except (KeyError, OSError, TypeError):
        return ''


def _reduce(obj: Any, orig_class: type, source: str) -> tuple:
    """What pickle and copy.deepcopy store: a call of the function below, and items where the class is a list
    or dict."""
    _, _, state, *items = object.__reduce_ex__(obj, 2)
    meta = dict(type='class', version=VERSION, module_src=source, class_name=orig_class.__name__, state=state)
    return _reconstruct_persistent_obj, (meta,), None, *items


def _reconstruct_persistent_obj(meta: dict) -> Any:
    """Rebuilds a pickled object; raises ValueError for one whose class is not known here."""
    meta = dnnlib.EasyDict(meta)
    if isinstance(meta.get('state'), dict):
        meta.state = dnnlib.EasyDict(meta.state)
    for hook in _import_hooks:
        meta = hook(meta)
        assert meta is not None, f'import hook {hook} returned nothing'
    found = meta.get('type'), meta.get('version')
    if found != ('class', VERSION):
        raise ValueError(f'A pickled object is of type and version {found}, expected {("class", VERSION)}.')
    cls = _find_class(meta.get('class_name'), meta.get('module_src'))
    obj = cls.__new__(cls)
    if hasattr(obj, '__setstate__'):
        obj.__setstate__(meta.state)
    elif meta.state is not None:
        obj.__dict__.update(meta.state)
    return obj


def _find_class(name: str, source: str) -> type:
    """The decorated class of this name: from a module with this very source, else the only one there is.

    A script that has `pickle.load` open a network file need not have imported the networks.
    """
    if name not in _classes:
        for home in HOMES:
            with contextlib.suppress(ImportError):
                importlib.import_module(home)
    candidates = _classes.get(name, {})
    for (_, known_source), cls in reversed(candidates.items()):
        if known_source == source:
            return cls
    latest = {module_name: cls for (module_name, _), cls in candidates.items()}
    if len(latest) == 1:
        return next(iter(latest.values()))
    known = f'several modules have one ({", ".join(latest)})' if latest else 'no imported module has one'
    raise ValueError(f'A pickled object is of class {name!r}, and {known}; its own source is not executed.')
