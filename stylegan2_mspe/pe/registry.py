"""Encodings and plans by name, so that another module can add its own without touching ours.

A plan says which levels of a network get an encoding and what feeds the coarsest one:

    register_plan('every-second', Plan(input='sinusoidal', added=lambda level: level % 2 == 0))
"""

import dataclasses
import difflib
from collections.abc import Callable

LEARNED = 'learned'             # the input is StyleGAN2's learned constant, a parameter of the network


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where a network gets its positions from."""
    # What feeds the coarsest level: LEARNED or an encoding's name.
    input: str = LEARNED
    # Whether level l = 1, 2 ... adds an encoding (Eq. 3); 0 is the coarsest.
    added: Callable[[int], bool] = lambda level: False
    # The encoding's name at those levels.
    encoding: str = 'sinusoidal'


_encodings: dict[str, Callable] = {}
_plans: dict[str, Plan] = {}


def register_encoding(name: str) -> Callable:
    """Decorator: names a function (coordinates, channels, resolution, **options) -> Separable or dense."""
    def register(function: Callable) -> Callable:
        _encodings[name] = function
        return function
    return register


def register_plan(name: str, plan: Plan) -> None:
    """Names a plan; networks look it up as `pe=name`."""
    _plans[name] = plan


def get_encoding(name: str) -> Callable:
    """The encoding of that name; ValueError with near names where there is none."""
    return _look_up(_encodings, name, 'positional encoding')


def get_plan(name: str) -> Plan:
    """The plan of that name; ValueError with near names where there is none."""
    return _look_up(_plans, name, 'positional-encoding plan')


def plan_names() -> list[str]:
    return sorted(_plans)


def _look_up(table: dict, name: str, kind: str):
    if name not in table:
        near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.5)
        hint = f' (did you mean {near[0]!r}?)' if near else ''
        raise ValueError(f'unknown {kind} {name!r}{hint}: expected one of {", ".join(sorted(table))}')
    return table[name]


register_plan('none', Plan())                                               # StyleGAN2, the baseline
register_plan('sspe', Plan(input='sinusoidal'))                             # the coarsest level only (SS-PE)
register_plan('mspe', Plan(input='sinusoidal', added=lambda level: True))   # every level (MS-PE, Eq. 3 and 4)
# Every level, going round the trained picture; ours.
register_plan('mspe-periodic', Plan(input='periodic', added=lambda level: True, encoding='periodic'))
