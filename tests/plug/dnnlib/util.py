import importlib
import os
import re


class EasyDict(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value

    def __delattr__(self, name):
        del self[name]


def make_cache_dir_path(*paths):
    return os.path.join(os.environ['DNNLIB_CACHE_DIR'], *paths)


def format_time(seconds):
    return f'{seconds:.0f}s'


def is_url(obj, allow_file_urls=False):
    return isinstance(obj, str) and re.match(r'https?://' + '|file://' * allow_file_urls, obj) is not None


def open_url(url, cache_dir=None, num_attempts=10, verbose=True, return_filename=False, cache=True):
    raise OSError(f'{url}: there is no network here')


def get_obj_by_name(name):
    module, _, attribute = name.rpartition('.')
    return getattr(importlib.import_module(module), attribute)


def call_func_by_name(*args, func_name=None, **kwargs):
    return get_obj_by_name(func_name)(*args, **kwargs)


def construct_class_by_name(*args, class_name=None, **kwargs):
    return call_func_by_name(*args, func_name=class_name, **kwargs)
