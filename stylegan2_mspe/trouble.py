"""What ruins a training while it seems to go on: numbers that are none, a generator that draws one picture.

Both are noticed once a tick, at no cost to the steps between, and said once, with the tick they began in.
"""

import math
from collections.abc import Iterable, Sequence

import torch

COLLAPSED = .35         # share of the real pictures' variety below which generated ones count as one shape


class Trouble:
    """Watches one run. `since` belongs to a training state: what is wrong, and the tick in which it began."""

    def __init__(self):
        self.since: dict[str, int] = {}
        self.bad: dict[str, torch.Tensor] = {}  # phase → how often its gradient was NaN in this tick
        self.finite = True              # all weights, at the last look

    def look_at_gradients(self, phase: str, gradients: Iterable[torch.Tensor]) -> None:
        """Remembers whether there is a NaN in one of them; does not wait for a GPU to tell."""
        norms = [gradient.norm() for gradient in gradients]
        if norms:
            bad = torch.stack(norms).isnan().any().long()
            self.bad[phase] = self.bad.get(phase, 0) + bad

    def mend_gradients(self, phase: str, gradients: Sequence[torch.Tensor]) -> None:
        """Looks at them and makes them finite, in place: one bad picture must not end a run of days."""
        self.look_at_gradients(phase, gradients)
        for gradient in gradients:
            torch.nan_to_num(gradient, nan=0, posinf=1e5, neginf=-1e5, out=gradient)

    def close_tick(self, tick: int, losses: dict[str, dict], tensors: dict[str, Iterable[torch.Tensor]],
                   variety: float | None) -> list[str]:
        """Sentences about what began in this tick.

        losses: this tick's statistics by name. tensors: by what to call them. variety: of
        generated pictures as a share of the real ones', None where none were drawn.
        """
        names = [name for name, field in losses.items() if not math.isfinite(field['mean'])]
        names += [f"{phase}'s gradient" for phase, count in self.bad.items() if int(count)]
        self.bad.clear()
        broken = [name for name, values in tensors.items() if not all_finite(values)]
        self.finite = not broken
        said = self._note('NaN', bool(names or broken), tick, f'NaN in {", ".join([*broken, *names])}')
        if variety is not None and self.finite:     # else its pictures are black
            said += self._note('collapse', variety < COLLAPSED, tick,
                               'the generator has collapsed: its pictures differ from each other '
                               f'{variety:.2f} times as much as real ones, expected at least {COLLAPSED}')
        return said

    def _note(self, kind: str, found: bool, tick: int, sentence: str) -> list[str]:
        if not found:
            self.since.pop(kind, None)
            return []
        if kind in self.since:
            return []
        self.since[kind] = tick
        return [f'{sentence} (since tick {tick})']


def all_finite(values: Iterable[torch.Tensor]) -> bool:
    return bool(torch.stack([value.isfinite().all() for value in values]).all())
