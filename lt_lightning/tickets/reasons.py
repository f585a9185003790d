"""Show which words decided: as a line, as a page."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from lt_lightning.tickets.explaining import LEAVE_ONE_OUT, Explanation
from lt_lightning.tickets.web import style

FEW = 5
"""Words of a line."""
LEAST = 0.05
"""Words whose share is less than this part of the largest are not named."""


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


def signed(share: float) -> str:
    """Return a share with its sign.

    >>> signed(-1.234)
    '−1.23'
    """
    return f"{share:+.2f}".replace("-", "−")


def reasons_line(found: Explanation, place: int) -> str:
    """Return the words that decided for or against a class, in one line."""
    return ", ".join(f"{' '.join(word.split())} {signed(share)}" for word, share in deciding(found, place))


def marked(found: Explanation, place: int) -> str:
    """Return a text in HTML with its words marked by what they add to the score of a class."""
    shares = found.of_class(place)
    largest = np.abs(shares).max(initial=0) or 1.0
    parts, end = [], 0
    for (start, stop), share in zip(found.spans, shares.tolist(), strict=True):
        parts.append(html.escape(found.text[end:start]))
        word, end = html.escape(found.text[start:stop]), stop
        strength = abs(share) / largest
        if strength < LEAST:
            parts.append(word)
            continue
        side = "for" if share > 0 else "against"
        style = f"background-color:rgba(var(--{side}),{0.45 * strength:.2f})"
        parts.append(f'<span class="{side}" style="{style}" title="{signed(share)}">{word}</span>')
    return "".join([*parts, html.escape(found.text[end:])])


def reasons_section(found: Explanation, names: Sequence[str], place: int, probability: float) -> str:
    """Return a part of a page: the answer to a text, its words marked, and those that decided."""
    words = "".join(
        f"<li>{html.escape(word)} <span class=number>{signed(share)}</span></li>"
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
