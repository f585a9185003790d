"""Read the groups of rows, such as all sentences of a document, that stay in one part of the data."""

from __future__ import annotations

import hashlib

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from lt_lightning.errors import SettingError


def read_groups(rows: datasets.Dataset, where: str, column: str) -> Int64[np.ndarray, " rows"]:
    """Return the number of each row's group, which is the rows of one value in a column.

    Groups are numbered in the order of their first rows.

    Args:
        rows: the rows.
        where: the source in errors.
        column: the column.

    Raises:
        SettingError: the column is missing, or a row has no value or several there.
    """
    if column not in rows.column_names:
        there = ", ".join(rows.column_names) or "none"
        raise SettingError(
            f"{where} has no column {column!r}; there is {there}: choose one with data.group_column=…, or "
            "data.group_column=null"
        )
    values = rows.select_columns([column]).with_format("arrow")[:][column]
    if pa.types.is_nested(values.type):
        raise SettingError(
            f"{where}: column {column!r} holds {values.type}, not one value a row; choose another data.group_column"
        )
    if missing := values.null_count:
        raise SettingError(
            f"{where}: column {column!r} has no value in {missing:,} of {len(values):,} rows; fill them in, or choose "
            "another data.group_column"
        )
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return pc.index_in(values, values.unique()).to_numpy().astype(np.int64)  # pyright: ignore[reportAttributeAccessIssue]


def groups_fingerprint(groups: Int64[np.ndarray, " rows"]) -> str:
    """Return the fingerprint of the rows' groups, 16 hexadecimal digits."""
    return hashlib.blake2b(groups.astype("<i8").tobytes(), digest_size=8).hexdigest()
