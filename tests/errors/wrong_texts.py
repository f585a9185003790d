"""Odd texts: most of them have an answer."""

from pathlib import Path

import pyarrow as pa
from observing import Kind
from samples import CSV, TEXTS, corpus_case, described, rows, rows_read, table, train_file

BOOK = "good film " * 1_000_000
"""10 MB."""


def _with(text: str | None) -> list[dict[str, object]]:
    """Sound rows, and one with this text."""
    return [*rows(), {"text": text, "label": "a"}]


def _left_out(folder: Path) -> str:
    dropped = described(folder)["corpus"]["dropped"]
    return f"left out, with a warning; {rows_read(folder)} (left out: {dropped['train']} to learn from)"


def _test_rows(folder: Path) -> str:
    """What the texts of the test part are to the network."""
    from tokenizers import Tokenizer

    from lt_lightning.runs.round_ticket import RoundTicket

    words = Tokenizer.from_str(RoundTicket.load(folder / "run/tickets/round_00.safetensors").tokenizer)
    found = {words.id_to_token(number) for number in words.encode("zeppelin ungefähr").ids}
    return f"read as `{' '.join(sorted(found))}` for each word; {rows_read(folder)}"


CASES = (
    corpus_case("no text in any row", train_file("train.parquet", table(pa.nulls(20))), ["corpus: train", "20 rows"]),
    corpus_case(
        "no text in half of the rows", "text,label\n" + "good,a\n,b\n" * 10, ["corpus: train", "10 of 20", "5%"]
    ),
    corpus_case("blanks for texts", "text,label\n" + "  ,a\n\t,b\n" * 10, ["corpus: train", "20 rows"]),
    corpus_case("numbers for texts", train_file("train.jsonl", rows(range(20))), ["corpus: train", "'text'", "int64"]),
    corpus_case("lists for texts", train_file("train.jsonl", rows([[one] for one in TEXTS])), ["'text'", "list"]),
    corpus_case(
        "objects for texts", train_file("train.jsonl", rows([{"is": one} for one in TEXTS])), ["'text'", "struct"]
    ),
    corpus_case(
        "bytes for texts", train_file("train.parquet", table([text.encode() for text in TEXTS])), ["'text'", "binary"]
    ),
    corpus_case(
        "an empty text among 21", train_file("train.jsonl", _with("")), ["left out 1 of 21"], accepted=_left_out
    ),
    corpus_case(
        "no text in 1 row of 21", train_file("train.jsonl", _with(None)), ["left out 1 of 21"], accepted=_left_out
    ),
    corpus_case(
        "a text of 10 MB", train_file("train.jsonl", _with(BOOK)), [], "data.max_length=100", accepted=rows_read
    ),
    corpus_case("a word of 10 MB", CSV + "x" * 10_000_000 + ",a\n", [], accepted=rows_read),
    corpus_case(
        "only unknown words to test",
        {"train.csv": CSV, "test.csv": "text,label\nzeppelin ungefähr,a\n"},
        [],
        accepted=_test_rows,
    ),
    corpus_case("the word None", CSV + "None,a\n", [], accepted=rows_read),
    corpus_case(
        "a NUL character within a `.jsonl`", train_file("train.jsonl", _with("go\0od")), [], accepted=rows_read
    ),
)

KIND = Kind(
    3,
    "Texts",
    "Given to `python -m lt_lightning.train data=files data.path=corpus`. Where an odd text has an answer, the table "
    "says what is made of it.",
    CASES,
)
