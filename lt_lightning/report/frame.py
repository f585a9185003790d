"""What all pages are made of: the document around them, pictures, tables. Everything that users named is escaped."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

# Even if something slipped through the escapes, the browser would neither run nor fetch it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Picture:
    """A figure on the page: the SVG, what it shows (for those who do not see it) and how to read it."""

    svg: str
    shows: str
    caption: str


@dataclass(frozen=True)
class Opening:
    """The head of a page: what it is called, what kind of page it is, a lede and a quieter line."""

    name: str
    kind: str
    lede: str
    note: str


def document(opening: Opening, sections: Iterable[str], footer: str) -> str:
    """A whole page.

    Args:
        opening: its head; plain text.
        sections: what follows, as HTML.
        footer: its last lines; plain text.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(opening.name)} – {escape(opening.kind.lower())}</title>
<style>
{resources.files("lt_lightning.report").joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">{escape(opening.kind)}</p>
<h1>{escape(opening.name)}</h1>
<p class="lede">{escape(opening.lede)}</p>
<p class="note">{escape(opening.note)}</p>
</header>
{chr(10).join(section for section in sections if section)}
<footer>{escape(footer)}</footer>
</main>
</body>
</html>
"""


def headlines(tiles: Iterable[tuple[str, str, str]], note: str) -> str:
    """Tiles with a label, a large value and what it is, and a note below them."""
    cells = "\n".join(
        f"<div><dt>{escape(label)}</dt>"
        f'<dd class="value">{escape(value)}</dd><dd class="about">{escape(about)}</dd></div>'
        for label, value, about in tiles
    )
    return f'<dl class="headlines">\n{cells}\n</dl>\n<p class="note">{escape(note)}</p>'


def pictures(shown: Iterable[Picture]) -> str:
    """Numbered figures."""
    return "\n".join(_picture(number, picture) for number, picture in enumerate(shown, 1))


def _picture(number: int, picture: Picture) -> str:
    # As a data URI and not inline: ids within one SVG cannot meet those of another, and nothing in it can act.
    data = base64.b64encode(picture.svg.encode()).decode()
    return f"""<figure>
<div class="picture"><img alt="{escape(picture.shows)}" src="data:image/svg+xml;base64,{data}"></div>
<figcaption><b>Figure {number}.</b> {escape(picture.caption)}</figcaption>
</figure>"""


def cells(values: Iterable[str], texts: Sequence[int] = (), tag: str = "td") -> str:
    """Cells of a row; those at the positions `texts` hold words and not numbers."""
    return "".join(
        f'<{tag} class="text">{escape(value)}</{tag}>' if i in texts else f"<{tag}>{escape(value)}</{tag}>"
        for i, value in enumerate(values)
    )


def table(columns: Sequence[str], rows: Iterable[str], texts: Sequence[int] = (), foot: str = "") -> str:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        columns: the headings.
        rows: whole rows, as HTML.
        texts: the positions of columns that hold words.
        foot: cells of a last row, as HTML.
    """
    last = f"<tfoot><tr>{foot}</tr></tfoot>\n" if foot else ""
    return f"""<div class="scroll"><table>
<thead><tr>{cells(columns, texts, "th")}</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
{last}</table></div>"""


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Sequence[int] = ()) -> str:
    """A table of plain text."""
    return table(columns, (f"<tr>{cells(row, texts)}</tr>" for row in rows), texts)


def fact_sheet(heading: str, groups: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Names and values below headings."""
    sections = "\n".join(
        f"<section><h3>{escape(inner)}</h3>\n<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
        + "</dl></section>"
        for inner, entries in groups.items()
    )
    return f'<h2>{escape(heading)}</h2>\n<div class="facts">\n{sections}\n</div>'


def listing(heading: str, lines: Sequence[str]) -> str:
    """Lines below a heading; nothing where there are none."""
    if not lines:
        return ""
    items = "\n".join(f"<li>{escape(clean(line))}</li>" for line in lines)
    return f"<h2>{escape(heading)}</h2>\n<ul>\n{items}\n</ul>"


def clean(line: str) -> str:
    """A message as one line that any file can hold."""
    return " ".join(line.split()).encode(errors="replace").decode()
