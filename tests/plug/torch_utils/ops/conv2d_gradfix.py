import contextlib

from torch.nn.functional import conv2d, conv_transpose2d

enabled = False
weight_gradients_disabled = False
no_weight_gradients = contextlib.nullcontext
