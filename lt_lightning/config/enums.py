"""Names that the configuration and tickets share. Imports the standard library alone."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Splitter(str, Enum):
    """How texts fall into words; letters are words too."""

    words = "words"
    spacy = "spacy"
    letters = "letters"


METRIC_MODES: Mapping[str, str] = MappingProxyType(
    {
        "test_acc": "max", "test_f1": "max", "test_loss": "min", "test_perplexity": "min", "test_exact": "max",
        "valid_acc": "max", "valid_f1": "max", "valid_loss": "min",
    }
)  # fmt: skip
"""What runs can be judged by, and which values are better."""
