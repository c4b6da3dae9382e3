"""A stand-in for another checkout's dnnlib: names of its public interface that networks and losses may
lean on.
"""

from .util import EasyDict, make_cache_dir_path
