"""Show which words decided: as a line, as a page."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

import numpy as np

from lt_lightning.tickets.explaining import LEAVE_ONE_OUT, Explanation
from lt_lightning.tickets.web import style

FEW = 5
"""Words of a line."""
LEAST = 0.05
"""Words whose share is less than this part of the largest are not named."""
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""The bidirectional classes of characters that change the order of others."""


def deciding(found: Explanation, place: int, most: int = FEW) -> list[tuple[str, float]]:
    """Return the words with the largest shares of the score of a class, and the shares, the largest first.

    Args:
        found: the explanation of a text.
        place: the number of the class.
        most: how many words at most.
    """
    shares = found.of_class(place)
    least = LEAST * np.abs(shares).max(initial=0)
    order = np.argsort(-np.abs(shares), kind="stable")[:most].tolist()
    words = found.words
    return [(words[at], float(shares[at])) for at in order if shares[at] and abs(shares[at]) >= least]


def speaking(found: Explanation, place: int, most: int = FEW) -> list[tuple[str, float]]:
    """Return the words that speak for a class, those with the largest positive shares of its score, like `deciding`."""
    return [(word, share) for word, share in deciding(found, place, len(found.spans)) if share > 0][:most]


def signed(share: float, digits: int = 2) -> str:
    """Return a share with its sign.

    >>> signed(-1.234), signed(1234.56, 1)
    ('−1.23', '+1,234.6')
    """
    return f"{share:+,.{digits}f}".replace("-", "−")


def reasons_line(found: Explanation, place: int) -> str:
    """Return the words that decided for or against a class, in one line."""
    return ", ".join(f"{' '.join(word.split())} {signed(share)}" for word, share in deciding(found, place))


def marked(found: Explanation, place: int, most: int | None = None) -> str:
    """Return a text in HTML with its words marked by what they add to the score of a class.

    Args:
        found: the explanation of a text.
        place: the number of the class.
        most: the number of characters of the text at most; None for all.
    """
    shares = found.of_class(place)
    largest = np.abs(shares).max(initial=0) or 1.0
    text = found.text[:most]
    parts, end = [], 0
    for (start, stop), share in zip(found.spans, shares.tolist(), strict=True):
        if stop > len(text):
            break
        parts.append(_shown(text[end:start]))
        word, end = _shown(text[start:stop]), stop
        strength = abs(share) / largest
        if strength < LEAST:
            parts.append(word)
            continue
        side = "for" if share > 0 else "against"
        style = f"background-color:rgba(var(--{side}),{0.45 * strength:.2f})"
        parts.append(f'<span class="{side}" style="{style}" title="{signed(share)}">{word}</span>')
    return "".join([*parts, _shown(text[end:])])


def inert(text: str) -> str:
    r"""Return a text with control characters, also those that turn a line round, as escapes.

    >>> print(inert("a\nb\x07\u202e"))
    a
    b\x07\u202e
    """
    return "".join(letter.encode("unicode_escape").decode() if _acts(letter) else letter for letter in text)


def _shown(text: str) -> str:
    return html.escape(inert(text))


def _acts(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in _TURNS or (
        unicodedata.category(letter) == "Cc" and letter not in "\t\n\r"
    )


def reasons_section(found: Explanation, names: Sequence[str], place: int, probability: float) -> str:
    """Return a part of a page: the answer to a text, its words marked, and those that decided."""
    words = "".join(
        f"<li>{_shown(word)} <span class=number>{signed(share)}</span></li>"
        for word, share in deciding(found, place, 2 * FEW)
    )
    return (
        f"<section><h2>{html.escape(names[place])}, {100 * probability:.1f} %</h2>\n"
        f'<p class="words">{marked(found, place)}</p>\n<ol class="deciding">{words}</ol></section>\n'
    )


def reasons_page(sections: Sequence[str], method: str, title: str) -> str:
    """Return a page of reasons.

    Args:
        sections: what `reasons_section` returned of each text.
        method: how the shares were found; see `Explanation`.
        title: its title.
    """
    what = "how much the score falls without the word" if method == LEAVE_ONE_OUT else "what the word adds to the score"
    about = (
        'The words that decided: <span class="for">for</span> the class, <span class="against">against</span> it. '
        f"A number is {what}."
    )
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
    )
    return (
        f"{head}<title>{html.escape(title)}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n"
        f'<main class="ticket">\n<h1>{html.escape(title)}</h1>\n<p class="quiet words">{about}</p>\n'
        f"{''.join(sections)}</main>\n</body>\n</html>\n"
    )
