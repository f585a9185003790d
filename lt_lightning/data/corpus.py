"""Load a corpus: labelled texts in a training and a test split, checked. Imports no torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.config import HF_DATASETS_CACHE
from jaxtyping import Int64

from lt_lightning.config.sources import Names, Texts
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.data.fingerprint import content_fingerprint
from lt_lightning.data.groups import groups_fingerprint, read_groups
from lt_lightning.data.labels import Classes, as_text, find_classes, is_text, tidy_labels
from lt_lightning.data.sources.delimiters import DELIMITERS, CsvForm
from lt_lightning.data.splits import draw_test
from lt_lightning.errors import SettingError
from lt_lightning.kernels.owners import is_foreign, make_private

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """Labelled texts.

    Attributes:
        name: a short name.
        source: where it was read from.
        splits: `train` and `test` (a DatasetDict), each with the columns `text` (string) and `label` (ClassLabel).
            Their fingerprints depend on the content alone, so that the same texts share a cache.
        dropped: the number of rows without text or label that each split lost.
        delimiters: the column delimiter of each split that was read from a .csv.
        test_fraction: the fraction of rows drawn as the test split; None if the data has one.
        places: the original row numbers, from 0, of each split that was drawn.
        groups: the number of each training row's group, whose rows stay in one part; None if each row is on its own.
        difference: how it differs from the reference corpus of its name, for PyDocs and Names; nothing if it does not.
    """

    name: str
    source: str
    splits: Mapping[Any, datasets.Dataset]
    dropped: Mapping[str, int]
    delimiters: Mapping[str, str] = field(default_factory=dict)
    test_fraction: float | None = None
    places: Mapping[str, Int64[np.ndarray, " rows"]] = field(default_factory=dict)
    groups: Int64[np.ndarray, " rows"] | None = None
    difference: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the name of each class, in the order of the labels."""
        return tuple(self.splits["train"].features["label"].names)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each split's content, and of the training rows' groups."""
        content = {split: rows._fingerprint for split, rows in self.splits.items()}
        return content if self.groups is None else {**content, "groups": groups_fingerprint(self.groups)}

    @property
    def reading(self) -> dict[str, Any]:
        """Return how the splits were read, for `run.json`."""
        reading = {"delimiter": dict(self.delimiters) or None, "test_fraction": self.test_fraction}
        return {**reading, **({"difference": self.difference} if self.difference else {})}

    @property
    def notes(self) -> list[str]:
        """Return a line for each choice made in reading that users should see, and for a difference."""
        notes = [f"{self.name}: {self.difference}"] if self.difference else []
        if found := {*self.delimiters.values()} - {","}:
            words = " and ".join(DELIMITERS.get(one, repr(one)) for one in sorted(found))
            notes.append(f"columns are separated by {words}")
        if self.test_fraction is not None:
            drawn = "class by class" if self.groups is None else "in whole groups (data.group_column)"
            notes.append(
                f"no test split: {self.test_fraction:.4g} of the rows test, drawn {drawn}, the same for every seed "
                "(data.test_fraction)"
            )
        return notes


def load_corpus(config: TextConfig) -> Corpus:
    """Load the corpus of the `data` group.

    Raises:
        SettingError: it cannot be read, or is not a valid corpus.
    """
    if isinstance(config, Names):
        from lt_lightning.data.sources.names import load_names

        names = load_names(cache_folder(), config.split_names)
        corpus = make_corpus(config, "names in installed libraries", names)
        return _compared(corpus, "names-split" if config.split_names else "names-written", names)
    assert isinstance(config, Texts)
    if config.path is not None:
        from lt_lightning.data.sources.files import read_path

        splits, delimiters = read_path(typed_path(config.path), CsvForm.of(config))
        # PyDocs is the default name; other files must not carry it.
        named = replace(config, name="files") if config.name == "PyDocs" else config
        return replace(make_corpus(named, config.path, splits), delimiters=delimiters)
    if config.hub is not None:
        from lt_lightning.data.sources.hub import fetch_dataset

        part = f", {config.hub_config}" if config.hub_config else ""
        return make_corpus(
            config, f"Hugging Face Hub, {config.hub}{part}", fetch_dataset(config.hub, config.hub_config)
        )
    if config.name == "PyDocs":
        from lt_lightning.data.sources.pydocs import load_pydocs

        docs = load_pydocs(cache_folder())
        return _compared(make_corpus(config, "docstrings of installed libraries", docs), "pydocs", docs)
    raise SettingError(
        "data.path: data=files needs it: a .parquet, .csv, .tsv or .jsonl file, or a folder with train and test"
    )


def _compared(corpus: Corpus, reference: str, splits: Mapping[Any, datasets.Dataset]) -> Corpus:
    """Return a built-in corpus with a line about its difference from the reference, if there is one."""
    from lt_lightning.data.sources.reference import describe_difference

    found = {split: rows._fingerprint for split, rows in splits.items()}
    return replace(corpus, difference=describe_difference(reference, found))


def cache_folder() -> Path:
    """Return the project's private folder inside the cache of `datasets`.

    Users who share a cache get a folder each: the first `lt_lightning`, the others one with their user number in its
    name.

    Raises:
        SettingError: the folder cannot be written.
    """
    folder = Path(HF_DATASETS_CACHE) / "lt_lightning"
    try:
        if folder.exists() and is_foreign(folder.stat()):
            folder = folder.with_name(f"{folder.name}_{os.geteuid()}")
        make_private(folder)
    except OSError as error:
        why = error.strerror or str(error)
    else:
        why = "" if os.access(folder, os.W_OK) else "it is read-only"
    if why:
        raise SettingError(f"HF_DATASETS_CACHE: cannot write to {folder} ({why}); set it to another folder")
    return folder


def make_corpus(config: TextConfig, source: str, splits: Mapping[Any, datasets.Dataset]) -> Corpus:
    """Check splits, at least `train`, and convert them to a corpus.

    Without `test`, a fraction of the training rows is drawn for it. `source` is where the splits were read from.

    Raises:
        SettingError: names the split, the fault and the remedy.
    """
    where = {split: f"{source}: {split}" for split in ("train", "test")}
    drawn = "test" not in splits and config.test_fraction is not None
    tables: dict[str, pa.Table] = {}
    dropped: dict[str, int] = {}
    known: Sequence[str] | None = None
    for split in ("train",) if drawn else where:
        if split not in splits:
            there = ", ".join(map(str, splits)) or "nothing"
            remedy = ", or set data.test_fraction" if split == "test" else ""
            raise SettingError(f"{where[split]} is missing; there is {there}: name the splits train and test{remedy}")
        columns, names = read_columns(splits[split], where[split], config)
        if split == "train":
            known = names
            if config.group_column is not None:
                groups = read_groups(splits[split], where[split], config.group_column)
                columns = columns.append_column("group", pa.chunked_array([groups]))
        elif names is not None and names != known:  # the same numbers, for other classes
            columns = columns.set_column(1, "label", spell(columns["label"], names))
        tables[split] = take_filled(columns, where[split])
        dropped[split] = len(columns) - len(tables[split])
        if dropped[split]:
            log.warning("%s: left out %d of %d rows without text or label", where[split], dropped[split], len(columns))
    if config.label_column is None:
        classes = Classes(("text",), numbered=True)
    else:
        classes = find_classes(tables["train"]["label"], where["train"], config.class_names, known)
    codes = {split: classes.number(table["label"], where[split]) for split, table in tables.items()}
    groups = None if config.group_column is None else tables["train"]["group"].to_numpy()
    corpus = Corpus(config.name, source, {}, dropped, groups=groups)
    if drawn:
        assert config.test_fraction is not None
        parts = draw_test(codes["train"], config.test_fraction, classes.names, groups)
        places = dict(zip(where, parts, strict=True))
        tables = {split: tables["train"].take(pa.array(rows)) for split, rows in places.items()}
        codes = {split: codes["train"][rows] for split, rows in places.items()}
        dropped["test"] = 0
        groups = None if groups is None else groups[places["train"]]
        corpus = replace(corpus, test_fraction=config.test_fraction, places=places, groups=groups)
    if unseen := np.setdiff1d(codes["test"], codes["train"]).tolist():
        raise SettingError(
            f"{where['test']}: no training row has label {classes.names[unseen[0]]!r}; train on some, or leave it out"
        )
    rows: dict[Any, datasets.Dataset] = {
        split: finish_rows(tables[split]["text"], codes[split], classes.names) for split in where
    }
    return replace(corpus, splits=datasets.DatasetDict(rows))


MOST_DROPPED = 0.05
"""The largest fraction of incomplete rows that may be dropped."""


def read_columns(
    dataset: datasets.Dataset, where: str, config: TextConfig, named: Collection[str] = ()
) -> tuple[pa.Table, list[str] | None]:
    """Return a table of the columns `text` and `label`, and the file's class names, if any.

    `where` names the source in errors; `named` are further class names, see `tidy_labels`.

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
    letters = memoryview(characters)[offsets[0] : offsets[-1]]
    return datasets.Dataset(content, fingerprint=content_fingerprint(offsets - offsets[0], letters, codes))
