"""Names that the configuration and tickets share. Imports the standard library alone."""

from enum import Enum


class Splitter(str, Enum):
    """How texts fall into words; letters are words too."""

    words = "words"
    spacy = "spacy"
    letters = "letters"
