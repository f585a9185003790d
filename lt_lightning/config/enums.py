"""Names that the configuration and tickets share. Imports the standard library alone."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Splitter(str, Enum):
    """The way to split texts into words; letters, and the pieces of the model's own tokenizer, count as words."""

    words = "words"
    spacy = "spacy"
    letters = "letters"
    model = "model"

    @property
    def makes_words(self) -> bool:
        """Return whether a vocabulary is chosen among the results; the pieces of an encoder have one already."""
        return self is not Splitter.model


METRIC_MODES: Mapping[str, str] = MappingProxyType(
    {
        "test_acc": "max", "test_f1": "max", "test_loss": "min", "test_perplexity": "min", "test_exact": "max",
        "valid_acc": "max", "valid_f1": "max", "valid_loss": "min",
    }
)  # fmt: skip
"""The metrics that can judge runs, and which values are better."""

OBJECTIVES = ("auc", "smallest_within")
"""The values of `objective` that are computed from all rounds; others are validation values of the last round."""
