"""Load texts to evaluate a ticket on, labelled with the ticket's class numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from lt_lightning.data.corpus import Corpus, finish_rows, read_columns, spell, take_filled
from lt_lightning.data.labels import Classes, as_numbers, some
from lt_lightning.data.sources.delimiters import CsvForm
from lt_lightning.data.sources.files import read_file
from lt_lightning.data.splits import stratified_split
from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig

log = logging.getLogger(__name__)

SPLITS = ("test", "train", "valid")
"""The parts of a corpus to choose from."""


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their classes.

    Attributes:
        source: where they were read from.
        rows: the columns `text` and `label` (the ticket's class numbers).
        dropped: the number of rows left out for lack of a text or label.
        numbers: int64 `(rows,)`: the position of each row among the complete ones, from 1.
    """

    source: str
    rows: datasets.Dataset
    dropped: int
    numbers: Int64[np.ndarray, " rows"]

    @property
    def labels(self) -> Int64[np.ndarray, " rows"]:
        """Return the class number of each row."""
        return self.rows.with_format("arrow")[:]["label"].to_numpy()

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of these texts and labels in this order."""
        return self.rows._fingerprint

    def batches(self, size: int) -> Iterator[list[str]]:
        """Yield the texts in lists of `size`."""
        for batch in self.rows.with_format("arrow").iter(size):
            yield batch["text"].to_pylist()  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]

    def texts(self, rows: Sequence[int]) -> list[str]:
        """Return the texts of some rows, counted from 0."""
        return [self.rows[row]["text"] for row in rows]


def read_labelled_file(path: Path, config: TextConfig, names: Sequence[str]) -> LabelledTexts:
    """Read texts and labels from a single file.

    Args:
        path: a .csv, .jsonl or .parquet file.
        config: the `data` group; its columns, limit and class names (of numbers in the file) are used.
        names: the ticket's classes. Labels that are names are looked up here; numbers without names index it.

    Raises:
        SettingError: the file cannot be read, or a label is not a class of the ticket.
    """
    where = str(path)
    columns, known = read_columns(read_file(path, "data", CsvForm.of(config)), where, config, names)
    table = take_filled(columns, where)
    labels = table["label"]
    if (dropped := len(columns) - len(table)) > 0:
        log.warning("%s: left out %d of %d rows without text or label", where, dropped, len(columns))
    named = config.class_names or known
    numbers = as_numbers(labels)
    if named is not None and numbers is not None and not {*map(str, labels.unique().to_pylist())} <= {*named}:
        labels = spell(pa.chunked_array([Classes(tuple(named), numbered=True).number(numbers, where)]), named)
    codes = _find(labels, names, where)
    rows = _spread(len(codes), config.limit)
    texts = table["text"].take(pa.array(rows))
    return LabelledTexts(where, finish_rows(texts, codes[rows], names), dropped, rows + 1)


def take_split(
    corpus: Corpus, split: str, config: TextConfig, names: Sequence[str], about: Mapping[str, Any]
) -> LabelledTexts:
    """Return a part of a corpus.

    Args:
        corpus: the texts.
        split: `test`; `train`, all training rows; or `valid`, those of them that the ticket's run validated on.
        config: the `data` group; its limit is used.
        names: the ticket's classes; see `read_labelled_file`.
        about: the ticket's metadata; `seed`, `rows`, `valid_fraction` and `fingerprint` determine the validation rows.

    Raises:
        SettingError: a label is not a class of the ticket, or the validation rows cannot be determined.
    """
    of = "test" if split == "test" else "train"
    columns = corpus.splits[of].with_format("arrow")[:]
    own = columns["label"].to_numpy()
    rows = _validated(corpus, own, about) if split == "valid" else np.arange(len(own))
    rows = rows[_spread(len(rows), config.limit)]
    plain = corpus.class_names == tuple(map(str, range(len(corpus.class_names))))
    labels = pa.chunked_array([own[rows]])
    codes = _find(labels if plain else spell(labels, corpus.class_names), names, f"{corpus.source}: {of}")
    texts = columns["text"].take(pa.array(rows))
    places = corpus.places[of][rows] if of in corpus.places else rows
    return LabelledTexts(corpus.source, finish_rows(texts, codes, names), corpus.dropped[of], places + 1)


def _validated(corpus: Corpus, labels: np.ndarray, about: Mapping[str, Any]) -> np.ndarray:
    """Return the training rows that a run validated on, by repeating its draw."""
    seed, parts, content = (about.get(key) for key in ("seed", "rows", "fingerprint"))
    train, valid = (parts.get(part) if isinstance(parts, Mapping) else None for part in ("train", "valid"))
    if not (isinstance(seed, int) and isinstance(train, int) and isinstance(valid, int) and min(train, valid) > 0):
        raise SettingError("split: the ticket does not record its validation rows; use split=test")
    if not isinstance(content, Mapping) or content.get("train") != corpus.fingerprints["train"]:
        raise SettingError(
            f"split: valid is a part of the ticket's training rows, and {corpus.source} has other rows; "
            "use split=test or split=train"
        )
    if "groups" in content and content["groups"] != corpus.fingerprints.get("groups"):
        raise SettingError("split: the ticket's run validated on whole groups of rows; give its data.group_column= too")
    fraction = about.get("valid_fraction")
    if not isinstance(fraction, float):  # tickets of earlier versions
        fraction = valid / (train + valid)
    limit = train + valid if train + valid < len(labels) else None
    groups = corpus.groups if "groups" in content else None
    return stratified_split(labels, fraction, derive_seed(seed, "valid"), limit, groups)[1]


def _spread(count: int, limit: int | None) -> np.ndarray:
    """Return at most `limit` evenly spaced positions: rows may be sorted by class."""
    return np.arange(count) if limit is None or limit >= count else np.arange(limit) * count // limit


def _find(labels: pa.ChunkedArray, names: Sequence[str], where: str) -> Int64[np.ndarray, " rows"]:
    """Return each label's class number in the ticket; raise if one is unknown."""
    # The class named 3 may have another number.
    by_name = {*map(str, labels.unique().to_pylist())} <= set(names)
    codes = Classes(tuple(names), numbered=not by_name).find(labels)
    if codes.min(initial=0) < 0:
        unknown = some([labels[int(np.argmin(codes >= 0))].as_py()])
        raise SettingError(
            f"{where}: label {unknown!r} is none of the ticket's classes, {some(names)}; leave such rows out, or name "
            "the numbers of the file with data.class_names"
        )
    return codes
