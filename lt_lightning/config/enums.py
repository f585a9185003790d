"""Names that the configuration and tickets share. Imports the standard library alone."""

from enum import Enum


class Splitter(str, Enum):
    """How texts fall into words; letters are words too."""

    words = "words"
    spacy = "spacy"
    letters = "letters"


CONVOLUTIONAL = ("cnn", "binary_cnn", "multi_cnn")
"""What the settings call convolution and maximum over time."""


RECURRENT = "birnn"
"""What they call a classifier that reads a text to its end."""
