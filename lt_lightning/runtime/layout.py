"""Format tables as plain text with Rich, which knows that characters may take two columns of a terminal, or none."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence

_GAP = 2  # columns of a terminal between two columns of a table


def table(
    rows: Sequence[Sequence[str]],
    texts: Collection[int] = (),
    *,
    rule: bool = True,
    least: Sequence[int] = (),
    width: int | None = None,
) -> str:
    """Return rows with aligned cells, without control characters.

    Args:
        rows: the same number of cells in each, each in one line.
        texts: the columns of words, which are aligned at the left; others hold numbers, aligned at the right.
        rule: whether the first row holds headings, with a rule below.
        least: the least width of each column; by default, none.
        width: the columns of the terminal; a wider table is folded: its columns come in several tables, each with the
            first column. None leaves it as wide as it is.

    >>> print(table([("name", "n"), ("宇宙", "10")], [0]))
    name   n
    --------
    宇宙  10
    """
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [max(one) for one in zip(_widths(rows), least or [0] * len(rows[0]), strict=True)]
    # Rules of dashes below the headings, and blanks everywhere else.
    box = Box("    \n    \n----\n    \n    \n    \n    \n    \n", ascii=True)
    # Wide enough for any table, and plain even where Rich finds a terminal or a notebook.
    console = Console(file=io.StringIO(), width=10**6, color_system=None, force_terminal=False, force_jupyter=False)
    blocks = []
    for places in _blocks(widths, width):
        made = Table(box=box, show_header=rule, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
        for place in places:
            heading = Text(rows[0][place] if rule else "")
            made.add_column(
                heading, justify="left" if place in texts else "right", no_wrap=True, min_width=widths[place]
            )
        for row in rows[1:] if rule else rows:
            made.add_row(*(Text(row[place]) for place in places))
        with console.capture() as printed:
            console.print(made)
        blocks.append("\n".join(line.rstrip() for line in printed.get().rstrip("\n").split("\n")))
    return "\n\n".join(blocks)


def table_width(rows: Sequence[Sequence[str]]) -> int:
    """Return the width of a table, in columns of a terminal."""
    return sum(_widths(rows)) + _GAP * (len(rows[0]) - 1)


def _blocks(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Return the columns of each block: the first one, and at least one other."""
    blocks, taken = [[0]], widths[0]
    for place in range(1, len(widths)):
        if width is not None and len(blocks[-1]) > 1 and taken + _GAP + widths[place] > width:
            blocks.append([0])
            taken = widths[0]
        blocks[-1].append(place)
        taken += _GAP + widths[place]
    return blocks


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
