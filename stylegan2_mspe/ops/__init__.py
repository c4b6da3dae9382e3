"""Operators of our own, each a plain PyTorch version and fast ones that agree with it."""

from . import resample
from .epilogue import epilogue
from .modulate import modulate
