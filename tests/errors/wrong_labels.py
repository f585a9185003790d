"""Wrong labels, and settings that do not fit the labels."""

import datetime

from observing import Kind
from samples import CSV, LABELS, TEXTS, corpus_case, rows, rows_read, table, train_file


def _numbered(a: object, b: object) -> str:
    """The sound corpus with other labels."""
    return CSV.replace(",a\n", f",{a}\n").replace(",b\n", f",{b}\n")


def _both(a: object, b: object) -> dict[str, str]:
    return {"train.csv": _numbered(a, b), "test.csv": _numbered(a, b)}


def _typed(labels: object) -> dict[str, object]:
    return train_file("train.parquet", table(TEXTS, labels))


DAYS = [datetime.date(2020, 1, 1 + (label == "a")) for label in LABELS]
NESTED = [[label] for label in LABELS]

CASES = (
    corpus_case(
        "a gap in numbers that have names", _both(1, 3), ["1, 3", "data.class_names"], "data.class_names=[x,y]"
    ),
    corpus_case("fractions", _both(0.5, 1.5), ["corpus: train", "0.5, 1.5", "data.label_column"]),
    corpus_case("infinity", _typed([float("inf"), 0.0] * 10), ["corpus: train", "inf"]),
    corpus_case("no label in any row", _typed([float("nan")] * 20), ["corpus: train", "20 rows"]),
    corpus_case("no label in half of the rows", _numbered("", "b"), ["corpus: train", "10 of 20"]),
    corpus_case("numbers beyond 64 bits", _typed([1e30, 0.0] * 10), ["corpus: train", "1e+30"]),
    corpus_case(
        "NaN for a label in half of the rows",
        train_file("train.jsonl", rows(labels=[float("nan"), "b"] * 10)),
        ["corpus: train", "10 of 20", "NaN"],
    ),
    corpus_case("days", _typed(DAYS), ["corpus: train", "date"]),
    corpus_case("lists", _typed(NESTED), ["corpus: train", "list"]),
    corpus_case("bytes", _typed([label.encode() for label in LABELS]), ["corpus: train", "binary"]),
    corpus_case("one class alone", _numbered("b", "b"), ["corpus: train", "one class", "b"]),
    corpus_case(
        "a class for each row",
        "text,label\n" + "".join(f"{text},{n}\n" for n, text in enumerate(TEXTS)),
        ["corpus: train", "data.label_column"],
    ),
    corpus_case(
        "a class that is only tested", {"train.csv": CSV, "test.csv": CSV + "good,c\n"}, ["corpus: test", "'c'", "a, b"]
    ),
    corpus_case("numbers to learn from, names to test", _numbered(0, 1), ["corpus: test", "'a'", "0, 1"]),
    corpus_case(
        "another spelling in the test", {"train.csv": CSV, "test.csv": CSV.replace(",a", ",A")}, ["corpus: test", "'A'"]
    ),
    corpus_case("a name for no class", CSV, ["data.class_names", "'c'"], "data.class_names=[a,b,c]"),
    corpus_case("a class without a name", CSV, ["corpus: train", "'b'"], "data.class_names=[a]"),
    corpus_case("one name for two classes", CSV, ["data.class_names", "'a'", "twice"], "data.class_names=[a,a]"),
    corpus_case(
        "three classes for a model of two",
        {"train.csv": CSV + "x,c\ny,c\nz,c\n", "test.csv": CSV},
        ["binary_cnn", "model=multi_cnn"],
        "model=binary_cnn",
    ),
    corpus_case("two classes for a model of more", CSV, ["multi_cnn", "model=binary_cnn"], "model=multi_cnn"),
    corpus_case("too few rows to validate", CSV, ["data.valid_fraction", "0.01"], "data.valid_fraction=0.01"),
    corpus_case("too few rows to learn from", CSV, ["data.valid_fraction", "data.limit=1"], "data.limit=1"),
    corpus_case("a class in one group", CSV, ["class 0", "data.group_column=null"], "data.group_column=label"),
    corpus_case(
        "true and false",
        {"train.parquet": table(TEXTS, [label == "a" for label in LABELS]), "test.csv": _numbered(1, 0)},
        [],
        accepted=rows_read,
    ),
    corpus_case(
        "names and numbers mixed",
        train_file("train.jsonl", rows(labels=[0, 1] * 5 + ["a", "b"] * 5)),
        [],
        accepted=rows_read,
    ),
    corpus_case("negative labels", _both(-1, 0), [], accepted=rows_read),
    corpus_case("a gap in the numbers", _both(1, 3), [], accepted=rows_read),
    corpus_case("leading zeros", _both("00", "01"), [], accepted=rows_read),
    corpus_case("whole numbers with a point", _both("0.0", "1.0"), [], accepted=rows_read),
)

KIND = Kind(4, "Labels", "Given to `python -m lt_lightning.train data=files data.path=corpus`.", CASES)
