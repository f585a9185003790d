"""Load the corpus of a run and check it against the model; no torch is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lt_lightning.config.sources import CustomData, DataKind
from lt_lightning.data.own_corpus import describe_own

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.own_corpus import OwnCorpus
    from lt_lightning.data.sources.pairs import PairCorpus


def load(config: Config) -> Corpus | PairCorpus | OwnCorpus:
    """Load the corpus and check it against the model."""
    if isinstance(config.data, CustomData):
        return describe_own(config.data)
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.data.sources.pairs import load_pairs

    check_strings(config)
    corpus = load_pairs(config.data, config.seed) if config.data.kind.is_pairs else load_corpus(config.data)
    config.model.check_sizes(len(corpus.class_names), len(corpus.class_names))
    return corpus


def check_strings(config: Config) -> None:
    """Raise a `SettingError` if pairs of strings, given or drawn, are invalid."""
    data = config.data
    if isinstance(data, CustomData) or not data.kind.is_pairs:
        return
    from lt_lightning.data.sources.pairs import check_equal_lengths, find_alphabet  # waits for NumPy

    letters = len(find_alphabet(data))
    if data.kind is DataKind.pairs and config.model.name == "tagger":
        check_equal_lengths(data.pairs)
    config.model.check_sizes(letters, letters)
