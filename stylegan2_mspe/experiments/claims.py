"""What a paper, or an issue, claims, beside what was found here."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from stylegan2_mspe.quality import Quality


class Claim(NamedTuple):
    """One sentence, what was measured, and whether it holds: None where a network for it was not there, or is
    not good, so that its numbers do not count."""
    text: str
    found: str
    holds: bool | None

    def sentence(self) -> str:
        verdict = {True: 'Holds', False: 'Does not hold', None: 'Not settled'}[self.holds]
        return f'{verdict}: {self.text} ({self.found}).'


def needs(text: str, labels: Sequence[str]) -> Claim:
    """A claim that was not measured for want of networks."""
    return Claim(text, f'needs --network {" and ".join(f"{label}=FILE" for label in labels)}', None)


def settled(text: str, found: str, holds: bool, qualities: dict[str, Quality],
            labels: Sequence[str]) -> Claim:
    """A claim about networks of these labels, which counts where they are good, or draw no digits at all."""
    bad = [label for label in labels if label in qualities and not qualities[label].good]
    if bad:
        return Claim(text, f'{found}, but {" and ".join(bad)} not good', None)
    return Claim(text, found, bool(holds))


def good_networks(qualities: dict[str, Quality]) -> Claim:
    """Whether the others mean anything: similarity rewards blur, and a network that draws one shape."""
    bad = [label for label, quality in qualities.items() if not quality.good]
    text = 'every network draws all ten classes, legibly, so that the numbers count'
    found = '; '.join(f'{label} {quality.brief()}' for label, quality in qualities.items())
    return Claim(text, found, not bad)


def of_two(rows: Sequence, labels: tuple[str, str], texts: Sequence[str],
           compared: Callable[..., Iterable[tuple[str, bool]]],
           qualities: dict[str, Quality] | None) -> list[Claim]:
    """Claims (texts) about the networks of two labels, by their rows of a table; for networks of digits,
    which have qualities, after the one that these are good. compared(first row, second row): for each text,
    what was found and whether it holds.
    """
    by_name = {row.network: row for row in rows}
    found = [good_networks(qualities)] if qualities else []
    if not set(labels) <= by_name.keys():
        return found + [needs(text, labels) for text in texts]
    answers = compared(*(by_name[label] for label in labels))
    return found + [settled(text, *answer, qualities or {}, labels) for text, answer in zip(texts, answers)]
