"""Files of one's own: what is read is what is written there, and what cannot be read is named."""

import csv
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lt_lightning.data.sources.delimiters import CsvForm
from lt_lightning.data.sources.files import read_path

ROWS = [
    {"text": "plain", "label": "a"}, {"text": 'a "quoted", comma', "label": "b"},
    {"text": "two\nlines\r\nthree", "label": "a"}, {"text": "naïve – 漢字 😀", "label": "b"},
]  # fmt: skip


def read_splits(path: Path, **form: object) -> Mapping[str, datasets.Dataset]:
    return read_path(path, CsvForm(**form)).splits  # pyright: ignore[reportArgumentType]


def write(folder: Path, split: str, ending: str, rows: list[dict], encoding: str = "utf-8") -> Path:
    """Write rows by libraries other than those that read them."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{split}{ending}"
    if ending == ".csv":
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding=encoding)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("folder", ["corpus", "odd [1] * year=2020 ~ ünï"])
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_rows_that_were_written(tmp_path, ending, folder):
    write(tmp_path / folder, "train", ending, ROWS)
    write(tmp_path / folder, "test", ending, ROWS[:1])
    splits = read_splits(tmp_path / folder)
    assert splits["train"].to_list() == ROWS
    assert splits["test"].to_list() == ROWS[:1]


def test_both_splits_need_not_have_the_same_format(tmp_path):
    write(tmp_path, "train", ".csv", ROWS)
    write(tmp_path, "test", ".parquet", ROWS)
    splits = read_splits(tmp_path)
    assert splits["train"].to_list() == splits["test"].to_list()


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, ending):
    assert read_splits(write(tmp_path, "train", ending, ROWS, encoding="utf-8-sig"))["train"].to_list() == ROWS


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_named_with_the_remedy(tmp_path, ending, encoding, refused):
    path = write(tmp_path, "train", ending, [{"text": "café", "label": "a"}], encoding=encoding)
    with refused("data.path", str(path), "not UTF-8", "save it as UTF-8"):
        read_splits(tmp_path)


def test_a_csv_is_text_and_nothing_is_taken_for_missing(tmp_path):
    rows = [{"text": "None", "label": "NA"}, {"text": "007", "label": "1e3"}, {"text": "", "label": "null"}]
    assert read_splits(write(tmp_path, "train", ".csv", rows))["train"].to_list() == rows


def test_the_text_of_a_csv_may_be_a_book(tmp_path):
    rows = [{"text": "word " * 1_000_000, "label": "a"}]
    assert read_splits(write(tmp_path, "train", ".csv", rows))["train"]["text"][:] == [rows[0]["text"]]
    assert csv.field_size_limit() == 131072


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                "label": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            }
        ),
        min_size=1,
    )
)
def test_a_csv_of_any_texts_comes_back_unchanged(tmp_path_factory, rows):
    assert read_splits(write(tmp_path_factory.mktemp("any"), "train", ".csv", rows))["train"].to_list() == rows


@pytest.mark.parametrize(("name", "content", "said"), [
    ("train.csv", "text,label\na,1\nb\n", "row 2 has 1 fields, the first line names 2"),
    ("train.csv", "text,label\na,1,2\n", "row 1 has 3 fields, the first line names 2"),
    ("train.csv", 'text,label\na,1\n"b,0\nc,1\n', "line 4: unexpected end of data"),
    ("train.csv", 'text,label\na,1\n"b" c,0\n', "line 3: ',' expected after '\"'"),
    ("train.jsonl", '{"text": "a"}\n{"text": "b"\n', "line 2, character 14: Expecting ',' delimiter"),
    ("train.jsonl", '[{"text": "a"}]\n', "line 1 is not an object"),
    ("train.jsonl", '"a"\n', "line 1 is not an object"),
    ("train.jsonl", '{\n"text": "a"\n}\n', "line 1, character 3"),
    ("train.parquet", "", "is empty"),
    ("train.parquet", "junk" * 9, "cannot be read as .parquet"),
])  # fmt: skip
def test_a_broken_file_is_named_with_the_place(tmp_path, name, content, said, refused):
    (tmp_path / name).write_text(content)
    with refused("data.path", str(tmp_path / name), said):
        read_splits(tmp_path)


def test_a_jsonl_may_have_gaps_blank_lines_and_anything_beside_the_texts(tmp_path):
    lines = [
        '{"text": "2020-01-01", "label": 1, "meta": {"a": [1, {}]}, "mixed": 1}', "",
        '{"label": 0, "mixed": "b", "text": "line\\u2028end"}', "{}",
    ]  # fmt: skip
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    rows = read_splits(tmp_path)["train"]
    assert rows["text"][:] == ["2020-01-01", "line\u2028end", None]
    assert rows["label"][:] == [1, 0, None]
    assert rows["mixed"][:] == ["1", "b", None]


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int16(), pa.string())])
def test_text_in_a_parquet_file_is_text_however_it_is_stored(tmp_path, kind):
    table = pa.table({name: pa.array(["x", "y", None]).cast(kind) for name in ("text", "label")})
    pq.write_table(table, tmp_path / "train.parquet")
    assert read_splits(tmp_path)["train"].to_list() == [{"text": one, "label": one} for one in ("x", "y", None)]


@pytest.mark.parametrize("other", [
    pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), pa.array([["a"]], pa.list_(pa.string_view())),
    pa.array([["a"]], pa.list_view(pa.string())), pa.array([b"a"], pa.binary_view()),
])  # fmt: skip
def test_other_columns_of_a_parquet_file_may_be_of_any_type(tmp_path, other):
    try:
        pq.write_table(pa.table({"other": other, "text": ["x"], "label": ["a"]}), tmp_path / "rows.parquet")
    except pa.ArrowNotImplementedError:  # list_view before pyarrow 25
        pytest.skip(f"this pyarrow writes no {other.type}")
    rows = read_splits(tmp_path / "rows.parquet")["train"]
    assert (rows["text"][:], rows["label"][:]) == (["x"], ["a"])


def test_nan_among_texts_is_a_missing_value(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "x", "label": "a"}\n{"text": NaN, "label": NaN}\n')
    assert read_splits(tmp_path)["train"].to_list() == [{"text": "x", "label": "a"}, {"text": None, "label": None}]


def test_a_file_without_rows_is_no_error_yet(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "test.parquet")
    splits = read_splits(tmp_path)
    assert splits["train"].column_names == ["text", "label"]
    assert [len(split) for split in splits.values()] == [0, 0]


def test_what_save_to_disk_wrote_is_read_and_left_as_it_is(tmp_path, rows_of):
    rows = rows_of(["x", "y"], ["a", "b"])
    folder = tmp_path / "saved [1]"
    datasets.DatasetDict({"train": rows, "test": rows, "extra": rows}).save_to_disk(str(folder))
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    splits = read_splits(folder)
    assert splits["train"].to_list() == rows.to_list()
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def test_a_saved_data_set_without_splits_is_the_training_split(tmp_path, rows_of):
    rows = rows_of(["x", "y"], ["a", "b"])
    rows.save_to_disk(str(tmp_path / "saved"))
    splits = read_splits(tmp_path / "saved")
    assert {split: rows.to_list() for split, rows in splits.items()} == {"train": rows.to_list()}


def test_a_damaged_saved_folder_is_named(tmp_path, rows_of, refused):
    rows = rows_of(["x", "y"], ["a", "b"])
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "saved/test/state.json").unlink()
    with refused("data.path", str(tmp_path / "saved"), "save_to_disk"):
        read_splits(tmp_path / "saved")


@pytest.mark.parametrize("name", ["reviews.csv", "a (1), [b].CSV", "größe.jsonl", "rows.parquet", "rows.tsv"])
def test_a_single_file_is_the_training_split(tmp_path, name):
    path = tmp_path / name
    written = write(tmp_path, "written", ".csv" if path.suffix in (".CSV", ".tsv") else path.suffix, ROWS)
    written.rename(path)
    splits = read_splits(path)
    assert {split: rows.to_list() for split, rows in splits.items()} == {"train": ROWS}


def test_a_folder_may_lack_a_test_file(tmp_path):
    write(tmp_path, "train", ".csv", ROWS)
    assert set(read_splits(tmp_path)) == {"train"}


def test_a_path_that_cannot_be_read_is_named(tmp_path, refused):
    with refused("data.path", str(tmp_path / "none"), "does not exist", "give a file, or a folder"):
        read_splits(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("text,label")
    with refused("data.path", str(tmp_path / "notes.txt"), "ends in none of .parquet, .csv, .tsv, .jsonl"):
        read_splits(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "pipe.csv")
    with refused("data.path", str(tmp_path / "pipe.csv"), "a pipe or a device"):
        read_splits(tmp_path / "pipe.csv")


def test_a_missing_training_file_is_named_with_what_there_is(tmp_path, refused):
    with refused("data.path", str(tmp_path), "no train file", "there is nothing"):
        read_splits(tmp_path)
    write(tmp_path, "test", ".csv", ROWS)
    with refused("data.path", "no train file", "for a single file give data.path=", "test.csv"):
        read_splits(tmp_path)
    for number in range(9):
        (tmp_path / f"a{number}.txt").write_text("")
    with refused("data.path", "no train file", "train.parquet, .csv, .tsv or .jsonl", "a0.txt, a1.txt", ", …"):
        read_splits(tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("columns", [("text", "label"), ("text",), ("body",), ()])
@given(rows=st.lists(st.tuples(*[st.text('ab,;\t|" \n', min_size=1)] * 2), min_size=1, max_size=5))
@settings(max_examples=20)
def test_the_delimiter_of_a_csv_is_detected(tmp_path_factory, delimiter, columns, rows):
    path = tmp_path_factory.mktemp("any") / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([("text", "label"), *rows])
    found = read_path(path, CsvForm(columns=columns))
    assert found.delimiters == {"train": delimiter}
    assert [(row["text"], row["label"]) for row in found.splits["train"].to_list()] == rows


def test_a_column_decides_what_separates_it(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("Titel, lang;Note\nx, y;1\n", encoding="utf-8-sig")
    assert read_path(path, CsvForm(columns=("Titel, lang", "Note"))).delimiters == {"train": ";"}
    assert read_path(path, CsvForm(columns=("Titel",))).delimiters == {"train": ","}


@pytest.mark.parametrize("first", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n"])
def test_the_line_that_a_spreadsheet_writes_first_is_obeyed(tmp_path, first):
    path = tmp_path / "train.csv"
    path.write_text(f"{first}text,a;label\nx;y\n", encoding="utf-8-sig", newline="")
    assert read_splits(path)["train"].to_list() == [{"text,a": "x", "label": "y"}]


def test_the_setting_decides_where_there_is_one(tmp_path, refused):
    path = tmp_path / "train.csv"
    path.write_text("a;b:c\nx;y:z\n")
    assert read_splits(path)["train"].column_names == ["a", "b:c"]
    assert read_splits(path, delimiter=":")["train"].column_names == ["a;b", "c"]
    with refused("data.path", str(path), "row 1 has 3 fields", "put a field that holds ';' in quotes"):
        path.write_text("text;label\nx;y;z\n")
        read_splits(path)
    write(tmp_path, "rows", ".jsonl", ROWS)
    with refused("data.delimiter", "no .csv file", "rows.jsonl"):
        read_splits(tmp_path / "rows.jsonl", delimiter=";")


def test_a_split_in_two_formats_is_named(tmp_path, refused):
    write(tmp_path, "train", ".csv", ROWS)
    write(tmp_path, "train", ".jsonl", ROWS)
    with refused("data.path", "train.csv and train.jsonl", "keep one"):
        read_splits(tmp_path)


def test_reading_files_asks_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up a host"))
    for ending in (".parquet", ".csv", ".jsonl"):
        for split in ("train", "test"):
            write(tmp_path / ending, split, ending, ROWS)
        read_splits(tmp_path / ending)
