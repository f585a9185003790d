"""Check the letters of strings and format them for messages. Imports no torch."""

from __future__ import annotations

import unicodedata

from lt_lightning.errors import SettingError

SHOWN = 40
"""The largest number of characters of a string in an error message."""


def check_alphabet(alphabet: str) -> None:
    """Raise a `SettingError` unless the alphabet has two or more different letters."""
    for place, letter in enumerate(alphabet):
        if letter in alphabet[:place]:
            raise SettingError(f"data.alphabet: {show(letter)} is in {show(alphabet)} twice; give each letter once")
        if is_surrogate(letter):
            raise SettingError(f"data.alphabet: {show(letter)} is half a character; write it in UTF-8, or leave it out")
    if len(alphabet) < 2:
        held = f"{show(alphabet)} is a single letter" if alphabet else "it is empty"
        raise SettingError(f"data.alphabet: {held}; give two or more, such as abc")


def is_surrogate(letter: str) -> bool:
    """Return whether a character is half of one, as a command line that is not UTF-8 gives; it cannot be encoded."""
    return "\ud800" <= letter <= "\udfff"


def show(text: str) -> str:
    """Return a string in quotes, on one line, shortened."""
    return repr(text) if len(text) <= SHOWN else f"{text[: SHOWN - 1]!r}…"


def name_letter(letter: str) -> str:
    """Return a letter, or a unique name for an invisible one.

    >>> name_letter("a"), name_letter(" "), name_letter(chr(10))
    ('a', 'space', 'U+000A')
    """
    if letter.isprintable() and letter != " ":
        return letter
    name = unicodedata.name(letter, None)
    return name.lower() if name else f"U+{ord(letter):04X}"
