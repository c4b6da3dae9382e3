"""StyleGAN2 with an explicit positional encoding at every scale: generator, discriminator and their layers.

Parameter names and numbers are StyleGAN2-ADA-PyTorch's; a generator with pe='none' and no canvas is exactly a
StyleGAN2 generator. A network pickle carries this file's text, and another checkout runs it: so the file
stands alone, on numpy, torch and the public names of torch_utils, with one guarded import of what is ours.
"""

import numpy as np
import torch

from torch_utils import misc, persistence
from torch_utils.ops import bias_act, conv2d_resample, fma, upfirdn2d

try:
    from stylegan2_mspe import chance
    from stylegan2_mspe import ops as fast
    from stylegan2_mspe import pe as positions
except ImportError:             # opened in another checkout: networks without encodings still work
    chance = fast = positions = None

# ------------------------------------------------------------------------------------------------------------
# Shared arithmetic.


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """The dtype in which training's half-precision levels are fastest here, without loss scaling."""
    if torch.device(device).type == 'cuda':
        return torch.float16
    native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def set_precision(module: torch.nn.Module, dtype: torch.dtype | None) -> None:
    """Makes the levels chosen by num_fp16_res compute in `dtype`; None = float16 on CUDA, else float32."""
    for part in module.modules():
        if getattr(part, 'use_fp16', False):
            part.half_dtype = dtype


def block_dtype(block: torch.nn.Module, device: torch.device, force_fp32: bool) -> torch.dtype:
    """The dtype a block computes in: that of its parameters, or half precision at the levels that use it."""
    own = block.conv1.weight.dtype
    if force_fp32 or not block.use_fp16 or own != torch.float32:
        return own
    return block.half_dtype or (torch.float16 if device.type == 'cuda' else torch.float32)


def block_format(block: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> torch.memory_format:
    """Channels-last, in which CPU convolutions are fastest; on CUDA only on request, for half precision."""
    if device.type == 'cpu' or (block.channels_last and dtype == torch.float16):
        return torch.channels_last
    return torch.contiguous_format


def share_convolution(block: torch.nn.Module, ws: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether samples share one convolution of scaled activations, the faster way by what was measured.

    Without our package by rule: one sample alone has nothing to share.
    """
    with misc.suppress_tracer_warnings():
        count = int(ws.shape[0])
        if fast is None:
            return block.training or (count != 1 and not (ws.is_cuda and dtype == torch.float32))
        channels = block.conv1.weight.shape[0]
        return fast.scale_activations(ws.device.type, dtype, block.training, count, channels,
                                      block.resolution)


def normalize_2nd_moment(x: torch.Tensor, dim: int = 1, eps: float = 1e-8) -> torch.Tensor:
    """Scales x [N, F] to a mean square of 1 along `dim`."""
    return x * (x.square().mean(dim=dim, keepdim=True) + eps).rsqrt()


def modulated_conv2d(x: torch.Tensor, weight: torch.Tensor, styles: torch.Tensor,
                     noise: torch.Tensor | None = None, up: int = 1, down: int = 1, padding: int = 0,
                     resample_filter: torch.Tensor | None = None, demodulate: bool = True,
                     flip_weight: bool = True, fused_modconv: bool = True) -> torch.Tensor:
    """Convolution whose weights are scaled per sample and input channel (StyleGAN2, Eq. 1 and 3).

    x [N, I, H, W], weight [O, I, kh, kw], styles [N, I], noise broadcastable to the output [N, O, H', W'],
    added after the demodulation. fused_modconv: scale the weights and run one grouped convolution; otherwise
    scale the activations before and after a plain one, the same numbers to rounding. Raises nothing; H and W
    are free.
    """
    count, inputs = styles.shape
    outputs = weight.shape[0]
    assert x.shape[:2] == (count, inputs) and weight.shape[1] == inputs
    if demodulate and x.dtype == torch.float16:
        # The demodulation takes any scale out again; without this one float16 overflows on the way.
        largest = weight.norm(float('inf'), dim=(1, 2, 3), keepdim=True)
        weight = weight / (largest * np.sqrt(weight[0].numel()))
        styles = styles / styles.norm(float('inf'), dim=1, keepdim=True)
    resample = dict(f=resample_filter, up=up, down=down, padding=padding, flip_weight=flip_weight)

    if not fused_modconv:
        x = modulate(x, styles)
        x = conv2d_resample.conv2d_resample(x, weight.to(x.dtype), **resample)
        if demodulate:
            factors = demodulation(weight, styles).to(x.dtype)[:, :, None, None]
            return x * factors if noise is None else fma.fma(x, factors, noise.to(x.dtype))
        return x if noise is None else x + noise.to(x.dtype)

    weight = weight * styles[:, None, :, None, None]                # [N, O, I, kh, kw]
    if demodulate:
        weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    grouped = weight.reshape(count * outputs, inputs, *weight.shape[3:]).to(x.dtype)
    x = x.reshape(1, count * inputs, *x.shape[2:])
    x = conv2d_resample.conv2d_resample(x, grouped, groups=count, **resample)
    x = x.reshape(count, outputs, *x.shape[2:])
    return x if noise is None else x + noise.to(x.dtype)


def modulate(x: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """x [N, I, H, W] times styles [N, I]."""
    return x * styles.to(x.dtype)[:, :, None, None] if fast is None else fast.modulate(x, styles)


def finish(x: torch.Tensor, bias: torch.Tensor | None, activation: str, gain: float, clamp: float | None,
           scale: torch.Tensor | None = None, noise: torch.Tensor | None = None,
           encoding=None, gamma: torch.Tensor | None = None) -> torch.Tensor:
    """What follows a convolution: demodulation, noise, bias, activation, gain, clamp, and the encoding.

    scale [N, O] is the demodulation's; gamma * encoding is added last (Eq. 3).
    """
    if fast is not None and activation in ('lrelu', 'linear') and fast.fuses(x):
        slope = 0.2 if activation == 'lrelu' else 1.0
        if encoding is not None and not isinstance(encoding, positions.Separable):
            x = fast.epilogue(x, scale, noise, bias, slope=slope, gain=gain, clamp=clamp)
            return positions.inject(x, encoding, gamma)
        return fast.epilogue(x, scale, noise, bias, encoding, gamma, slope=slope, gain=gain, clamp=clamp)
    if scale is not None:
        x = x * scale.to(x.dtype)[:, :, None, None]
    if noise is not None:
        x = x + noise.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    x = bias_act.bias_act(x, bias, act=activation, gain=gain, clamp=clamp)
    return x if encoding is None else positions.inject(x, encoding, gamma)


def demodulation(weight: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """1 / the norm of each sample's scaled filters: weight [O, I, kh, kw], styles [N, I] -> [N, O]."""
    return (styles.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt()


def scaled_clamp(clamp: float | None, gain: float) -> float | None:
    """The bound of values that a gain has multiplied; None = unbounded."""
    return None if clamp is None else clamp * gain


def level_channels(resolution: int, channel_base: int, channel_max: int) -> int:
    return min(channel_base // resolution, channel_max)


def lowest_half_resolution(img_resolution: int, num_fp16_res: int) -> int:
    """The coarsest resolution that computes in half precision, if its num_fp16_res finest do; never 4x4."""
    return max(img_resolution * 2 // 2 ** num_fp16_res, 8)


# ------------------------------------------------------------------------------------------------------------
# Layers.


@persistence.persistent_class
class FullyConnectedLayer(torch.nn.Module):
    """x [N, in] -> [N, out], with a run-time scale on weight and bias (equalised learning rate)."""

    def __init__(self, in_features, out_features, bias=True, activation='linear', lr_multiplier=1,
                 bias_init=0):
        super().__init__()
        self.activation = activation
        self.weight = torch.nn.Parameter(torch.randn([out_features, in_features]) / lr_multiplier)
        self.bias = torch.nn.Parameter(torch.full([out_features], float(bias_init))) if bias else None
        self.weight_gain = float(lr_multiplier / np.sqrt(in_features))
        self.bias_gain = lr_multiplier

    def forward(self, x):
        weight = self.weight.to(x.dtype) * self.weight_gain
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if bias is not None and self.bias_gain != 1:
            bias = bias * self.bias_gain
        if self.activation == 'linear':
            return torch.nn.functional.linear(x, weight, bias)
        return bias_act.bias_act(x @ weight.t(), bias, act=self.activation)


@persistence.persistent_class
class Conv2dLayer(torch.nn.Module):
    """Convolution, bias, activation, gain, clamp: x [N, in, H, W] -> [N, out, H·up/down, W·up/down]."""

    def __init__(self, in_channels, out_channels, kernel_size, bias=True, activation='linear', up=1, down=1,
                 resample_filter=[1, 3, 3, 1], conv_clamp=None, channels_last=False, trainable=True):
        super().__init__()
        self.activation, self.up, self.down, self.conv_clamp = activation, up, down, conv_clamp
        self.padding = kernel_size // 2
        self.weight_gain = float(1 / np.sqrt(in_channels * kernel_size ** 2))
        self.act_gain = bias_act.activation_funcs[activation].def_gain
        self.register_buffer('resample_filter', upfirdn2d.setup_filter(resample_filter))
        values = dict(weight=torch.randn([out_channels, in_channels, kernel_size, kernel_size]),
                      bias=torch.zeros([out_channels]) if bias else None)
        for name, value in values.items():
            if trainable and value is not None:
                value = torch.nn.Parameter(value)
                self.register_parameter(name, value)
            else:
                self.register_buffer(name, value)

    def forward(self, x, gain=1, padding=None):
        """padding: [x0, x1, y0, y1] where it is not the one that keeps, doubles or halves the size."""
        weight = (self.weight * self.weight_gain).to(x.dtype)
        padding = self.padding if padding is None else padding
        # Upsampling layers convolve and the others correlate: so it is in the networks people have.
        x = conv2d_resample.conv2d_resample(x, weight, f=self.resample_filter, up=self.up, down=self.down,
                                            padding=padding, flip_weight=self.up == 1)
        clamp = scaled_clamp(self.conv_clamp, gain)
        return finish(x, self.bias, self.activation, self.act_gain * gain, clamp)


@persistence.persistent_class
class MappingNetwork(torch.nn.Module):
    """z [N, z_dim], c [N, c_dim] -> w [N, num_ws, w_dim], or [N, w_dim] where num_ws is None."""

    def __init__(self, z_dim, c_dim, w_dim, num_ws, num_layers=8, embed_features=None, layer_features=None,
                 activation='lrelu', lr_multiplier=0.01, w_avg_beta=0.995):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        embedded = 0 if c_dim == 0 else (w_dim if embed_features is None else embed_features)
        hidden = w_dim if layer_features is None else layer_features
        widths = [z_dim + embedded] + [hidden] * (num_layers - 1) + [w_dim]
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embedded)
        # Some discriminators have none of these layers at all.
        for index, (inputs, outputs) in enumerate(zip(widths[:num_layers], widths[1:])):
            layer = FullyConnectedLayer(inputs, outputs, activation=activation, lr_multiplier=lr_multiplier)
            setattr(self, f'fc{index}', layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer('w_avg', torch.zeros([w_dim]))

    def forward(self, z, c, truncation_psi=1, truncation_cutoff=None, skip_w_avg_update=False):
        """truncation_psi pulls w towards its running mean, in the first truncation_cutoff ws (None: all)."""
        dtype = next(self.parameters()).dtype
        parts = []
        if self.z_dim > 0:
            misc.assert_shape(z, [None, self.z_dim])
            parts.append(normalize_2nd_moment(z.to(dtype)))
        if self.c_dim > 0:
            misc.assert_shape(c, [None, self.c_dim])
            parts.append(normalize_2nd_moment(self.embed(c.to(dtype))))
        x = torch.cat(parts, dim=1)
        for index in range(self.num_layers):
            x = getattr(self, f'fc{index}')(x)
        if self.training and self.w_avg_beta is not None and not skip_w_avg_update:
            self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is not None:
            x = x[:, None, :].repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            pulled = self.w_avg.lerp(x, truncation_psi)
            if truncation_cutoff is None:
                return pulled
            x = torch.cat([pulled[:, :truncation_cutoff], x[:, truncation_cutoff:]], dim=1)
        return x


# ------------------------------------------------------------------------------------------------------------
# Generator.


@persistence.persistent_class
class SynthesisLayer(torch.nn.Module):
    """Modulated convolution, noise, bias, activation; then, where given, the positional encoding."""

    def __init__(self, in_channels, out_channels, w_dim, resolution, kernel_size=3, up=1, use_noise=True,
                 activation='lrelu', resample_filter=[1, 3, 3, 1], conv_clamp=None, channels_last=False):
        super().__init__()
        self.resolution, self.up, self.use_noise, self.activation = resolution, up, use_noise, activation
        self.conv_clamp = conv_clamp
        self.padding = kernel_size // 2
        self.act_gain = bias_act.activation_funcs[activation].def_gain
        self.register_buffer('resample_filter', upfirdn2d.setup_filter(resample_filter))
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = torch.nn.Parameter(torch.randn([out_channels, in_channels, kernel_size, kernel_size]))
        if use_noise:
            self.register_buffer('noise_const', torch.randn([resolution, resolution]))
            self.noise_strength = torch.nn.Parameter(torch.zeros([]))
        self.bias = torch.nn.Parameter(torch.zeros([out_channels]))

    def forward(self, x, w, noise_mode='random', fused_modconv=True, gain=1, encoding=None, gamma=None,
                noise_seed=0, place=None, source=None):
        """x [N, in, H, W], w [N, w_dim] -> [N, out, H·up, W·up]; gamma * encoding is added last (Eq. 3).

        place: what anchored noise belongs to; where it is a patch of a window, `source` is the patch that x
        is, and the output is of the size of `place`.
        """
        padding, size = self.padding, (x.shape[2] * self.up, x.shape[3] * self.up)
        if source is not None:
            padding, size = place.padding(source, self.padding), place.shape
        noise = self.noise(noise_mode, x.shape[0], *size, place, noise_seed)
        styles, scale, weight = self.affine(w), None, self.weight
        share = not fused_modconv and x.dtype != torch.float16
        convolve = dict(up=self.up, padding=padding, flip_weight=self.up == 1)
        if share:               # demodulation is left to the pass that follows the convolution
            scale = demodulation(weight, styles)
            x = conv2d_resample.conv2d_resample(modulate(x, styles), weight.to(x.dtype),
                                                f=self.resample_filter, **convolve)
        else:
            x = modulated_conv2d(x, weight, styles, resample_filter=self.resample_filter,
                                 fused_modconv=fused_modconv, **convolve)
        clamp = scaled_clamp(self.conv_clamp, gain)
        return finish(x, self.bias, self.activation, self.act_gain * gain, clamp,
                      scale, noise, encoding, gamma)

    def noise(self, mode, count, height, width, place=None, seed=0):
        """[N or 1, 1, H, W] or None: random = fresh, const = stored, anchored = of the world, none.

        Stored noise belongs to the output cell and goes on periodically past the trained size; anchored noise
        is a function of seed, layer and world cell.
        """
        assert mode in ('random', 'const', 'anchored', 'none')
        if not self.use_noise or mode == 'none':
            return None
        own = dict(device=self.weight.device, dtype=self.weight.dtype)
        if mode == 'random':
            draw = torch.randn if chance is None else chance.randn
            return draw([count, 1, height, width], **own) * self.noise_strength
        if mode == 'anchored':
            require_positions('anchored noise')
            layer = 2 * self.resolution.bit_length() + (self.up == 1)           # one of a kind in a network
            noise = positions.noise(place, seed, layer, (height, width), self.resolution, **own)
            return noise * self.noise_strength
        stored = self.noise_const
        top, left = (place.rows.start, place.cols.start) if is_patch(place) else (0, 0)
        if (top, left, height, width) != (0, 0, *stored.shape):
            rows, cols = (torch.arange(start, start + length, device=stored.device) % self.resolution
                          for start, length in ((top, height), (left, width)))
            stored = stored[rows][:, cols]
        return (stored * self.noise_strength)[None, None]


@persistence.persistent_class
class ToRGBLayer(torch.nn.Module):
    """Modulated 1x1 convolution, not demodulated: x [N, in, H, W], w [N, w_dim] -> picture [N, out, H, W]."""

    def __init__(self, in_channels, out_channels, w_dim, kernel_size=1, conv_clamp=None, channels_last=False):
        super().__init__()
        self.conv_clamp = conv_clamp
        self.weight_gain = float(1 / np.sqrt(in_channels * kernel_size ** 2))
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = torch.nn.Parameter(torch.randn([out_channels, in_channels, kernel_size, kernel_size]))
        self.bias = torch.nn.Parameter(torch.zeros([out_channels]))

    def forward(self, x, w, fused_modconv=True):
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv2d(x, self.weight, styles, padding=self.weight.shape[2] // 2, demodulate=False,
                             fused_modconv=fused_modconv)
        return bias_act.bias_act(x, self.bias.to(x.dtype), clamp=self.conv_clamp)


@persistence.persistent_class
class SynthesisBlock(torch.nn.Module):
    """One scale of the generator: (upsampling convolution, encoding,) convolution, and the picture so far.

    `pe` and `pe_kwargs` name a registered plan and the options of its encodings, `img_resolution` the trained
    size that positions refer to.
    """

    half_dtype = encoding = None    # of a block that StyleGAN2-ADA pickled

    def __init__(self, in_channels, out_channels, w_dim, resolution, img_channels, is_last,
                 architecture='skip', resample_filter=[1, 3, 3, 1], conv_clamp=None, use_fp16=False,
                 fp16_channels_last=False, pe='none', pe_kwargs={}, img_resolution=None, **layer_kwargs):
        assert architecture in ('orig', 'skip', 'resnet')
        super().__init__()
        self.in_channels, self.w_dim = in_channels, w_dim
        self.resolution, self.img_channels = resolution, img_channels
        self.is_last, self.architecture = is_last, architecture
        self.use_fp16, self.half_dtype = use_fp16, None
        self.channels_last = use_fp16 and fp16_channels_last
        self.img_resolution = img_resolution or resolution
        self.pe_kwargs = dict(pe_kwargs)
        self.num_conv = self.num_torgb = 0
        self.register_buffer('resample_filter', upfirdn2d.setup_filter(resample_filter))
        shared = dict(conv_clamp=conv_clamp, channels_last=self.channels_last)
        layer_kwargs = dict(layer_kwargs, w_dim=w_dim, resolution=resolution, **shared)

        self.encoding = level_encoding(pe, resolution, is_input=in_channels == 0)
        if in_channels == 0:
            if self.encoding is None:
                self.const = torch.nn.Parameter(torch.randn([out_channels, resolution, resolution]))
        else:
            if self.encoding is not None:
                self.gamma = torch.nn.Parameter(torch.ones([]))
            self.conv0 = SynthesisLayer(in_channels, out_channels, up=2, resample_filter=resample_filter,
                                        **layer_kwargs)
            self.num_conv += 1
        if self.encoding is not None:
            positions.check_options(self.encoding, out_channels, self.pe_kwargs)
        self.conv1 = SynthesisLayer(out_channels, out_channels, **layer_kwargs)
        self.num_conv += 1
        if is_last or architecture == 'skip':
            self.torgb = ToRGBLayer(out_channels, img_channels, w_dim=w_dim, **shared)
            self.num_torgb += 1
        if in_channels != 0 and architecture == 'resnet':
            self.skip = Conv2dLayer(in_channels, out_channels, kernel_size=1, bias=False, up=2,
                                    resample_filter=resample_filter, channels_last=self.channels_last)

    def forward(self, x, img, ws, force_fp32=False, fused_modconv=None, canvas=None, **layer_kwargs):
        """One scale up: x [N, in, H/2, W/2] or None, img [N, C, H/2, W/2] or None -> both at H, W.

        ws [N, num_conv + num_torgb, w_dim] are the styles of its layers, in their order. A canvas that is a
        patch of a window is what to compute of this level, and x and img are what `sources` names.
        """
        misc.assert_shape(ws, [None, self.num_conv + self.num_torgb, self.w_dim])
        styles = iter(ws.unbind(dim=1))
        dtype = block_dtype(self, ws.device, force_fp32)
        memory_format = block_format(self, dtype, ws.device)
        if fused_modconv is None:
            fused_modconv = not share_convolution(self, ws, dtype)
        layer_kwargs = dict(layer_kwargs, fused_modconv=fused_modconv)
        inner, source = self.sources(canvas)
        second = dict(layer_kwargs, place=canvas, source=inner if is_patch(canvas) else None)
        doubling = {} if source is None else dict(padding=canvas.padding(source, 0))

        if self.in_channels == 0:
            x = self.input(ws, dtype, inner).to(dtype=dtype, memory_format=memory_format)
            x = self.conv1(x, next(styles), **second)
        else:
            x = x.to(dtype=dtype, memory_format=memory_format)
            resnet = self.architecture == 'resnet'
            y = self.skip(x, gain=np.sqrt(0.5), **doubling) if resnet else None
            encoding, gamma = self.encode(dtype, ws.device, inner), getattr(self, 'gamma', None)
            x = self.conv0(x, next(styles), encoding=encoding, gamma=gamma, place=inner, source=source,
                           **layer_kwargs)
            x = self.conv1(x, next(styles), gain=np.sqrt(0.5) if resnet else 1, **second)
            x = y.add_(x) if resnet else x

        if img is not None:
            img = upfirdn2d.upsample2d(img, self.resample_filter, **doubling)
        if self.num_torgb:
            y = self.torgb(x, next(styles), fused_modconv=fused_modconv)
            y = y.to(torch.promote_types(torch.float32, dtype), memory_format=torch.contiguous_format)
            img = y if img is None else img + y
        assert x.dtype == dtype
        return x, img

    def sources(self, canvas):
        """The patches that the second and the first convolution read to fill a patch of a window.

        Anything else is drawn whole: (canvas, None).
        """
        if not is_patch(canvas):
            return canvas, None
        inner = canvas.grown(self.conv1.padding)
        if self.in_channels == 0:
            return inner, None
        taps, reach = self.resample_filter.shape[-1], self.conv0.padding
        return inner, inner.coarser(reach + (taps + 1) // 2, reach + taps // 2 - 1)

    def encode(self, dtype, device, canvas):
        """The positional encoding of this scale on the canvas, or None where the plan has none."""
        if self.encoding is None:
            return None
        require_positions(self.encoding)
        channels = self.conv1.weight.shape[0]
        return positions.encode(canvas, self.encoding, channels, self.resolution, self.img_resolution,
                                self.pe_kwargs, dtype, device)

    def input(self, ws, dtype, canvas):
        """What the coarsest scale starts from [N, C, H, W]: its encoding (Eq. 4) or the learned constant."""
        if self.encoding is not None:
            dense = self.encode(dtype, ws.device, canvas)
            dense = dense.dense() if hasattr(dense, 'dense') else dense
        elif canvas is None:
            dense = self.const[None]
        else:
            require_positions('a canvas')
            where = positions.coordinates(canvas, self.resolution, self.img_resolution)
            where = where._replace(y=where.y.to(ws.device), x=where.x.to(ws.device))
            dense = positions.learned_constant(self.const, where)
        return dense.expand(ws.shape[0], -1, -1, -1)


def is_patch(place) -> bool:
    """Whether a level draws a patch of a window rather than the whole of a canvas."""
    return positions is not None and isinstance(place, positions.Patch)


def require_positions(name: str) -> None:
    """Raises ValueError where our package is missing.

    Asked whenever a network draws, too: an unpickled one has not passed through its constructor.
    """
    if positions is None:
        raise ValueError(f'a network with positional encodings ({name}) needs the package stylegan2_mspe: '
                         'its folder beside torch_utils, or pip install -e of its checkout')


def level_encoding(plan: str, resolution: int, is_input: bool) -> str | None:
    """The name of the encoding that a plan gives the level of this resolution, or None.

    Raises ValueError for an unknown plan.
    """
    if plan == 'none':
        return None
    require_positions(plan)
    plan = positions.get_plan(plan)
    if is_input:
        return None if plan.input == positions.LEARNED else plan.input
    return plan.encoding if plan.added(int(np.log2(resolution)) - 2) else None


@persistence.persistent_class
class SynthesisNetwork(torch.nn.Module):
    """ws [N, num_ws, w_dim] -> pictures [N, img_channels, H, W], about [-1, 1], as the canvas says."""

    def __init__(self, w_dim, img_resolution, img_channels, channel_base=32768, channel_max=512,
                 num_fp16_res=0, pe='none', pe_kwargs={}, border='zero', **block_kwargs):
        assert img_resolution >= 4 and img_resolution & (img_resolution - 1) == 0
        super().__init__()
        self.w_dim, self.img_resolution, self.img_channels, self.pe = w_dim, img_resolution, img_channels, pe
        if border not in ('zero', 'plane'):
            raise ValueError(f'a border {border!r}: expected zero or plane')
        self.border = border    # of what is no window: zeros as in StyleGAN2, or none, as inside larger ones
        self.img_resolution_log2 = img_resolution.bit_length() - 1
        self.block_resolutions = [2 ** i for i in range(2, self.img_resolution_log2 + 1)]
        half_from = lowest_half_resolution(img_resolution, num_fp16_res)
        self.num_ws = 0
        inputs = 0
        for resolution in self.block_resolutions:
            outputs = level_channels(resolution, channel_base, channel_max)
            is_last = resolution == img_resolution
            block = SynthesisBlock(inputs, outputs, w_dim=w_dim, resolution=resolution, is_last=is_last,
                                   img_channels=img_channels, img_resolution=img_resolution,
                                   pe=pe, pe_kwargs=pe_kwargs, use_fp16=resolution >= half_from,
                                   **block_kwargs)
            self.num_ws += block.num_conv + (block.num_torgb if is_last else 0)
            setattr(self, f'b{resolution}', block)
            inputs = outputs

    def __setstate__(self, state):
        """A network that StyleGAN2-ADA pickled, opened by pickle itself, knows nothing of positions."""
        super().__setstate__({'pe': 'none', 'border': 'zero', **state})
        for resolution in self.block_resolutions:
            vars(getattr(self, f'b{resolution}')).setdefault('img_resolution', self.img_resolution)

    def forward(self, ws, canvas=None, **block_kwargs):
        misc.assert_shape(ws, [None, self.num_ws, self.w_dim])
        ws = ws.to(self.b4.conv1.weight.dtype)
        if self.border != 'zero':
            require_positions(f'a border {self.border!r}')
            canvas = positions.bordered(canvas, self.border, self.img_resolution)
        if canvas is not None:
            require_positions('a canvas')
            positions.check_place(canvas, len(ws))
        places = self.places(canvas)
        x = img = None
        index = 0
        for resolution in self.block_resolutions:
            block = getattr(self, f'b{resolution}')
            # A block's RGB layer shares its w with the next block's first convolution.
            own = ws[:, index:index + block.num_conv + block.num_torgb]
            x, img = block(x, img, own, canvas=places[resolution], **block_kwargs)
            index += block.num_conv
        if canvas is not None:
            height, width = positions.output_size(canvas, self.img_resolution)
            img = img[:, :, :height, :width]
        return img

    def places(self, canvas):
        """What each level, by its resolution, has to draw: the canvas, or its patch of a window."""
        if canvas is None or not isinstance(canvas, positions.Window):
            return dict.fromkeys(self.block_resolutions, canvas)
        places, patch = {}, canvas.patch(self.img_resolution)
        for resolution in reversed(self.block_resolutions):
            places[resolution] = patch
            _, patch = getattr(self, f'b{resolution}').sources(patch)
        return places


@persistence.persistent_class
class Generator(torch.nn.Module):
    """z [N, z_dim], c [N, c_dim] -> pictures [N, img_channels, H, W], about [-1, 1].

    synthesis_kwargs takes pe='none' | 'sspe' | 'mspe' (or a registered plan) besides StyleGAN2's options.
    Without a canvas a picture is img_resolution x img_resolution; a canvas (stylegan2_mspe.pe.Canvas, or one
    per sample, or a Window of either, or coordinate tensors per level) says which part of the world to draw
    and at which size.
    """

    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={},
                 synthesis_kwargs={}):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim=w_dim, img_resolution=img_resolution,
                                          img_channels=img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=self.num_ws,
                                      **mapping_kwargs)

    def forward(self, z, c, truncation_psi=1, truncation_cutoff=None, **synthesis_kwargs):
        ws = self.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.synthesis(ws, **synthesis_kwargs)


# ------------------------------------------------------------------------------------------------------------
# Discriminator.


@persistence.persistent_class
class DiscriminatorBlock(torch.nn.Module):
    """One scale of the discriminator: x [N, in, H, W] -> [N, out, H/2, W/2]; the first takes the picture."""

    half_dtype = None               # of a block that StyleGAN2-ADA pickled

    def __init__(self, in_channels, tmp_channels, out_channels, resolution, img_channels, first_layer_idx,
                 architecture='resnet', activation='lrelu', resample_filter=[1, 3, 3, 1], conv_clamp=None,
                 use_fp16=False, fp16_channels_last=False, freeze_layers=0):
        assert in_channels in (0, tmp_channels) and architecture in ('orig', 'skip', 'resnet')
        super().__init__()
        self.in_channels, self.resolution, self.img_channels = in_channels, resolution, img_channels
        self.first_layer_idx, self.architecture = first_layer_idx, architecture
        self.use_fp16, self.half_dtype = use_fp16, None
        self.channels_last = use_fp16 and fp16_channels_last
        self.register_buffer('resample_filter', upfirdn2d.setup_filter(resample_filter))
        self.num_layers = 0

        def layer(*args, **kwargs):
            trainable = self.first_layer_idx + self.num_layers >= freeze_layers
            self.num_layers += 1
            return Conv2dLayer(*args, trainable=trainable, conv_clamp=conv_clamp,
                               channels_last=self.channels_last, **kwargs)

        if in_channels == 0 or architecture == 'skip':
            self.fromrgb = layer(img_channels, tmp_channels, kernel_size=1, activation=activation)
        self.conv0 = layer(tmp_channels, tmp_channels, kernel_size=3, activation=activation)
        self.conv1 = layer(tmp_channels, out_channels, kernel_size=3, activation=activation, down=2,
                           resample_filter=resample_filter)
        if architecture == 'resnet':
            self.skip = layer(tmp_channels, out_channels, kernel_size=1, bias=False, down=2,
                              resample_filter=resample_filter)

    def forward(self, x, img, force_fp32=False):
        device = (img if x is None else x).device
        dtype = block_dtype(self, device, force_fp32)
        to_own = dict(dtype=dtype, memory_format=block_format(self, dtype, device))
        if x is not None:
            x = x.to(**to_own)
        if self.in_channels == 0 or self.architecture == 'skip':
            y = self.fromrgb(img.to(**to_own))
            x = y if x is None else x + y
            img = upfirdn2d.downsample2d(img, self.resample_filter) if self.architecture == 'skip' else None
        if self.architecture == 'resnet':
            y = self.skip(x, gain=np.sqrt(0.5))
            x = self.conv1(self.conv0(x), gain=np.sqrt(0.5)) + y
        else:
            x = self.conv1(self.conv0(x))
        assert x.dtype == dtype
        return x, img


@persistence.persistent_class
class MinibatchStdLayer(torch.nn.Module):
    """Appends the standard deviation over groups of samples as constant channels.

    [N, C, H, W] -> [N, C + num_channels, H, W].
    """

    def __init__(self, group_size, num_channels=1):
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, x):
        count, channels, height, width = x.shape
        largest = count if self.group_size is None else min(self.group_size, count)
        # Where the group does not divide the batch, the largest that does; samples of a group are count/size
        # apart.
        size = next((size for size in range(largest, 0, -1) if count % size == 0), 1)
        groups = x.reshape(size, count // size, self.num_channels, channels // self.num_channels,
                           height, width)
        variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
        deviation = (variance + 1e-8).sqrt().mean(dim=(2, 3, 4))            # [N / size, num_channels]
        extra = deviation.repeat(size, 1)[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([x, extra.to(x.dtype)], dim=1)


@persistence.persistent_class
class DiscriminatorEpilogue(torch.nn.Module):
    """The coarsest scale: x [N, in, R, R] -> logits [N, 1], always in float32."""

    def __init__(self, in_channels, cmap_dim, resolution, img_channels, architecture='resnet',
                 mbstd_group_size=4, mbstd_num_channels=1, activation='lrelu', conv_clamp=None):
        assert architecture in ('orig', 'skip', 'resnet')
        super().__init__()
        self.in_channels, self.cmap_dim, self.resolution = in_channels, cmap_dim, resolution
        self.img_channels, self.architecture = img_channels, architecture
        if architecture == 'skip':
            self.fromrgb = Conv2dLayer(img_channels, in_channels, kernel_size=1, activation=activation)
        self.mbstd = (MinibatchStdLayer(mbstd_group_size, mbstd_num_channels)
                      if mbstd_num_channels > 0 else None)
        self.conv = Conv2dLayer(in_channels + mbstd_num_channels, in_channels, kernel_size=3,
                                activation=activation, conv_clamp=conv_clamp)
        self.fc = FullyConnectedLayer(in_channels * resolution ** 2, in_channels, activation=activation)
        self.out = FullyConnectedLayer(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x, img, cmap, force_fp32=False):
        misc.assert_shape(x, [None, self.in_channels, self.resolution, self.resolution])
        dtype = self.out.weight.dtype
        x = x.to(dtype=dtype, memory_format=torch.contiguous_format)
        if self.architecture == 'skip':
            x = x + self.fromrgb(img.to(dtype))
        if self.mbstd is not None:
            x = self.mbstd(x)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if self.cmap_dim > 0:
            x = (x * cmap).sum(dim=1, keepdim=True) * (1 / np.sqrt(self.cmap_dim))
        return x


@persistence.persistent_class
class Discriminator(torch.nn.Module):
    """img [N, img_channels, R, R], c [N, c_dim] -> logits [N, 1]."""

    def __init__(self, c_dim, img_resolution, img_channels, architecture='resnet', channel_base=32768,
                 channel_max=512, num_fp16_res=0, conv_clamp=None, cmap_dim=None, block_kwargs={},
                 mapping_kwargs={}, epilogue_kwargs={}):
        super().__init__()
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.img_resolution_log2 = img_resolution.bit_length() - 1
        self.block_resolutions = [2 ** i for i in range(self.img_resolution_log2, 2, -1)]
        half_from = lowest_half_resolution(img_resolution, num_fp16_res)
        shared = dict(img_channels=img_channels, architecture=architecture, conv_clamp=conv_clamp)
        layers = 0
        for resolution in self.block_resolutions:
            channels = level_channels(resolution, channel_base, channel_max)
            outputs = level_channels(resolution // 2, channel_base, channel_max)
            block = DiscriminatorBlock(channels if resolution < img_resolution else 0, channels, outputs,
                                       resolution=resolution, first_layer_idx=layers,
                                       use_fp16=resolution >= half_from, **block_kwargs, **shared)
            setattr(self, f'b{resolution}', block)
            layers += block.num_layers
        channels = level_channels(4, channel_base, channel_max)
        cmap_dim = 0 if c_dim == 0 else (channels if cmap_dim is None else cmap_dim)
        if c_dim > 0:
            self.mapping = MappingNetwork(z_dim=0, c_dim=c_dim, w_dim=cmap_dim, num_ws=None, w_avg_beta=None,
                                          **mapping_kwargs)
        self.b4 = DiscriminatorEpilogue(channels, cmap_dim=cmap_dim, resolution=4,
                                        **epilogue_kwargs, **shared)

    def forward(self, img, c, **block_kwargs):
        x = None
        for resolution in self.block_resolutions:
            x, img = getattr(self, f'b{resolution}')(x, img, **block_kwargs)
        cmap = self.mapping(None, c) if self.c_dim > 0 else None
        return self.b4(x, img, cmap)
