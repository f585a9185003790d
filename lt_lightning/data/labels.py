"""Labels: however a file writes them, here they become numbers 0 … C−1 with a name each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from lt_lightning.errors import SettingError


@dataclass(frozen=True)
class Classes:
    """What labels stand for.

    Attributes:
        names: the classes' names, in the order of their numbers.
        numbered: labels that are whole numbers are these numbers; otherwise they, too, are names.
    """

    names: tuple[str, ...]
    numbered: bool

    def number(self, labels: pa.ChunkedArray, where: str) -> Int64[np.ndarray, " rows"]:
        """The number of each label's class.

        Args:
            labels: as `tidy_labels` gives them, none missing.
            where: what they were read from, for the error.

        Raises:
            SettingError: if a label is of no class.
        """
        codes = self.find(labels)
        if codes.min(initial=0) < 0:
            unknown = labels[int(np.argmin(codes >= 0))].as_py()
            plain = self.names == tuple(map(str, range(len(self.names))))
            numbers = f"0 … {len(self.names) - 1}, " if self.numbered and not plain else ""
            raise SettingError(
                f"{where}: label {unknown!r} is none of the classes: {numbers}{_some(self.names)}; mend the label, or "
                "name its class too"
            )
        return codes

    def find(self, labels: pa.ChunkedArray) -> Int64[np.ndarray, " rows"]:
        """The number of each label's class, and -1 for a label of none; `labels` as for `number`."""
        if self.numbered and pa.types.is_integer(labels.type):
            codes = labels.to_numpy()
            return np.where((codes >= 0) & (codes < len(self.names)), codes, -1)
        places = pc.index_in(labels.cast(pa.large_string()), pa.array(self.names, pa.large_string()))  # pyright: ignore
        return pc.fill_null(places, -1).to_numpy().astype(np.int64)


def tidy_labels(labels: pa.ChunkedArray, known: Sequence[str] | None, where: str) -> pa.ChunkedArray:
    """Labels as whole numbers or as names; missing ones null.

    Args:
        labels: as they were read. Text that is a number in every row counts as numbers: a .csv knows no others.
        known: the names that the file has for them: there −1 says that the label is missing.
        where: what they were read from, for the error.

    Raises:
        SettingError: if they are neither.
    """
    if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type):
        labels = pc.utf8_trim_whitespace(labels)  # pyright: ignore[reportAttributeAccessIssue]
        labels = pc.if_else(pc.equal(labels, ""), None, labels)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            pc.cast(labels.unique(), pa.float64())
        except pa.ArrowInvalid:
            return labels
        labels = labels.cast(pa.float64())
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(labels.type) for is_kind in kinds):
        raise SettingError(f"{where}: labels must be whole numbers or names, not {labels.type}; mend the file")
    labels = pc.if_else(pc.is_null(labels, nan_is_null=True), None, labels)  # pyright: ignore
    try:
        labels = labels.cast(pa.int64())
    except pa.ArrowInvalid as error:  # a fraction, or too large
        raise SettingError(
            f"{where}: labels must be whole numbers or names; found {_some(labels.unique().drop_null().to_pylist())}: "
            "number the classes, or choose another data.label_column"
        ) from error
    if known is not None:
        labels = pc.if_else(pc.equal(labels, -1), None, labels)  # pyright: ignore[reportAttributeAccessIssue]
    return labels


def find_classes(
    labels: pa.ChunkedArray, where: str, chosen: Sequence[str] | None, known: Sequence[str] | None
) -> Classes:
    """Which classes there are.

    Args:
        labels: those of the training split, as `tidy_labels` gives them, none missing.
        where: what they were read from, for the error.
        chosen: the names that the configuration has; None to take the file's.
        known: the names that the file has for numbers; None if it has none.

    Raises:
        SettingError: if the labels are no classes that a network could learn, or the names do not fit them.
    """
    values = sorted(labels.unique().to_pylist())
    if len(values) < 2:
        raise SettingError(f"{where} has one class only ({values[0]}): there is nothing to tell apart; add another")
    if 2 * len(values) > len(labels):
        raise SettingError(
            f"{where} has {len(values):,} different labels in {len(labels):,} rows, such as {_some(values)}: "
            "a class needs several rows; choose another data.label_column"
        )
    if chosen is not None:
        _check_names(chosen, known, where)
    numbered = pa.types.is_integer(labels.type) and not (chosen and {*map(str, values)} <= {*chosen})
    if not numbered:
        names = tuple(chosen or map(str, values))
        if unused := set(names) - {*map(str, values)}:
            raise SettingError(f"data.class_names: {min(unused)!r} is the label of no row; {where} has {_some(values)}")
        return Classes(names, numbered)  # a label that has no name is found when they are numbered
    names = tuple(chosen or known or map(str, range(len(values))))
    fits = set(values) <= set(range(len(names))) if known else values == list(range(len(names)))
    if not fits:
        classes = f"the {len(chosen)} data.class_names" if chosen else "C classes"
        raise SettingError(
            f"{where}: labels must be 0 … C−1, one number for each of {classes}, each in use; found {_some(values)}: "
            f"number them anew, or name them: data.class_names=[{_some(values).replace(', ', ',')}]"
        )
    return Classes(names, numbered)


def _check_names(chosen: Sequence[str], known: Sequence[str] | None, where: str) -> None:
    if twice := [name for place, name in enumerate(chosen) if name in chosen[:place]]:
        raise SettingError(f"data.class_names: {twice[0]!r} is there twice; give each class a name of its own")
    if known is None:
        return
    if len(chosen) != len(known):
        raise SettingError(
            f"data.class_names: {len(chosen)} names for {len(known)} classes; {where} has {', '.join(known)}"
        )
    if set(chosen) == set(known) and list(chosen) != list(known):
        raise SettingError(f"data.class_names: another order than in {where}, which has {', '.join(known)}")


def _some(values: Sequence[object], most: int = 10) -> str:
    """The first few, each in short: in the wrong column they may be whole texts."""
    short = [text if len(text) <= 40 else f"{text[:39]}…" for text in map(str, values[:most])]
    return ", ".join(short) + (", …" if len(values) > most else "")
