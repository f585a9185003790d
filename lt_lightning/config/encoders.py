"""The choices of the group `model` that have a pre-trained encoder: one dataclass each.

Their names are those of the files in `conf/model`. Imports neither torch nor transformers.
"""

# OmegaConf reads these annotations at run time; Optional and List are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045, RUF009
from dataclasses import dataclass
from typing import ClassVar, List, Optional

from lt_lightning.config.choice import checked, choice, limited, one_of
from lt_lightning.config.enums import Splitter
from lt_lightning.config.models import ModelChoice

POOLINGS = ("mean", "cls", "pooler")


@dataclass
class Encoder(ModelChoice):
    """The settings of every pre-trained encoder with a classifier, the head, on top.

    Attributes:
        hub: its repository on the Hugging Face Hub; None if it is read from elsewhere.
        path: its folder; None likewise.
    """

    target: ClassVar[str] = "lt_lightning.models.encoder.build_encoder"
    unbuilt: ClassVar[tuple[str, ...]] = ("name", "hub", "path")
    splitter: ClassVar[Splitter] = Splitter.model
    hub: ClassVar[Optional[str]] = None
    path: ClassVar[Optional[str]] = None
    name: str = "bert"
    pooling: str = one_of("mean", *POOLINGS)
    dropout: float = limited(0.1, least=0, below=1)
    freeze: List[str] = checked(
        [], lambda patterns: None if all(patterns) else "no list of patterns, such as [embeddings.*]"
    )


@choice("model", "bert")
@dataclass
class Bert(Encoder):
    """An encoder from the Hub or from a folder."""

    hub: Optional[str] = checked(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, lambda hub: None if hub else "empty; give a repository, such as google-bert/bert-base-uncased"
    )
    path: Optional[str] = checked(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, lambda path: None if path else "empty; give a folder with config.json, model.safetensors, tokenizer.json"
    )


@choice("model", "minilm")
@dataclass
class MiniLM(Encoder):
    """The encoder all-MiniLM-L6-v2 of an installed package, which was tuned to embed sentences."""

    name: str = "minilm"
