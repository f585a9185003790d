"""What a configuration and a ticket call the ways in which texts fall into words; imports nothing."""

from enum import Enum


class Splitter(str, Enum):
    """How texts fall into words; letters are words too."""

    words = "words"
    spacy = "spacy"
    letters = "letters"
