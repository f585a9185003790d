"""The tables of a run are read back as they were written, or the damage is named."""

import csv
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lt_lightning.errors import SettingError
from lt_lightning.runs.csv_files import read_records, read_sound_records, write_records
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, ExampleRecord, LayerRecord, Record, columns
from lt_lightning.runs.winners import best_ticket, smallest_winner

FIRST = Record(0, 0.0, 500, 500, 10, 0.1, 0.2, 0.9, 0.25, 0.89, 12.5)

counts = st.integers(0, 10**12)
# Commas, quotes and all the letters of the world, but no control characters: no parameter's name has them.
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
shapes = st.lists(st.integers(0, 10**6), max_size=4).map(tuple)
alive_of_total = st.tuples(counts, counts).map(sorted)
records = st.builds(
    lambda counts_, *rest: Record(rest[0], rest[1], *counts_, *rest[2:]),
    alive_of_total, counts, st.floats(), counts, *[st.floats()] * 6, *[st.none() | st.floats()] * 2,
)  # fmt: skip
layer_records = st.builds(
    lambda round_, name, counts_, shape: LayerRecord(round_, name, *counts_, shape),
    counts, names, alive_of_total, shapes,
)  # fmt: skip
epoch_records = st.builds(EpochRecord, counts, st.integers(1, 10**12), *[st.floats()] * 3)
confusion_records = st.builds(ConfusionRecord, counts, counts, counts, counts)


def alike(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Equal to the bit, where any NaN equals any other."""
    return repr([astuple(record) for record in some]) == repr([astuple(record) for record in others])


# Whatever a network writes: control characters, line ends of all kinds, even half a character.
anything = st.text(st.characters() | st.sampled_from(list(" ,\"'\n\r\t\x00\x1b\\")), max_size=20)
example_records = st.builds(ExampleRecord, counts, anything, anything, anything)
KINDS = (records, layer_records, epoch_records, confusion_records, example_records)


@given(st.one_of(st.lists(kind, min_size=1, max_size=5) for kind in KINDS))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[Any]) -> None:
    write_records(tmp_path / "table.csv", rows)
    assert alike(read_records(tmp_path / "table.csv", type(rows[0])), rows)


def test_columns_are_those_of_the_design() -> None:
    assert ",".join(columns(Record)) == (
        "round,sparsity,alive,total,epochs,train_loss,valid_loss,valid_acc,test_loss,test_acc,seconds"
    )
    assert ",".join(columns(LayerRecord)) == "round,parameter,alive,total,shape"
    assert ",".join(columns(EpochRecord)) == "round,epoch,train_loss,valid_loss,valid_acc"
    assert ",".join(columns(ConfusionRecord)) == "round,label,predicted,count"
    assert ",".join(columns(ExampleRecord)) == "round,given,expected,answer"


def first_line(path: Path) -> str:
    return path.read_text().partition("\n")[0]


def test_a_column_that_no_round_has_a_value_for_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_records(path, [FIRST])
    assert path.read_text() == f"{','.join(columns(Record))}\n0,0.0,500,500,10,0.1,0.2,0.9,0.25,0.89,12.5\n"
    write_records(path, [replace(FIRST, test_exact=0.5)])
    assert first_line(path) == f"{','.join(columns(Record))},test_exact"
    write_records(path, [replace(FIRST, test_perplexity=5.5)])
    assert first_line(path) == f"{','.join(columns(Record))},test_perplexity"


def test_rounds_with_and_without_a_value_share_a_table(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rounds = [FIRST, replace(FIRST, round=1, test_perplexity=5.5), replace(FIRST, round=2, test_exact=math.inf)]
    write_records(path, rounds)
    assert read_records(path, Record) == rounds
    assert path.read_text().splitlines()[1].endswith(",12.5,,")


def test_an_odd_value_in_an_optional_column_is_damage(tmp_path: Path) -> None:
    write_records(tmp_path / "results.csv", [replace(FIRST, test_exact=0.5)])
    text = (tmp_path / "results.csv").read_text()
    (tmp_path / "results.csv").write_text(text.replace("12.5,0.5", "12.5,half"))
    with pytest.raises(SettingError, match="line 2: test_exact cannot be 'half'"):
        read_records(tmp_path / "results.csv", Record)


def test_examples_are_plain_csv_to_other_programs(tmp_path: Path) -> None:
    write_records(tmp_path / "examples.csv", [ExampleRecord(0, "hihell", "ihello", 'a "b",\r\n c\r')])
    with (tmp_path / "examples.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["round", "given", "expected", "answer"], [
            "0", "hihell", "ihello", 'a "b",\r\n c\r'
        ]]  # fmt: skip


def test_examples_that_are_cut_off_are_damage_wherever_the_cut_is(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    write_records(path, [ExampleRecord(0, "a", "b", "c"), ExampleRecord(1, "a", "b\nb", 'c\r"')])
    whole = path.read_bytes()
    for size in range(whole.index(b'"'), len(whole)):
        path.write_bytes(whole[:size])
        rows, damage = read_sound_records(path, ExampleRecord)
        assert rows == [ExampleRecord(0, "a", "b", "c")][: len(rows)]
        assert (damage is None) == whole[:size].endswith(b"c\n")


def test_a_table_is_plain_csv(tmp_path: Path) -> None:
    write_records(tmp_path / "layers.csv", [LayerRecord(2, "convs.0.weight", 7, 30000, (100, 100, 3))])
    assert (tmp_path / "layers.csv").read_bytes() == (
        b"round,parameter,alive,total,shape\n2,convs.0.weight,7,30000,100x100x3\n"
    )
    with (tmp_path / "layers.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["shape"] == "100x100x3"


def test_numbers_of_numpy_and_torch_are_written_as_numbers(tmp_path: Path) -> None:
    odd: Any = replace(FIRST, alive=np.int64(3), train_loss=np.float64(0.1), test_loss=torch.tensor(0.5))
    write_records(tmp_path / "results.csv", [odd])
    assert read_records(tmp_path / "results.csv", Record) == [replace(FIRST, alive=3, train_loss=0.1, test_loss=0.5)]


def test_a_fraction_is_no_count(tmp_path: Path) -> None:
    half: Any = replace(FIRST, **{"epochs": 0.5})
    with pytest.raises(TypeError):
        write_records(tmp_path / "results.csv", [half])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [[], [FIRST, EpochRecord(0, 1, 0.0, 0.0, 0.0)]])
def test_a_table_holds_records_of_one_kind(tmp_path: Path, rows: list[Any]) -> None:
    with pytest.raises(ValueError, match="records of one kind"):
        write_records(tmp_path / "results.csv", rows)
    assert not list(tmp_path.iterdir())


WHOLE = "round,epoch,train_loss,valid_loss,valid_acc\n0,1,0.5,0.5,0.5\n0,2,0.4,0.4,nan\n"


@pytest.mark.parametrize(("text", "line", "what"), [
    (WHOLE.replace("valid_acc", "acc"), 1, "no column valid_acc"),
    ("", 1, "no column round, epoch, train_loss, valid_loss, valid_acc"),
    (WHOLE.replace("0,2,0.4,0.4,nan\n", "0,2,0.4"), 3, "3 values for 5 columns"),
    (WHOLE[:-2], 3, "valid_acc cannot be 'na'"), (WHOLE + "1,1,0.25,0.25,0.2", 4, "the line is cut off"),
    (WHOLE.replace("0,1,0.5", "0,one,0.5"), 2, "epoch cannot be 'one'"),
    (WHOLE.replace("0,1,0.5", "0,1.5,0.5"), 2, "epoch cannot be '1.5'"),
    (WHOLE.replace("0,1,0.5", f"0,{2**63},0.5"), 2, f"epoch cannot be '{2**63}'"),
    (WHOLE.replace("0,1,0.5", f"0,{'9' * 400},0.5"), 2, f"epoch cannot be '{'9' * 37}...'"),
    (WHOLE.replace("0,1,0.5", "0,0,0.5"), 2, "rounds count from 0 and epochs from 1, not 0 and 0"),
    (WHOLE.replace("0.4,nan", "0.4,"), 3, "valid_acc cannot be ''"),
    (WHOLE.replace("0,2", "\n0,2"), 3, "0 values for 5 columns"), (WHOLE + '"1,1', 4, "unexpected end of data"),
])  # fmt: skip
def test_damage_is_named_with_file_line_and_remedy(tmp_path: Path, text: str, line: int, what: str) -> None:
    path = tmp_path / "epochs.csv"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        read_records(path, EpochRecord)
    message = str(caught.value)
    assert message.startswith(f"{path}: line {line}: {what}; ")
    assert "\n" not in message


@pytest.mark.parametrize(("row", "what"), [
    ("0,fc.bias,5,4,4", "alive must be within 0 … total, not 5 of 4"),
    ("-1,fc.bias,4,4,4", "round must not be negative"),
    ("0,fc.bias,4,4,2x", "shape cannot be '2x'"),
    ("0,fc.bias,4,4,", "shape cannot be ''"),
])  # fmt: skip
def test_impossible_values_are_damage(tmp_path: Path, row: str, what: str) -> None:
    (tmp_path / "layers.csv").write_text(f"round,parameter,alive,total,shape\n{row}\n")
    with pytest.raises(SettingError, match=f"line 2: {what}"):
        read_records(tmp_path / "layers.csv", LayerRecord)


def test_what_is_no_text_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00")
    for path, what in (
        (tmp_path / "absent.csv", "no such file"),
        (tmp_path, "cannot be read as a table"),
        (tmp_path / "results.csv", "cannot be read as a table"),
    ):
        with pytest.raises(SettingError, match=what) as caught:
            read_records(path, Record)
        assert str(caught.value).startswith(f"{path}: ")


def test_columns_are_found_by_name_and_strange_ones_passed_over(tmp_path: Path) -> None:
    (tmp_path / "epochs.csv").write_text("note,valid_acc,valid_loss,train_loss,epoch,round\nfine,0.5,0.25,0.125,2,1\n")
    assert read_records(tmp_path / "epochs.csv", EpochRecord) == [EpochRecord(1, 2, 0.125, 0.25, 0.5)]


def with_accuracies(*accuracies: float) -> list[Record]:
    return [
        replace(FIRST, round=round_, alive=500 - 100 * round_, valid_acc=accuracy, test_acc=round_ / 10)
        for round_, accuracy in enumerate(accuracies)
    ]


@pytest.mark.parametrize(("accuracies", "best", "smallest"), [
    ((0.8,), None, None), ((0.8, 0.7, 0.6), 1, None), ((0.8, 0.9, 0.7, 0.8, 0.6), 1, 3),
    ((0.8, 0.9, 0.9, 0.7), 2, 2), ((math.nan, 0.9), 1, None), ((0.8, math.nan), None, None),
])  # fmt: skip
def test_best_and_smallest_winning_ticket(accuracies, best, smallest):
    rounds = with_accuracies(*accuracies)
    assert best_ticket(rounds) == (None if best is None else rounds[best])
    assert smallest_winner(rounds) == (None if smallest is None else rounds[smallest])


def test_reading_a_run_imports_nothing_heavy() -> None:
    code = (
        "import sys, lt_lightning.runs.records, lt_lightning.runs.terminal, lt_lightning.report.run_page, "
        "lt_lightning.report; "
        "print({'torch', 'pytorch_lightning', 'matplotlib', 'numpy', 'datasets', 'jinja2', 'rich'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
