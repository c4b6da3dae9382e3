"""Operators of our own, each a plain PyTorch version and fast ones that agree with it."""

from . import epilogue_cuda, resample
from .epilogue import epilogue, fuses, plain_epilogue
from .modconv import scale_activations
from .modulate import modulate, plain_modulate
from .norm_silu import norm_silu, plain_norm_silu
