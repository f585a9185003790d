"""A ticket in a browser: the reader in JavaScript, and one page with the ticket inside. Imports no NumPy."""

from __future__ import annotations

import base64
import html
import re
from functools import cache
from importlib.resources import files

from lt_lightning.data import characters

PAGE_MARK = "<!-- a ticket of lt-lightning, with all that it needs -->"
"""Near the beginning of each page."""
READER_MARK = "Classify texts with a ticket, in a browser or in Node"
"""Near the beginning of the reader."""


@cache
def asset(name: str) -> str:
    """Return a file of this folder: `page.js`, `page.css` or `page.html`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def reader() -> str:
    """Return the reader, `ticket.js` of this folder with the tables of characters."""
    script = asset("ticket.js")
    for name in ("SPACES", "MARKS", "LOWER"):
        script = script.replace(f"@{name}@", getattr(characters, name))
    return script


def module() -> str:
    """Return the reader and the page's elements as one script, with `loadTicket` and `mount`, without comments."""
    return _bare(reader()) + _bare(asset("page.js"))


def page(ticket: bytes, title: str) -> str:
    """Return a page that classifies with a ticket.

    Args:
        ticket: the file of the ticket.
        title: the title of the page.
    """
    return asset("page.html").format(
        mark=PAGE_MARK,
        title=html.escape(title),
        style=tidy(asset("page.css")),
        ticket=base64.b64encode(ticket).decode(),
        script=module(),
    )


def tidy(style: str) -> str:
    """Return a style sheet without indentation."""
    return re.sub(r"\n\s*", "\n", style)


def _bare(script: str) -> str:
    """Return a script of this folder without comments and indentation. No string in one looks like a comment."""
    script = re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL)
    script = re.sub(r"(?m)(^|\s)//.*$", "", script)
    return re.sub(r"\n\s*", "\n", script)
