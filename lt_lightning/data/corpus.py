"""A corpus: labelled texts in a training and a test split, checked before anything is built on them.

Imports no torch: what is wrong with the data is said before seconds are spent on loading it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.config import HF_DATASETS_CACHE

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
        splits: `train` and `test`, each with the columns `text` (string) and `label` (a ClassLabel). Their
            fingerprints are those of their content: wherever a text was read from, it is encoded once.
        dropped: how many rows without text or label each split lost.
    """

    name: str
    source: str
    splits: datasets.DatasetDict
    dropped: Mapping[str, int]

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class, in the order of the labels."""
        return tuple(self.splits["train"].features["label"].names)


def load_corpus(config: DataConfig) -> Corpus:
    """Read the corpus that the `data` group asks for.

    Args:
        config: the `data` group.

    Raises:
        SettingError: if it cannot be had, or is not what a corpus must be.
    """
    if config.path is not None:
        from lt_lightning.data.files import read_folder

        return make_corpus(config, config.path, read_folder(Path(config.path).expanduser()))
    if config.hub is not None:
        from lt_lightning.data.hub import fetch_dataset

        return make_corpus(config, f"Hugging Face Hub, {config.hub}", fetch_dataset(config.hub))
    if config.name == "PyDocs":
        from lt_lightning.data.pydocs import load_pydocs

        return make_corpus(config, "docstrings of installed libraries", load_pydocs(cache_folder()))
    raise SettingError("data.path: data=files needs it: a folder with train and test as .parquet, .csv or .jsonl")


def cache_folder() -> Path:
    """Where the project keeps what it worked out, inside the cache of `datasets` (`HF_DATASETS_CACHE`)."""
    return Path(HF_DATASETS_CACHE) / "lt_lightning"


def make_corpus(config: DataConfig, source: str, splits: Mapping[Any, datasets.Dataset]) -> Corpus:
    """Check what was read and bring it into the form of a corpus.

    Args:
        config: the `data` group; its columns and class names are used.
        source: where `splits` were read from.
        splits: at least `train` and `test`.

    Raises:
        SettingError: naming the split, what is wrong with it and what to do.
    """
    tables: dict[str, pa.Table] = {}
    dropped: dict[str, int] = {}
    for split in ("train", "test"):
        where = f"{source}: {split}"
        if split not in splits:
            raise SettingError(f"{where} is missing; there is {', '.join(splits) or 'nothing'}")
        columns = _columns(splits[split], where, config)
        tables[split] = _filled(columns, where)
        dropped[split] = len(columns) - len(tables[split])
        if dropped[split]:
            log.warning("%s: left out %d of %d rows without text or label", where, dropped[split], len(columns))
    feature = splits["train"].features[config.label_column]
    known = feature.names if isinstance(feature, datasets.ClassLabel) else None
    names = _class_names(tables["train"]["label"], f"{source}: train", config.class_names, known)
    return Corpus(
        config.name,
        source,
        datasets.DatasetDict({split: _labelled(table, names, f"{source}: {split}") for split, table in tables.items()}),
        dropped,
    )


def _columns(dataset: datasets.Dataset, where: str, config: DataConfig) -> pa.Table:
    """The two columns that matter, under their own names."""
    for key, column in (("data.text_column", config.text_column), ("data.label_column", config.label_column)):
        if column not in dataset.column_names:
            there = ", ".join(dataset.column_names)
            raise SettingError(f"{where} has no column {column!r}; there is {there}: choose one with {key}=…")
    table = dataset.select_columns([config.text_column, config.label_column]).with_format("arrow")[:]
    text, label = table[config.text_column], table[config.label_column]
    if pa.types.is_null(text.type):
        text = text.cast(pa.string())
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        raise SettingError(f"{where}: column {config.text_column!r} holds {text.type}, not text")
    return pa.table({"text": text.cast(pa.large_string()), "label": label})


def _filled(table: pa.Table, where: str) -> pa.Table:
    """The rows that have a text and a label."""
    has_text = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(table["text"]), ""), False)  # pyright: ignore
    filled = table.filter(pc.and_(has_text, pc.is_valid(table["label"])))  # pyright: ignore
    if not len(filled):
        raise SettingError(f"{where} has no row with a text and a label")
    if len(filled) < (1 - MOST_DROPPED) * len(table):
        raise SettingError(
            f"{where}: {len(table) - len(filled):,} of {len(table):,} rows have no text or no label; up to "
            f"{MOST_DROPPED:.0%} are left out: mend the file"
        )
    return filled


def _class_names(
    labels: pa.ChunkedArray, where: str, chosen: Sequence[str] | None, known: Sequence[str] | None
) -> list[str]:
    """The classes' names: as the configuration has them, or the file's types, or the labels themselves."""
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
        names = list(chosen or sorted(labels.unique().to_pylist()))
        present = {names.index(name) for name in labels.unique().to_pylist() if name in names}
    else:
        codes = np.unique(_integers(labels, where))
        names = list(chosen or known or map(str, range(int(codes[-1]) + 1)))
        present = set(codes.tolist())
        wrong = sorted(present - set(range(len(names))))
        if wrong or (len(present) < len(names) and not known):
            found = ", ".join(map(str, codes[:10].tolist())) + (", …" if len(codes) > 10 else "")
            classes = f"the {len(names)} names in data.class_names" if chosen else "the classes"
            raise SettingError(
                f"{where}: labels must be 0 … C−1, one for each of {classes}, each used; found {found}: "
                "number them anew, or write the classes' names as labels"
            )
    if len(set(names)) < len(names):
        raise SettingError(f"data.class_names: {names} has a name twice")
    if len(present) < 2:
        raise SettingError(f"{where} has one class only ({names[min(present)]}): there is nothing to tell apart")
    return names


def _integers(labels: pa.ChunkedArray, where: str) -> np.ndarray:
    if pa.types.is_integer(labels.type) or pa.types.is_boolean(labels.type):
        return labels.cast(pa.int64()).to_numpy()
    if pa.types.is_floating(labels.type):  # pandas writes integers so when one of them was missing
        values = labels.to_numpy()
        if np.array_equal(values, np.round(values)):
            return values.astype(np.int64)
    raise SettingError(f"{where}: labels must be whole numbers or names, not {labels.type}")


def _labelled(table: pa.Table, names: list[str], where: str) -> datasets.Dataset:
    """The split as a dataset whose labels are numbers with names and whose fingerprint is its content's."""
    labels = table["label"]
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
        codes = pc.index_in(labels, value_set=pa.array(names, labels.type))  # pyright: ignore
        if codes.null_count:
            unknown = labels.filter(pc.is_null(codes))[0].as_py()  # pyright: ignore
            raise SettingError(f"{where}: label {unknown!r} is none of the classes {', '.join(names)}")
        codes = codes.cast(pa.int64())
    else:
        codes = pa.array(_integers(labels, where))
        wrong = codes.filter(pc.or_(pc.less(codes, 0), pc.greater_equal(codes, len(names))))  # pyright: ignore
        if len(wrong):
            raise SettingError(f"{where}: label {wrong[0]} is none of 0 … {len(names) - 1} ({', '.join(names)})")
    features = datasets.Features({"text": datasets.Value("large_string"), "label": datasets.ClassLabel(names=names)})
    content = pa.table({"text": table["text"].combine_chunks(), "label": codes}, schema=features.arrow_schema)
    return datasets.Dataset(content, fingerprint=_fingerprint(content))


def _fingerprint(table: pa.Table) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for batch in table.combine_chunks().to_batches():
        for column in batch.columns:
            for buffer in column.buffers():
                if buffer is not None:
                    digest.update(buffer)
    return digest.hexdigest()
