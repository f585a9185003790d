"""Wrong data files: of every format, in the wrong encoding, damaged, or no files at all."""

import gzip
import os
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from observing import Case, Kind, train
from samples import CSV, LABELS, LOG, TEXTS, corpus_case, fill, rows, rows_read, table, train_file


def _parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table(), sink, compression="none", use_dictionary=False)
    return sink.getvalue().to_pybytes()


def _not_utf8() -> bytes:
    """A table that says that it holds text, and holds other bytes."""
    return _parquet().replace(b"good", b"go\xff\xfe")


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _saved(folder: Path) -> list[str]:
    sound = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS})
    datasets.DatasetDict({"train": sound, "test": sound}).save_to_disk(str(folder / "corpus"))
    return ["data=files", "data.path=corpus", "model=cnn"]


def _saved_and_damaged(folder: Path) -> list[str]:
    arguments = _saved(folder)
    (folder / "corpus/train/state.json").write_text('{"_data_files": [')
    return arguments


def _notes(folder: Path) -> list[str]:
    fill(folder / "corpus.txt", CSV)
    return ["data=files", "data.path=corpus.txt"]


def _single_file(folder: Path) -> list[str]:
    fill(folder / "Größe (1).csv", CSV)
    return ["data=files", "data.path='Größe (1).csv'", "model.filters=2"]


def _cache_is_a_file(folder: Path) -> list[str]:
    (folder / "cache").write_text("")
    return [*corpus_case("", CSV, ()).make(folder)]


TEXT_TWICE = "text,text,label\n" + "good,film,a\nbad,film,b\n" * 10
LOST = b'{"text": "good", "label": "a"}\n{"text": "bad", "la'

CASES = (
    Case("no such folder", lambda _: ["data=files", "data.path=corpse"], ("data.path", "corpse"), train, LOG),
    Case("a file of another kind", _notes, ("data.path", "corpus.txt", ".csv"), train, LOG),
    corpus_case("an empty folder", {}, ["data.path", "corpus", "train.parquet, .csv, .tsv or .jsonl"]),
    corpus_case("no file to learn from", {"test.csv": CSV}, ["data.path", "train", "test.csv"]),
    corpus_case(
        "no file to test on, and none to be drawn",
        {"train.csv": CSV},
        ["corpus: test is missing", "data.test_fraction"],
        "data.test_fraction=null",
    ),
    corpus_case("no column of groups", CSV, ["corpus: train", "'film'", "text, label"], "data.group_column=film"),
    corpus_case("too few rows to draw a test split", {"train.csv": CSV}, ["0.02"], "data.test_fraction=0.02"),
    corpus_case("files of other names", {"training.csv": CSV, "testing.csv": CSV}, ["data.path", "training.csv"]),
    corpus_case("the same file twice", {"train.csv": CSV, "train.jsonl": rows()}, ["train.csv", "train.jsonl"]),
    corpus_case("a folder for a file", _folder, ["data.path", "corpus/train.csv", "folder"]),
    corpus_case("a pipe for a file", os.mkfifo, ["data.path", "corpus/train.csv", "pipe"]),
    corpus_case("a link to itself", _loop, ["data.path", "corpus/train.csv", "link"]),
    corpus_case("an empty file", "", ["data.path", "corpus/train.csv", "empty"]),
    corpus_case("a header alone", "text,label\n", ["corpus: train", "0 rows"]),
    corpus_case("a byte order mark alone", b"\xef\xbb\xbf", ["corpus: train", "data.text_column"]),
    corpus_case("no header", CSV.partition("\n")[2], ["corpus: train", "'text'", "data.text_column"]),
    corpus_case("a header in capitals", CSV.replace("text", "Text", 1), ["'text'", "Text", "data.text_column"]),
    corpus_case("another delimiter than the one that is set", CSV, ["'text'", "text,label"], "data.delimiter='|'"),
    corpus_case("a delimiter for no `.csv`", {"train.jsonl": rows()}, ["data.delimiter"], "data.delimiter=tab"),
    corpus_case(
        "a column that there is not", CSV, ["'body'", "text, label", "data.text_column"], "data.text_column=body"
    ),
    corpus_case("the label for the text", CSV, ["data.label_column", "'label'"], "data.text_column=label"),
    corpus_case("two columns of one name", TEXT_TWICE, ["corpus/train.csv", "'text'"]),
    corpus_case("a row that is too short", CSV + "good\n", ["corpus/train.csv", "row 21", "1 fields"]),
    corpus_case("a comma in a text without quotes", CSV + "good, film,a\n", ["corpus/train.csv", "row 21", "3 fields"]),
    corpus_case("a quote that is not closed", CSV + '"good film,a\n', ["corpus/train.csv", "line 22"]),
    corpus_case("Latin-1", CSV.replace("good", "café").encode("latin-1"), ["corpus/train.csv", "UTF-8", "0xe9"]),
    corpus_case("UTF-16", CSV.encode("utf-16"), ["corpus/train.csv", "UTF-8"]),
    corpus_case("UTF-16 without a byte order mark", CSV.encode("utf-16-le"), ["corpus/train.csv", "UTF-16", "UTF-8"]),
    corpus_case("zeros between the letters", CSV.replace("good", "go\0od"), ["corpus/train.csv", "NUL", "line 3"]),
    corpus_case("a compressed file", gzip.compress(CSV.encode(), mtime=0), ["corpus/train.csv", "UTF-8"]),
    corpus_case("a `.parquet` called `.csv`", _parquet(), ["corpus/train.csv"]),
    corpus_case("a `.csv` called `.jsonl`", train_file("train.jsonl", CSV), ["corpus/train.jsonl", "line 1"]),
    corpus_case("a `.csv` called `.parquet`", train_file("train.parquet", CSV), ["corpus/train.parquet"]),
    corpus_case("a `.jsonl` that is cut off", train_file("train.jsonl", LOST), ["corpus/train.jsonl", "line 2"]),
    corpus_case("a list of all rows", train_file("train.jsonl", b'[{"text": "a"}]\n'), ["train.jsonl", "line 1"]),
    corpus_case("a row over several lines", train_file("train.jsonl", b'{\n"text": "a"}\n'), ["train.jsonl", "line 1"]),
    corpus_case(
        "half a character", train_file("train.jsonl", rows(["\ud800"] * 20)), ["train.jsonl", "line 1", "ud800"]
    ),
    corpus_case("100,000 brackets", train_file("train.jsonl", b"[" * 100_000), ["train.jsonl", "line 1", "brackets"]),
    corpus_case(
        "a number of 5,000 digits", train_file("train.jsonl", b'{"label": ' + b"1" * 5000 + b"}"), ["line 1", "digits"]
    ),
    corpus_case("a `.parquet` that is cut off", train_file("train.parquet", _parquet()[:400]), ["train.parquet"]),
    corpus_case("a `.parquet` of damaged text", train_file("train.parquet", _not_utf8()), ["corpus: train", "UTF-8"]),
    corpus_case(
        "a `.parquet` without columns", train_file("train.parquet", pa.table({})), ["'text'", "data.text_column"]
    ),
    corpus_case(
        "a `.parquet` without rows", train_file("train.parquet", table().slice(0, 0)), ["corpus: train", "0 rows"]
    ),
    Case("a `save_to_disk` folder that is damaged", _saved_and_damaged, ("data.path", "save_to_disk"), train, LOG),
    Case(
        "a data set of the Hub, without a network", lambda _: ["data=agnews"], ("data.path", "data=pydocs"), train, LOG
    ),
    Case("a repository that cannot be", lambda _: ["data=agnews", "data.hub=a/b/c"], ("data.hub", "a/b/c"), train, LOG),
    Case("no place for the cache", _cache_is_a_file, ("HF_DATASETS_CACHE",), train, LOG),
    Case("a single file", _single_file, (), train, ("run/*",), rows_read),
    corpus_case("no file to test on", {"train.csv": CSV}, [], accepted=rows_read),
    corpus_case("semicolons for commas", CSV.replace(",", ";"), [], accepted=rows_read),
    corpus_case("a byte order mark before a sound file", b"\xef\xbb\xbf" + CSV.encode(), [], accepted=rows_read),
    corpus_case("lines that end as on Windows", CSV.replace("\n", "\r\n"), [], accepted=rows_read),
    corpus_case("no line end after the last row", CSV.removesuffix("\n"), [], accepted=rows_read),
)

KIND = Kind(
    2,
    "Data files",
    "Given to `python -m lt_lightning.train data=files data.path=corpus`, as `train.csv` where nothing else is said.",
    CASES,
)
