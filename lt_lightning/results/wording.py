"""What the things of a run are called on its pages and figures: of texts with a class, or of letters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lt_lightning.results.metrics import task_of


@dataclass(frozen=True)
class Wording:
    """Names, all in lower case.

    Attributes:
        texts: the rows of the corpus.
        words: the entries of the vocabulary.
        one: what is told apart, one of them.
        many: several of them.
        tested: what a cell of a confusion counts.
        right: the share of those of one kind that are taken for what they are.
        rights: several such shares.
        valid: what `valid_acc` is.
    """

    texts: str
    words: str
    one: str
    many: str
    tested: str
    right: str
    rights: str
    valid: str


OF_TEXTS = Wording("texts", "words", "class", "classes", "test rows", "accuracy", "accuracies", "accuracy")
OF_LETTERS = Wording(
    "texts", "letters", "letter", "letters", "places in the test part", "share right", "shares", "letters right"
)
_OF_TASK: Mapping[str, Wording] = MappingProxyType(
    {
        "classification": OF_TEXTS,
        "tagging": replace(OF_LETTERS, texts="pairs"),
        "language model": OF_LETTERS,
        "sequence to sequence": replace(OF_LETTERS, texts="pairs"),
    }
)


def wording_of(description: Mapping[str, Any]) -> Wording:
    """The names that fit the task of a run, from its `run.json`.

    >>> wording_of({"task": "language model"}).words
    'letters'
    """
    return _OF_TASK[task_of(description)]
