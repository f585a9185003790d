"""Render pages from templates, which escape every value. Jinja is imported when the first page is rendered."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lt_lightning.runs.formatting import DASH, percent, say

if TYPE_CHECKING:
    from jinja2 import Environment


_LONGEST = 24
"""The number of rows of a table that is not folded."""


@dataclass(frozen=True)
class Picture:
    """A figure on a page.

    Attributes:
        svg: the figure.
        shows: its content in words, for readers who cannot see it.
        caption: how to read it.
    """

    svg: str
    shows: str
    caption: str

    @property
    def data(self) -> str:
        """Return the SVG as a data URI.

        Inline SVG would share its ids with other figures, and scripts within it would run.
        """
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


class Shown(NamedTuple):
    """A column of a table on a page.

    Attributes:
        heading: the heading.
        name: the name of its values in the rows.
        show: return a value as the text of a cell.
        is_text: whether cells are words, or else numbers.
    """

    heading: str
    name: str
    show: Callable[[Any], str] = str
    is_text: bool = False


class Section(NamedTuple):
    """A table on a page with its heading and the note below it; without rows it is not shown.

    If `can_fold`, a long table is folded until a reader opens it.
    """

    heading: str
    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Shown]
    note: str = ""
    foot: Mapping[str, Any] | None = None
    can_fold: bool = False

    @property
    def is_folded(self) -> bool:
        """Whether the table is folded."""
        return self.can_fold and len(self.rows) > _LONGEST

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """Return the cells of a row."""
        return [DASH if row[one.name] is None else one.show(row[one.name]) for one in self.columns]

    @property
    def texts(self) -> list[int]:
        """The positions of the columns of words."""
        return [position for position, column in enumerate(self.columns) if column.is_text]


def render(template: str, **values: Any) -> str:
    """Return a page from a file in `templates/` and the values that it names, unescaped.

    Raises:
        jinja2.UndefinedError: if the template names a value that is missing.
    """
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """Return the Jinja environment of all templates; values are escaped in those that end in `.html.j2`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=PackageLoader("lt_lightning.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "grouped": "{:,}".format, "markdown": markdown, "one_line": one_line, "percent": percent, "say": say,
    }  # fmt: skip
    return made


def one_line(message: str) -> str:
    """Return a message as one line that any file can hold."""
    return " ".join(message.split()).encode(errors="replace").decode()


def markdown(text: object) -> str:
    r"""Return a text in one line that Markdown and HTML show unchanged.

    >>> print(markdown("a *b* <c>"))
    a \*b\* \<c\>
    """
    return " ".join("".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#" else letter for letter in str(text)).split())
