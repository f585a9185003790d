"""Find the words behind a ticket's answers: those of its most confident mistakes, and those that carry each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lt_lightning.tickets.class_words import ClassWord, WordSums
from lt_lightning.tickets.explaining import LEAVE_ONE_OUT, WINDOWS, Explanation
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.ticket import Ticket

EACH = 10
"""The number of words of a class."""
READ_AGAIN = 200
"""The number of words of the longest text that is read again without each of its words."""


@dataclass(frozen=True)
class Reasons:
    """The words behind a ticket's answers.

    Attributes:
        method: how shares are found; see `Explanation`.
        mistakes: the explanation of each mistake; None of a text that is too long for leave-one-out.
        classes: for each class, the words with the largest sums of shares over all rows; None for leave-one-out.
    """

    method: str
    mistakes: Sequence[Explanation | None]
    classes: Sequence[Sequence[ClassWord]] | None


def word_sums(ticket: Ticket) -> WordSums | None:
    """Return what adds up the shares of words, or None: only a convolutional network's score is a sum over words."""
    packed = ticket.packed
    return WordSums(packed) if isinstance(packed, Packed) and "convs.0.weight" in packed.parameters else None


def find_reasons(ticket: Ticket, texts: Sequence[str], sums: WordSums | None) -> Reasons | None:
    """Return the words behind a ticket's answers; None for the ticket of a pre-trained encoder.

    Args:
        ticket: the ticket.
        texts: the texts of the mistakes.
        sums: the sums over all rows, if the network is convolutional.
    """
    if not isinstance(ticket.packed, Packed):
        return None
    if sums is not None:
        classes = [sums.largest(place, EACH) for place in range(len(ticket.class_names))]
        return Reasons(WINDOWS, ticket.explain(texts), classes)
    short = [len(ids) <= READ_AGAIN for ids in ticket.ids(texts)]
    return Reasons(
        LEAVE_ONE_OUT,
        [ticket.explain([text])[0] if is_short else None for text, is_short in zip(texts, short, strict=True)],
        None,
    )
