"""Tables as Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return ['| ' + ' | '.join(line) + ' |' for line in (head, ['---'] * len(head), *rows)]
