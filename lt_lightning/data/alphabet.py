"""The letters that strings are made of, and how letters and strings are shown to people.

Imports no torch: a rejected setting answers at once.
"""

from __future__ import annotations

import unicodedata

from lt_lightning.errors import SettingError

SHOWN = 40
"""So many characters of a string stand in an error's line."""


def check_alphabet(alphabet: str) -> None:
    """See that there are letters to tell apart, each once.

    Raises:
        SettingError: if there are fewer than two, or one is there twice.
    """
    for place, letter in enumerate(alphabet):
        if letter in alphabet[:place]:
            raise SettingError(f"data.alphabet: {show(letter)} is in {show(alphabet)} twice; give each letter once")
        if is_surrogate(letter):
            raise SettingError(f"data.alphabet: {show(letter)} is half a character; write it in UTF-8, or leave it out")
    if len(alphabet) < 2:
        held = f"{show(alphabet)} is a single letter" if alphabet else "it is empty"
        raise SettingError(f"data.alphabet: {held}; give two or more, such as abc")


def is_surrogate(letter: str) -> bool:
    """Whether a character is half of one, as a command line that is not in UTF-8 leaves behind; none can be encoded."""
    return "\ud800" <= letter <= "\udfff"


def show(text: str) -> str:
    """A string in quotes, on one line, and not too long for it."""
    return repr(text) if len(text) <= SHOWN else f"{text[: SHOWN - 1]!r}…"


def name_letter(letter: str) -> str:
    """A letter, or what an invisible one is called: no two are called the same.

    Example:
        >>> name_letter("a"), name_letter(" "), name_letter(chr(10))
        ('a', 'space', 'U+000A')
    """
    if letter.isprintable() and letter != " ":
        return letter
    name = unicodedata.name(letter, None)
    return name.lower() if name else f"U+{ord(letter):04X}"
