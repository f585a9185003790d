"""What tickets make of some texts, as a section of a run's page: whatever a text holds is escaped, and can be seen."""

from collections.abc import Sequence
from html import escape
from itertools import groupby, zip_longest

from lt_lightning.report import frame
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import ExampleRecord
from lt_lightning.runs.terminal import percent
from lt_lightning.runs.winners import telling_rounds
from lt_lightning.runs.wording import wording_of

_EACH = 8  # examples of a round
_LONGEST = 1000  # letters of a text
_NOTE = "Letters of an answer that are not those expected at their place are <mark>marked</mark>."


def examples_section(run: Run) -> str:
    """What the full network, the ticket to look at and the last one make of some texts; nothing where none are kept."""
    rounds = telling_rounds(run.records, run.metric, wording_of(run.description))
    rounds.setdefault(run.records[-1].round, "last round")
    found = {round_: [row for row in run.examples if row.round == round_][:_EACH] for round_ in rounds}
    sections = [
        f'<section class="examples">\n<h3>{title[0].upper()}{title[1:]}, round {round_}: '
        f"{percent(run.records[round_].density)} alive</h3>\n{_table(found[round_])}\n</section>"
        for round_, title in rounds.items()
        if found[round_]
    ]
    if not sections:
        return ""
    judged = any(row.expected for rows in found.values() for row in rows)
    return "\n".join(["<h2>Examples</h2>", *sections, *([f'<p class="note">{_NOTE}</p>'] if judged else [])])


def _table(rows: Sequence[ExampleRecord]) -> str:
    # Of a text that goes on freely there is nothing to expect.
    judged = any(row.expected for row in rows)
    columns = ("given", "expected", "answer") if judged else ("given", "answer")
    cells = [
        [
            text_html(row.given),
            *([text_html(row.expected)] if judged else []),
            answer_html(row.answer, row.expected) if row.expected else text_html(row.answer),
        ]
        for row in rows
    ]
    lines = ["".join(f'<td class="text">{cell}</td>' for cell in row) for row in cells]
    return frame.table(columns, [f"<tr>{line}</tr>" for line in lines], range(len(columns)))


def text_html(text: str) -> str:
    r"""A text as HTML in which every letter is seen; of a very long one the beginning.

    >>> text_html("a <b>\r")
    '<bdi>a &lt;b&gt;<span class="aside">\\r</span></bdi>'
    """
    return f"<bdi>{_seen(text[:_LONGEST])}</bdi>{_cut(text)}"


def answer_html(answer: str, expected: str) -> str:
    """An answer as HTML, its wrong letters marked, and how many are missing at its end.

    >>> answer_html("ihelll", "ihello!")
    '<bdi>ihell<mark>l</mark></bdi> <span class="aside">1 letter missing</span>'
    """
    places = list(zip_longest(answer[:_LONGEST], expected[: len(answer)][:_LONGEST]))
    pieces = []
    for is_wrong, run in groupby(places, key=lambda place: place[0] != place[1]):
        letters = "".join(letter for letter, _ in run)
        # A line's end has no ink that could be marked.
        pieces.append(f"<mark>{_seen(letters.replace(chr(10), '↵' + chr(10)))}</mark>" if is_wrong else _seen(letters))
    missing = len(expected) - len(answer)
    lacks = f"{missing:,} letter{'s' * (missing > 1)} missing"
    return f"<bdi>{''.join(pieces)}</bdi>{_cut(answer)}" + (
        f' <span class="aside">{lacks}</span>' if missing > 0 else ""
    )


def _seen(text: str) -> str:
    # What has no ink, and might act, is written as an escape. Spaces, tabs and line feeds are laid out.
    return "".join(
        escape(letter)
        if letter.isprintable() or letter in "\t\n"
        else f'<span class="aside">{letter.encode("unicode_escape").decode()}</span>'
        for letter in text
    )


def _cut(text: str) -> str:
    return f' <span class="aside">… {len(text):,} letters in all</span>' if len(text) > _LONGEST else ""
