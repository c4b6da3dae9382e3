"""The pipes that --augpipe names: which transformations AugmentPipe may apply, each with weight 1."""

_BLIT = ('xflip', 'rotate90', 'xint')
_GEOM = ('scale', 'rotate', 'aniso', 'xfrac')
_COLOR = ('brightness', 'contrast', 'lumaflip', 'hue', 'saturation')

_KINDS = {
    'blit': _BLIT,
    'geom': _GEOM,
    'color': _COLOR,
    'filter': ('imgfilter',),
    'noise': ('noise',),
    'cutout': ('cutout',),
    'bg': _BLIT + _GEOM,
    'bgc': _BLIT + _GEOM + _COLOR,
    'bgcf': _BLIT + _GEOM + _COLOR + ('imgfilter',),
    'bgcfn': _BLIT + _GEOM + _COLOR + ('imgfilter', 'noise'),
    'bgcfnc': _BLIT + _GEOM + _COLOR + ('imgfilter', 'noise', 'cutout'),
}

PIPES = {name: dict.fromkeys(kinds, 1) for name, kinds in _KINDS.items()}   # name: arguments of AugmentPipe
