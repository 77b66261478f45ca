"""A plain table: columns as wide as they must be, lines cut at the width of a terminal.

Does not know what stands in it; cells have been made visible before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qwenbuild.report.terminal import Terminal, cells, cut, pad


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], terminal: Terminal, right: frozenset[int] = frozenset()
) -> Iterator[str]:
    """A head line and a line for each row; the columns in `right` are flush right. Cut for a person without `-v` only."""
    widths = [max(cells(row[index]) for row in [head, *rows]) for index in range(len(head))]
    for number, row in enumerate([head, *rows]):
        placed = [_placed(cell, widths[index], index in right) for index, cell in enumerate(row)]
        line = "  ".join(placed).rstrip()
        line = cut(line, terminal.width) if terminal.person and not terminal.verbose else line
        yield terminal.style(line, "bold") if number == 0 else line


def _placed(cell: str, width: int, right: bool) -> str:
    return " " * (width - cells(cell)) + cell if right else pad(cell, width)
