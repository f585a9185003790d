"""Extract texts and labels from tables and make splits whose fingerprints depend on their content."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from lt_lightning.data.labels import as_text, is_text, tidy_labels
from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig

MOST_DROPPED = 0.05
"""The largest fraction of incomplete rows that may be dropped."""


def read_columns(
    dataset: datasets.Dataset, where: str, config: TextConfig, named: Collection[str] = ()
) -> tuple[pa.Table, list[str] | None]:
    """Return a table of the columns `text` and `label`, and the file's class names, if any.

    Args:
        dataset: the rows as they were read.
        where: the source, for errors.
        config: the `data` group; its columns and class names are used.
        named: further class names; see `tidy_labels`.

    Raises:
        SettingError: a column is missing or has the wrong type.
    """
    for key, column in (("data.text_column", config.text_column), ("data.label_column", config.label_column)):
        if column is not None and column not in dataset.column_names:
            there = ", ".join(dataset.column_names) or "none"
            same = [name for name in dataset.column_names if name.strip().lower() == column.strip().lower()]
            choice = f"{key}={same[0]}" if len(same) == 1 and same[0] == same[0].strip() else f"{key}=…"
            raise SettingError(f"{where} has no column {column!r}; there is {there}: choose one with {choice}")
    if config.label_column == config.text_column:
        raise SettingError(f"data.label_column: {config.label_column!r} is the text column as well; choose another")
    wanted = [column for column in (config.text_column, config.label_column) if column is not None]
    table = dataset.select_columns(wanted).with_format("arrow")[:]
    try:
        # The bytes of a parquet file have not been validated as text.
        table.validate(full=True)  # pyright: ignore[reportAttributeAccessIssue]
    except pa.ArrowInvalid as error:
        raise SettingError(f"{where} has text that is not UTF-8, or is damaged; save the file again") from error
    text = table[config.text_column]
    if pa.types.is_null(text.type):
        text = text.cast(pa.string())
    if not is_text(text.type):
        raise SettingError(
            f"{where}: column {config.text_column!r} holds {text.type}, not text; choose another data.text_column"
        )
    if config.label_column is None:
        unlabelled = pa.chunked_array([np.zeros(len(text), np.int64)])
        return pa.table({"text": as_text(text), "label": unlabelled}), None
    feature = dataset.features[config.label_column]
    known = list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    labels = tidy_labels(table[config.label_column], known, where, [*(config.class_names or ()), *named])
    return pa.table({"text": as_text(text), "label": labels}), known


def spell(labels: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Return the names of class numbers."""
    return pc.take(pa.chunked_array([pa.array(names, pa.large_string())]), labels)


def take_filled(table: pa.Table, where: str) -> pa.Table:
    """Return the rows that have a text and a label; raise a `SettingError` if too many do not."""
    has_text = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(table["text"]), ""), False)  # pyright: ignore
    is_filled = pc.and_(has_text, pc.is_valid(table["label"]))  # pyright: ignore[reportAttributeAccessIssue]
    # Avoid a copy of large texts if all rows are complete.
    filled = table if pc.all(is_filled).as_py() else table.filter(is_filled)  # pyright: ignore
    if not len(filled):
        raise SettingError(f"{where} has no row with a text and a label; there are {len(table):,} rows: fix the file")
    missing = len(table) - len(filled)
    if missing > MOST_DROPPED * len(table):
        raise SettingError(
            f"{where}: {missing:,} of {len(table):,} rows have no text or no label (null, blank or NaN); up to "
            f"{MOST_DROPPED:.0%} are left out: fix the file"
        )
    return filled


def finish_rows(texts: pa.ChunkedArray, codes: Int64[np.ndarray, " rows"], names: Sequence[str]) -> datasets.Dataset:
    """Return a split of texts (large strings) and class numbers, with a fingerprint of its content."""
    text = texts.combine_chunks()
    features = datasets.Features(
        {"text": datasets.Value("large_string"), "label": datasets.ClassLabel(names=list(names))}
    )
    content = pa.table({"text": text, "label": codes}, schema=features.arrow_schema)
    # Hash the content alone, independent of buffer offsets.
    _, offset_buffer, characters = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[text.offset : text.offset + len(text) + 1]
    digest = hashlib.blake2b(digest_size=8)
    digest.update((offsets - offsets[0]).tobytes())
    digest.update(memoryview(characters)[offsets[0] : offsets[-1]])
    digest.update(codes.tobytes())
    return datasets.Dataset(content, fingerprint=digest.hexdigest())
