"""Text in the columns of a terminal, where a letter of some scripts takes two and others none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

GAP = "  "
"""Between two columns of a table."""


def shorten(text: str, width: int) -> str:
    """Return the beginning of a text that takes at most `width` columns.

    >>> shorten("a long text", 7), shorten("宇宙の星", 5), shorten("short", 5)
    ('a long…', '宇宙…', 'short')
    """
    if cell_len(text) <= width:
        return text
    end = min(len(text), width)
    while end and cell_len(text[:end]) > width - 1:
        end -= 1
    return f"{text[:end]}…"


def wrap(text: str, width: int | None) -> str:
    r"""Return a text in lines of at most `width` columns, broken between words; None leaves it in one line.

    >>> wrap("so many words", 9)
    'so many\nwords'
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width is None or not lines[-1] or cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def table_width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many columns of a terminal a table takes."""
    return sum(_widths(rows)) + len(GAP) * (len(rows[0]) - 1)


def table(rows: Sequence[Sequence[str]], texts: Sequence[int], *, rule: bool = True, width: int | None = None) -> str:
    """Return rows with their cells below each other.

    Args:
        rows: the same number of cells in each.
        texts: the columns of words, which are aligned at the left; others hold numbers, aligned at the right.
        rule: whether the first row holds headings, with a rule below.
        width: the columns of the terminal; a wider table is folded: its columns come in several tables, each with the
            first column. None leaves it as wide as it is.
    """
    return "\n\n".join(_block(rows, places, texts, rule) for places in _blocks(_widths(rows), width))


def _block(rows: Sequence[Sequence[str]], places: Sequence[int], texts: Sequence[int], rule: bool) -> str:
    rows = [[row[place] for place in places] for row in rows]
    widths = _widths(rows)
    lines = []
    for row in rows:
        cells = []
        for place, cell, width in zip(places, row, widths, strict=True):
            blanks = " " * (width - cell_len(cell))
            cells.append(cell + blanks if place in texts else blanks + cell)
        lines.append(GAP.join(cells).rstrip())
    if rule:
        lines.insert(1, "-" * max(map(cell_len, lines)))
    return "\n".join(lines)


def _blocks(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Return which columns stand together: the first in each block, and at least one other."""
    blocks, taken = [[0]], widths[0]
    for place in range(1, len(widths)):
        if width is not None and len(blocks[-1]) > 1 and taken + len(GAP) + widths[place] > width:
            blocks.append([0])
            taken = widths[0]
        blocks[-1].append(place)
        taken += len(GAP) + widths[place]
    return blocks


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
