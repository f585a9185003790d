"""Convert labels to class numbers 0 … C−1 with names.

Whole numbers 0 … C−1 are class numbers, typed or written as text. Everything else is a name: `01` is not `1`. A label
is missing if it is null, blank, or NaN (number or text).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from lt_lightning.errors import SettingError


@dataclass(frozen=True)
class Classes:
    """The classes of a corpus.

    Attributes:
        names: the classes' names, in the order of their numbers.
        numbered: whether labels that are whole numbers are class numbers rather than names.
    """

    names: tuple[str, ...]
    numbered: bool

    def number(self, labels: pa.ChunkedArray, where: str) -> Int64[np.ndarray, " rows"]:
        """Return the class number of each label (of `tidy_labels`, none missing); `where` names the source in errors.

        Raises:
            SettingError: a label belongs to no class.
        """
        codes = self.find(labels)
        if codes.min(initial=0) < 0:
            unknown = labels[int(np.argmin(codes >= 0))].as_py()
            plain = self.names == tuple(map(str, range(len(self.names))))
            numbers = f"0 … {len(self.names) - 1}, " if self.numbered and not plain else ""
            raise SettingError(
                f"{where}: label {unknown!r} is none of the classes: {numbers}{some(self.names)}; fix the label, or "
                "name its class too"
            )
        return codes

    def find(self, labels: pa.ChunkedArray) -> Int64[np.ndarray, " rows"]:
        """Return the class number of each label, and -1 for a label of no class."""
        numbers = as_numbers(labels) if self.numbered else None
        if numbers is not None:
            codes = numbers.to_numpy()
            return np.where((codes >= 0) & (codes < len(self.names)), codes, -1)
        places = pc.index_in(labels.cast(pa.large_string()), pa.array(self.names, pa.large_string()))  # pyright: ignore
        return pc.fill_null(places, -1).to_numpy().astype(np.int64)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds strings, however Arrow stores them."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of strings as large strings."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string())


def as_numbers(labels: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return labels of `tidy_labels` as int64, or None if they are names.

    Text counts as numbers if every value is a whole number without sign and leading zeros, such as `12` or `12.0`, and
    no number is written in two ways.
    """
    if pa.types.is_integer(labels.type) or pa.types.is_null(labels.type):
        return labels.cast(pa.int64())
    values = labels.unique().drop_null().to_pylist()
    found = {value: int(match[1]) for value in values if (match := _WHOLE.fullmatch(value))}
    if len({*found.values()}) < len(values) or max(found.values(), default=0) >= 2**63:
        return None
    places = pc.index_in(labels, pa.array(values, labels.type))  # pyright: ignore[reportAttributeAccessIssue]
    return pc.take(pa.chunked_array([pa.array([found[value] for value in values], pa.int64())]), places)


_WHOLE = re.compile(r"(0|[1-9][0-9]*)(?:\.0+)?")
_SIGNED = re.compile(r"-?(?:0|[1-9][0-9]*)")


def tidy_labels(
    labels: pa.ChunkedArray, known: Sequence[str] | None, where: str, named: Collection[str] = ()
) -> pa.ChunkedArray:
    """Return labels as int64 or as trimmed text, null where missing.

    Args:
        labels: as they were read.
        known: the file's names for its numbers; with them −1 means missing.
        where: the source, for errors.
        named: known class names; a class of this list may be called NaN.

    Raises:
        SettingError: they are neither whole numbers nor text.
    """
    if is_text(labels.type):
        labels = pc.utf8_trim_whitespace(as_text(labels))  # pyright: ignore[reportAttributeAccessIssue]
        missing = [value for value in ("", "nan") if value not in {name.lower() for name in named}]
        lower = pc.utf8_lower(labels)  # pyright: ignore[reportAttributeAccessIssue]
        is_missing = pc.is_in(lower, pa.array(missing, pa.large_string()))  # pyright: ignore
        return pc.if_else(is_missing, None, labels)  # pyright: ignore[reportAttributeAccessIssue]
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(labels.type) for is_kind in kinds):
        raise SettingError(f"{where}: labels must be whole numbers or names, not {labels.type}; fix the file")
    labels = pc.if_else(pc.is_null(labels, nan_is_null=True), None, labels)  # pyright: ignore
    try:
        labels = labels.cast(pa.int64())
    except pa.ArrowInvalid as error:  # a fraction, or too large
        raise _not_whole(labels.unique().drop_null().to_pylist(), where) from error
    if known is not None:
        labels = pc.if_else(pc.equal(labels, -1), None, labels)  # pyright: ignore[reportAttributeAccessIssue]
    return labels


def find_classes(
    labels: pa.ChunkedArray, where: str, chosen: Sequence[str] | None, known: Sequence[str] | None
) -> Classes:
    """Return the classes of labels.

    Args:
        labels: those of the training split, from `tidy_labels`, none missing.
        where: the source, for errors.
        chosen: the configured names; None to take the file's.
        known: the file's names for numbers, if any.

    Raises:
        SettingError: there are fewer than two classes, too many, or the names do not fit them.
    """
    values = _sorted(labels.unique().to_pylist())
    if len(values) < 2:
        raise SettingError(f"{where} has one class only ({values[0]}): there is nothing to classify; add another")
    if 2 * len(values) > len(labels):
        raise SettingError(
            f"{where} has {len(values):,} different labels in {len(labels):,} rows, such as {some(values)}: "
            "a class needs several rows; choose another data.label_column"
        )
    if chosen is not None:
        _check_names(chosen, known, where)
    named = chosen is not None and {*map(str, values)} <= {*chosen}
    if not named and _has_fractions(values):
        raise _not_whole(values, where)
    numbers = None if named else as_numbers(labels)
    count = len(chosen or known or values)
    if numbers is None or (chosen is known is None and {*numbers.unique().to_pylist()} != {*range(count)}):
        names = tuple(chosen or map(str, values))
        if unused := set(names) - {*map(str, values)}:
            raise SettingError(f"data.class_names: {min(unused)!r} is the label of no row; {where} has {some(values)}")
        return Classes(names, numbered=False)  # a label that has no name is found when they are numbered
    names = tuple(chosen or known or map(str, range(count)))
    found = {*numbers.unique().to_pylist()}
    if not (found <= {*range(count)} if known else found == {*range(count)}):
        classes = f"the {len(chosen)} data.class_names" if chosen else f"the {count} classes of the file"
        raise SettingError(
            f"{where}: labels must be 0 … C−1, one number for each of {classes}, each in use; found {some(values)}: "
            f"number them anew, or name them: data.class_names=[{some(values).replace(', ', ',')}]"
        )
    return Classes(names, numbered=True)


def _sorted(values: Sequence[int | str]) -> list[int | str]:
    """Return numbers in numeric order, names in alphabetical order."""
    numeric = all(_SIGNED.fullmatch(str(value)) for value in values)
    return sorted(values, key=int if numeric else str)


def _has_fractions(values: Sequence[int | str]) -> bool:
    """Return whether all values are decimal numbers, and some are not whole."""
    decimal = [re.fullmatch(r"-?[0-9]+(?:\.([0-9]+))?", str(value)) for value in values]
    return all(decimal) and any(match and (match[1] or "").strip("0") for match in decimal)


def _not_whole(values: Sequence[object], where: str) -> SettingError:
    return SettingError(
        f"{where}: labels must be whole numbers or names; found {some(values)}: number the classes, name them with "
        "data.class_names, or choose another data.label_column"
    )


def _check_names(chosen: Sequence[str], known: Sequence[str] | None, where: str) -> None:
    if twice := [name for place, name in enumerate(chosen) if name in chosen[:place]]:
        raise SettingError(f"data.class_names: {twice[0]!r} appears twice; give each class its own name")
    if known is None:
        return
    if len(chosen) != len(known):
        raise SettingError(
            f"data.class_names: {len(chosen)} names for {len(known)} classes; {where} has {', '.join(known)}"
        )
    if set(chosen) == set(known) and list(chosen) != list(known):
        raise SettingError(f"data.class_names: another order than in {where}, which has {', '.join(known)}")


def some(values: Sequence[object], most: int = 10) -> str:
    """Return the first few values, each shortened."""
    short = [text if len(text) <= 40 else f"{text[:39]}…" for text in map(str, values[:most])]
    return ", ".join(short) + (", …" if len(values) > most else "")
