"""Small helpers with the public interface of StyleGAN2-ADA-PyTorch's dnnlib; imports no torch."""

from dnnlib.util import EasyDict, make_cache_dir_path

__all__ = ['EasyDict', 'make_cache_dir_path']
