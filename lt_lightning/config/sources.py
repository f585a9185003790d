"""The choices of the group `data`: one dataclass for each kind of source; `conf/data` holds the sources.

The setting `data.kind` is the choice's name, as several sources are of one kind.
"""

# OmegaConf reads these annotations at run time; Optional and List are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, List, Optional

from lt_lightning.config.choice import Custom, checked, choice, limited
from lt_lightning.config.enums import Splitter
from lt_lightning.config.typed_paths import parse_delimiter


class DataKind(str, Enum):
    """The kind and origin of a corpus's rows."""

    texts = "texts"
    names = "names"
    pairs = "pairs"
    reversal = "reversal"

    @property
    def is_pairs(self) -> bool:
        """Return whether rows are pairs of strings; otherwise they are texts."""
        return self in (DataKind.pairs, DataKind.reversal)


def _delimiter_fault(delimiter: str) -> Optional[str]:
    single = len(parse_delimiter(delimiter)) == 1 and delimiter not in ('"', "\n", "\r")
    return None if single else "not a single character; write , ; | or tab, or null"


@dataclass
class DataConfig:
    """The settings of every source."""

    name: str = "pairs"
    kind: DataKind = DataKind.pairs
    tokenizer: Splitter = Splitter.letters
    batch_size: int = limited(64, least=1)
    num_workers: int = limited(0, least=0, most=1024)


@dataclass
class TextConfig(DataConfig):
    """The settings of sources of labelled texts; `path` and the two after it are settings of `Texts` alone."""

    path: ClassVar[Optional[str]] = None
    delimiter: ClassVar[Optional[str]] = None
    test_fraction: ClassVar[Optional[float]] = None
    tokenizer: Optional[Splitter] = Splitter.letters  # pyright: ignore[reportIncompatibleVariableOverride]
    text_column: str = "text"
    label_column: Optional[str] = "label"
    class_names: Optional[List[str]] = None
    limit: Optional[int] = limited(None, least=1)
    valid_fraction: float = limited(0.3, above=0, below=1)
    max_vocab: int = limited(50_000, least=1)
    max_length: Optional[int] = limited(None, least=1)
    group_column: Optional[str] = checked(  # auto in conf/, which `read_config` replaces
        None, lambda column: None if column else "empty; name a column, or give auto or null"
    )

    def find_group_column(self) -> Optional[str]:
        """Return the column of the groups; `auto` is that of a built-in corpus, and None for other texts."""
        if self.group_column != "auto":
            return self.group_column
        is_built_in = self.kind is DataKind.names or (self.name == "PyDocs" and self.path is None)
        return "group" if is_built_in else None


class CustomData(Custom):
    """A LightningDataModule of the user's own, for a LightningModule of the user's own."""


@choice("data", "texts")
@dataclass
class Texts(TextConfig):
    """Texts of a file, of the Hub, or the docstrings of PyDocs."""

    name: str = "files"
    kind: DataKind = DataKind.texts
    tokenizer: Optional[Splitter] = Splitter.words  # null in conf/: as the model reads, which `read_config` fills in
    path: Optional[str] = checked(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, lambda path: None if path else "empty; give a file, or a folder with train and test files"
    )
    delimiter: Optional[str] = checked(None, _delimiter_fault)  # pyright: ignore[reportIncompatibleVariableOverride]
    hub: Optional[str] = None
    hub_config: Optional[str] = None
    test_fraction: Optional[float] = limited(  # pyright: ignore[reportIncompatibleVariableOverride]
        0.2, above=0, below=1
    )


@choice("data", "names")
@dataclass
class Names(TextConfig):
    """Identifiers of installed libraries."""

    name: str = "PyDocs names"
    kind: DataKind = DataKind.names
    split_names: bool = False


@choice("data", "pairs")
@dataclass
class Pairs(DataConfig):
    """Pairs of strings that the settings list."""

    pairs: Any = None  # `data.sources.pairs` checks them
    alphabet: Optional[str] = None


@choice("data", "reversal")
@dataclass
class Reversal(DataConfig):
    """Random strings and their reversals."""

    name: str = "reversal"
    kind: DataKind = DataKind.reversal
    alphabet: str = "abcdefghijklmnopqrstuvwxyz"
    lengths: List[int] = field(default_factory=lambda: [3, 12])
    train_rows: int = limited(50_000, least=1)
    test_rows: int = limited(2_000, least=1)
    valid_fraction: float = limited(0.1, above=0, below=1)
