"""A corpus: labelled texts in a training and a test split, checked before anything is built on them.

Imports no torch: what is wrong with the data is said before seconds are spent on loading it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.config import HF_DATASETS_CACHE
from jaxtyping import Int64

from lt_lightning.config import DataKind
from lt_lightning.data.labels import Classes, find_classes, tidy_labels
from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from lt_lightning.config import DataConfig

log = logging.getLogger(__name__)

MOST_DROPPED = 0.05
"""A split that would lose more than this share of its rows is damaged, not untidy."""


@dataclass(frozen=True)
class Corpus:
    """Labelled texts.

    Attributes:
        name: what people call it.
        source: where it was read from.
        splits: `train` and `test` (a DatasetDict), each with the columns `text` (string) and `label` (a
            ClassLabel). Their fingerprints are those of their content: wherever a text was read from, it is encoded
            once.
        dropped: how many rows without text or label each split lost.
    """

    name: str
    source: str
    splits: Mapping[Any, datasets.Dataset]
    dropped: Mapping[str, int]

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class, in the order of the labels."""
        return tuple(self.splits["train"].features["label"].names)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What tells each split's content from any other."""
        return {split: rows._fingerprint for split, rows in self.splits.items()}


def load_corpus(config: DataConfig) -> Corpus:
    """Read the corpus that the `data` group asks for.

    Args:
        config: the `data` group.

    Raises:
        SettingError: if it cannot be had, or is not what a corpus must be.
    """
    if config.kind is DataKind.names:
        from lt_lightning.data.identifiers import load_names

        names = load_names(cache_folder(), bool(config.split_names))
        return make_corpus(config, "names in installed libraries", names)
    if config.path is not None:
        from lt_lightning.data.files import read_folder

        splits = read_folder(Path(config.path).expanduser())
        # PyDocs is the default: no other corpus may pass for it.
        named = replace(config, name="files") if config.name == "PyDocs" else config
        return make_corpus(named, config.path, splits)
    if config.hub is not None:
        from lt_lightning.data.hub import fetch_dataset

        return make_corpus(config, f"Hugging Face Hub, {config.hub}", fetch_dataset(config.hub))
    if config.name == "PyDocs":
        from lt_lightning.data.pydocs import load_pydocs

        return make_corpus(config, "docstrings of installed libraries", load_pydocs(cache_folder()))
    raise SettingError("data.path: data=files needs it: a folder with train and test as .parquet, .csv or .jsonl")


def cache_folder() -> Path:
    """Where the project keeps what it worked out, inside the cache of `datasets`.

    Raises:
        SettingError: if nothing can be written there.
    """
    folder = Path(HF_DATASETS_CACHE) / "lt_lightning"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        why = "" if os.access(folder, os.W_OK) else "it is read-only"
    if why:
        raise SettingError(f"HF_DATASETS_CACHE: nothing can be kept in {folder} ({why}); set it to another folder")
    return folder


def make_corpus(config: DataConfig, source: str, splits: Mapping[Any, datasets.Dataset]) -> Corpus:
    """Check what was read and bring it into the form of a corpus.

    Args:
        config: the `data` group; its columns and class names are used.
        source: where `splits` were read from.
        splits: at least `train` and `test`.

    Raises:
        SettingError: naming the split, what is wrong with it and what to do.
    """
    where = {split: f"{source}: {split}" for split in ("train", "test")}
    tables: dict[str, pa.Table] = {}
    dropped: dict[str, int] = {}
    known: Sequence[str] | None = None
    for split in where:
        if split not in splits:
            there = ", ".join(map(str, splits)) or "nothing"
            raise SettingError(f"{where[split]} is missing; there is {there}: name the splits train and test")
        columns, names = _columns(splits[split], where[split], config)
        if split == "train":
            known = names
        elif names is not None and names != known:  # the same numbers, for other classes
            columns = columns.set_column(1, "label", _spelled(columns["label"], names))
        tables[split] = _filled(columns, where[split])
        dropped[split] = len(columns) - len(tables[split])
        if dropped[split]:
            log.warning("%s: left out %d of %d rows without text or label", where[split], dropped[split], len(columns))
    if config.label_column is None:
        classes = Classes(("text",), numbered=True)
    else:
        classes = find_classes(tables["train"]["label"], where["train"], config.class_names, known)
    codes = {split: classes.number(table["label"], where[split]) for split, table in tables.items()}
    if unseen := np.setdiff1d(codes["test"], codes["train"]).tolist():
        raise SettingError(
            f"{where['test']}: no training row has label {classes.names[unseen[0]]!r}; train on some, or leave it out"
        )
    return Corpus(
        config.name,
        source,
        datasets.DatasetDict({split: _finished(tables[split]["text"], codes[split], classes.names) for split in where}),
        dropped,
    )


def _columns(dataset: datasets.Dataset, where: str, config: DataConfig) -> tuple[pa.Table, list[str] | None]:
    """The two columns that matter, under their own names, and the names that the file has for its labels."""
    assert config.text_column is not None  # texts have it
    for key, column in (("data.text_column", config.text_column), ("data.label_column", config.label_column)):
        if column is not None and column not in dataset.column_names:
            there = ", ".join(dataset.column_names) or "none"
            raise SettingError(f"{where} has no column {column!r}; there is {there}: choose one with {key}=…")
    if config.label_column == config.text_column:
        raise SettingError(f"data.label_column: {config.label_column!r} is the text column as well; choose another")
    wanted = [column for column in (config.text_column, config.label_column) if column is not None]
    table = dataset.select_columns(wanted).with_format("arrow")[:]
    try:
        # A parquet file holds bytes, which nothing has read as text yet.
        table.validate(full=True)  # pyright: ignore[reportAttributeAccessIssue]
    except pa.ArrowInvalid as error:
        raise SettingError(f"{where} has text that is not UTF-8, or is damaged; save the file anew") from error
    text = table[config.text_column]
    if pa.types.is_null(text.type):
        text = text.cast(pa.string())
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        raise SettingError(
            f"{where}: column {config.text_column!r} holds {text.type}, not text; choose another data.text_column"
        )
    if config.label_column is None:
        unlabelled = pa.chunked_array([np.zeros(len(text), np.int64)])
        return pa.table({"text": text.cast(pa.large_string()), "label": unlabelled}), None
    feature = dataset.features[config.label_column]
    known = list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    labels = tidy_labels(table[config.label_column], known, where)
    return pa.table({"text": text.cast(pa.large_string()), "label": labels}), known


def _spelled(labels: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Numbers as the names that they stand for."""
    return pc.take(pa.chunked_array([pa.array(names, pa.large_string())]), labels)


def _filled(table: pa.Table, where: str) -> pa.Table:
    """The rows that have a text and a label."""
    has_text = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(table["text"]), ""), False)  # pyright: ignore
    filled = table.filter(pc.and_(has_text, pc.is_valid(table["label"])))  # pyright: ignore
    if not len(filled):
        raise SettingError(f"{where} has no row with a text and a label; there are {len(table):,} rows: mend the file")
    missing = len(table) - len(filled)
    if missing > MOST_DROPPED * len(table):
        raise SettingError(
            f"{where}: {missing:,} of {len(table):,} rows have no text or no label; up to {MOST_DROPPED:.0%} are left "
            "out: mend the file"
        )
    return filled


def _finished(texts: pa.ChunkedArray, codes: Int64[np.ndarray, " rows"], names: Sequence[str]) -> datasets.Dataset:
    """A split whose labels are numbers with names and whose fingerprint is its content's."""
    text = texts.combine_chunks()
    features = datasets.Features(
        {"text": datasets.Value("large_string"), "label": datasets.ClassLabel(names=list(names))}
    )
    content = pa.table({"text": text, "label": codes}, schema=features.arrow_schema)
    # The content alone counts, not how memory holds it: offsets from zero, and the characters between them.
    _, offset_buffer, characters = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[text.offset : text.offset + len(text) + 1]
    digest = hashlib.blake2b(digest_size=8)
    digest.update((offsets - offsets[0]).tobytes())
    digest.update(memoryview(characters)[offsets[0] : offsets[-1]])
    digest.update(codes.tobytes())
    return datasets.Dataset(content, fingerprint=digest.hexdigest())
