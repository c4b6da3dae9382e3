"""Positional encodings on any canvas: the hook that GANs and diffusion models share."""

from .canvas import Axis, Canvas, Coordinates, Piece
from .encodings import Separable, cartesian, learned_constant, periodic, sinusoidal
from .injection import (
    Place,
    bordered,
    cells,
    check_options,
    check_place,
    coordinates,
    encode,
    inject,
    noise,
    output_size,
)
from .registry import LEARNED, Plan, get_encoding, get_plan, plan_names, register_encoding, register_plan
from .window import BORDERS, Patch, Span, Window
