"""The choices of the groups `model` and `embedding`: one dataclass each.

The name of a class to build is text, so that settings are checked without torch. `conf/model` and `conf/embedding` hold
the values, with a comment each.
"""

# OmegaConf reads these annotations at run time; Optional and List are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045, RUF009
from dataclasses import dataclass
from typing import ClassVar, List, Optional

from lt_lightning.config.choice import CHOICES, Custom, checked, choice, limited, one_of
from lt_lightning.config.enums import Splitter
from lt_lightning.errors import SettingError

KERNELS = ("fast", "reference")
CELLS = ("rnn", "gru", "lstm", "gru_chung")
BACKENDS = ("torch", "equations")


def _widths_fault(widths: List[int]) -> Optional[str]:
    return None if min(widths, default=0) > 0 else "not a list of widths ≥ 1"


@dataclass
class ModelChoice:
    """The facts about every network.

    Attributes:
        target: the class or function that builds it.
        task: the name of its task.
        reads: the rows that it reads: `texts`, or `pairs` of strings.
        packs: the kind of network that a packed ticket knows it as; None if it cannot be packed.
        unbuilt: the settings that its target does not take.
        splitter: the way to split texts if the data does not set one.
        shaping: the settings that determine its parameters, their shapes and the equations.
    """

    target: ClassVar[str]
    task: ClassVar[str] = "classification"
    reads: ClassVar[str] = "texts"
    needs_letters: ClassVar[bool] = False
    packs: ClassVar[Optional[str]] = None
    unbuilt: ClassVar[tuple[str, ...]] = ("name",)
    shaping: ClassVar[tuple[str, ...]] = ()
    splitter: ClassVar[Splitter] = Splitter.words
    name: str

    def check_sizes(self, classes: int, words: int) -> None:
        """Raise SettingError if the network is not for so many classes or letters."""


@choice("model", "cnn")
@dataclass
class CNN(ModelChoice):
    """Convolution and maximum over time, for any number of classes."""

    target: ClassVar[str] = "lt_lightning.models.build.build_cnn"
    packs: ClassVar[Optional[str]] = "cnn"
    shaping: ClassVar[tuple[str, ...]] = ("filters", "widths")
    name: str = "cnn"
    dropout: float = limited(0.5, least=0, below=1)
    filters: int = limited(100, least=1)
    widths: List[int] = checked([3, 4, 5], _widths_fault)
    initializer: str = one_of("xavier", "xavier", "xavier_2d")
    kernel: str = one_of("fast", *KERNELS)


@choice("model", "binary_cnn")
@dataclass
class BinaryCNN(CNN):
    """`cnn` for two classes."""

    name: str = "binary_cnn"

    def check_sizes(self, classes: int, words: int) -> None:  # noqa: D102
        if classes != 2:
            raise SettingError(f"model: binary_cnn is for two classes, the data has {classes}; use model=multi_cnn")


@choice("model", "multi_cnn")
@dataclass
class MultiCNN(CNN):
    """`cnn` for more than two classes."""

    name: str = "multi_cnn"

    def check_sizes(self, classes: int, words: int) -> None:  # noqa: D102
        if classes == 2:
            raise SettingError("model: multi_cnn is for more than two classes, the data has 2; use model=binary_cnn")


@dataclass
class Recurrent(ModelChoice):
    """The settings of all recurrent networks."""

    name: str = "birnn"
    cell: str = one_of("gru", *CELLS)
    hidden: int = limited(256, least=1)
    layers: int = limited(1, least=1)
    backend: str = one_of("torch", *BACKENDS)
    dropout: float = limited(0.0, least=0, below=1)


@choice("model", "birnn")
@dataclass
class BiRNN(Recurrent):
    """Recurrent layers whose last states are classified."""

    target: ClassVar[str] = "lt_lightning.models.build.build_birnn"
    packs: ClassVar[Optional[str]] = "birnn"
    shaping: ClassVar[tuple[str, ...]] = ("cell", "hidden", "layers", "bidirectional")
    layers: int = limited(2, least=1)
    dropout: float = limited(0.5, least=0, below=1)
    bidirectional: bool = True
    kernel: str = one_of("fast", *KERNELS)


@choice("model", "tagger")
@dataclass
class Tagger(ModelChoice):
    """A network that answers each letter with a letter."""

    target: ClassVar[str] = "lt_lightning.models.build.build_tagger"
    task: ClassVar[str] = "tagging"
    reads: ClassVar[str] = "pairs"
    name: str = "tagger"
    cell: str = one_of("rnn", *CELLS, "none")
    hidden: Optional[int] = limited(None, least=1)
    layers: int = limited(1, least=1)
    backend: str = one_of("torch", *BACKENDS)
    input: str = one_of("onehot", "onehot", "embedding")
    head: str = one_of("direct", "direct", "linear")
    unroll: str = one_of("steps", "steps", "sequence")

    def check_sizes(self, classes: int, words: int) -> None:  # noqa: D102
        if self.head == "direct" and self.hidden not in (None, words):
            raise SettingError(
                f"model.hidden: {self.hidden} states for {words} letters; with model.head=direct a state is a letter's "
                "logit: leave it null, or use model.head=linear"
            )


@choice("model", "char_lm")
@dataclass
class CharLM(Recurrent):
    """A language model of letters."""

    target: ClassVar[str] = "lt_lightning.models.build.build_language_model"
    task: ClassVar[str] = "language model"
    needs_letters: ClassVar[bool] = True
    unbuilt: ClassVar[tuple[str, ...]] = ("name", "prompt", "temperature", "sample_length")
    name: str = "char_lm"
    prompt: Optional[str] = None
    temperature: float = limited(0.7, least=0, below=float("inf"))
    sample_length: int = limited(200, least=1)


@choice("model", "seq2seq")
@dataclass
class Seq2Seq(Recurrent):
    """An encoder that reads a string and a decoder that writes one."""

    target: ClassVar[str] = "lt_lightning.models.build.build_seq2seq"
    task: ClassVar[str] = "sequence to sequence"
    reads: ClassVar[str] = "pairs"
    name: str = "seq2seq"


@dataclass
class CustomModel(Custom, ModelChoice):
    """A network of the user's own, built with `words`, `classes` and its own arguments; it classifies texts."""

    unbuilt: ClassVar[tuple[str, ...]] = ("name", "_target_")

    @property
    def target(self) -> str:  # noqa: D102  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._target_


def packed_kind(name: object) -> Optional[str]:
    """Return the kind of network that a packed ticket knows a model as, or None if it cannot be packed."""
    cls = CHOICES["model"].get(name) if isinstance(name, str) else None
    return getattr(cls, "packs", None)


@dataclass
class EmbeddingConfig:
    """The settings of every embedding: the first values of word vectors."""

    name: str = "random"
    dim: int = limited(100, least=1)
    std: float = limited(1.0, above=0, below=float("inf"))
    max_vocab: int = limited(50_000, least=1)


@choice("embedding", "random")
@dataclass
class RandomVectors(EmbeddingConfig):
    """Vectors drawn from a normal distribution."""


@choice("embedding", "glove")
@dataclass
class Glove(EmbeddingConfig):
    """GloVe from a file, or from the Hub."""

    name: str = "glove"
    max_vocab: int = limited(25_000, least=1)
    path: Optional[str] = checked(
        None, lambda path: None if path else "empty; give a .txt, .zip or .npy file of vectors"
    )
    hub: str = "stanfordnlp/glove"
    hub_file: str = "glove.6B.zip"


@choice("embedding", "glove_50d")
@dataclass
class Glove50d(EmbeddingConfig):
    """GloVe in 50 dimensions, from a package."""

    name: str = "glove_50d"
    dim: int = limited(50, least=1)
    max_vocab: int = limited(25_000, least=1)
