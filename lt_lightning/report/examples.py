"""Cut the answers of a run's tickets to some texts into pieces that a page can mark."""

from itertools import groupby, zip_longest
from typing import NamedTuple

from lt_lightning.runs.formatting import percent
from lt_lightning.runs.reading import Run
from lt_lightning.runs.winners import telling_rounds

_EACH = 8  # the number of examples of a round
_LONGEST = 1000  # the number of letters of a text


class Letters(NamedTuple):
    """A text whose letters can all be seen.

    Attributes:
        runs: its pieces: whether their letters are wrong, and of each piece whether it has ink or is an escape.
        cut: the number of letters of the whole text, if only its beginning is here; otherwise 0.
        missing: the number of letters that its end lacks.
    """

    runs: list[tuple[bool, list[tuple[bool, str]]]]
    cut: int
    missing: int


class Section(NamedTuple):
    """The examples of a round.

    Attributes:
        heading: the round in words.
        is_judged: whether an answer is expected; a text that is continued freely has none.
        rows: given text, expected text if there is one, and answer.
    """

    heading: str
    is_judged: bool
    rows: list[list[Letters]]


def example_sections(run: Run) -> list[Section]:
    """Return the examples of the full network, of the ticket to look at and of the last round."""
    rounds = telling_rounds(run.compared, run.metric, run.description.words)
    rounds.setdefault(run.records[-1].round, "last round")
    sections = []
    for round_, title in rounds.items():
        rows, record = [row for row in run.examples if row.round == round_][:_EACH], run.record(round_)
        if record is None:  # a branch may have no full network of its own
            continue
        is_judged = any(row.expected for row in rows)
        heading = f"{title.capitalize()}, round {round_}: {percent(record.density)} alive"
        shown = [
            [letters(row.given), *([letters(row.expected)] if is_judged else []), letters(row.answer, row.expected)]
            for row in rows
        ]
        sections += [Section(heading, is_judged, shown)] if rows else []
    return sections


def letters(text: str, expected: str = "") -> Letters:
    r"""Return the pieces of a text, or of its beginning if it is long; without an `expected` text, nothing is wrong.

    >>> letters("ihell\r", "ihello!")
    Letters(runs=[(False, [(True, 'ihell')]), (True, [(False, '\\r')])], cut=0, missing=1)
    """
    places = zip_longest(text[:_LONGEST], expected[: len(text)][:_LONGEST])
    runs = []
    for is_wrong, run in groupby(places, key=lambda place: bool(expected) and place[0] != place[1]):
        piece = "".join(letter for letter, _ in run)
        # A line end has no ink to mark.
        runs.append((is_wrong, _pieces(piece.replace("\n", "↵\n") if is_wrong else piece)))
    cut = len(text) if len(text) > _LONGEST else 0
    return Letters(runs, cut, max(0, len(expected) - len(text)))


def _pieces(text: str) -> list[tuple[bool, str]]:
    # Letters without ink, such as control characters, become escapes. Spaces, tabs and line feeds stay.
    pieces = []
    for has_ink, run in groupby(text, key=lambda letter: letter.isprintable() or letter in "\t\n"):
        piece = "".join(run)
        pieces.append((has_ink, piece if has_ink else piece.encode("unicode_escape").decode()))
    return pieces
