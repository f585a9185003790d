"""A ticket in a browser: the reader in JavaScript, and one page with the ticket inside. Imports no NumPy."""

from __future__ import annotations

import base64
import html
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files

from lt_lightning.data import characters

PAGE_MARK = "<!-- a ticket of lt-lightning, with all that it needs -->"
"""Near the beginning of each page."""
READER_MARK = "Classify texts with a ticket, in a browser or in Node"
"""Near the beginning of the reader."""


@cache
def asset(name: str) -> str:
    """Return a file of this folder, such as `page.js`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def reader() -> str:
    """Return the reader, `ticket.js` of this folder with the tables of characters."""
    script = asset("ticket.js")
    for name in ("SPACES", "MARKS", "LOWER"):
        script = script.replace(f"@{name}@", getattr(characters, name))
    return script


@cache
def script() -> str:
    """Return the module of a page: it shows the ticket of the page's element `ticket` in the one of class `ticket`."""
    return "".join(map(_bare, (reader(), asset("page.js"), asset("start.js"))))


@cache
def script_policy() -> str:
    """Return the source of a content security policy that lets `script` run, and no other script."""
    return f"'sha256-{base64.b64encode(sha256(script().encode()).digest()).decode()}'"


@cache
def style() -> str:
    """Return the style sheet of a page, without indentation: of elements of class `ticket` and `words` alone."""
    return words_style() + re.sub(r"\n\s*", "\n", asset("page.css"))


def words_style() -> str:
    """Return the style sheet of marked words, in elements of class `words`, without indentation."""
    return re.sub(r"\n\s*", "\n", asset("words.css"))


def page(ticket: bytes, title: str) -> str:
    """Return a page that classifies with a ticket.

    Args:
        ticket: the file of the ticket.
        title: the title of the page.
    """
    return asset("page.html").format(
        mark=PAGE_MARK,
        title=html.escape(title),
        policy=script_policy(),
        style=style(),
        ticket=base64.b64encode(ticket).decode(),
        script=script(),
    )


def _bare(script: str) -> str:
    """Return a script of this folder without comments and indentation. No string in one looks like a comment."""
    script = re.sub(r"/\*.*?\*/", "", script, flags=re.DOTALL)
    script = re.sub(r"(?m)(^|\s)//.*$", "", script)
    return re.sub(r"\n\s*", "\n", script)
