"""What a person sees of the rounds, on a terminal and in a pipe."""

import io
import logging
import os
import re
from dataclasses import replace

import pytest
from rich.console import Console

from lt_lightning.experiment.progress import RoundsDisplay, Screen
from lt_lightning.runs.metrics import ACCURACY, BITS, EXACT_MATCH, LETTERS_RIGHT, Metric
from lt_lightning.runs.records import LayerRecord, Record
from lt_lightning.runs.terminal import round_columns

METRICS = (ACCURACY, BITS, EXACT_MATCH, LETTERS_RIGHT)
RECORD = Record(0, 0.0, 500, 500, 1, 0.1, 0.2, 0.9, 0.25, 0.89, 12.5, test_perplexity=4.0)


def shown(terminal: bool, *said: str) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False)
    with RoundsDisplay("A run", 1, 1, console, metric=BITS) as display:
        display.begin_round()
        display.show_round(RECORD)
        for text in said:
            display.say(text)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rounds_are_told_by_the_metric_in_a_table_and_in_a_line() -> None:
    table = shown(True)
    assert "test acc  test bits  seconds" in table
    assert "89.00 %      2.000     12.5" in table
    assert "test bits 2.000  12.5 s\n" in shown(False)


def test_what_is_said_is_printed_as_it_is_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    text = "a [b]sample[/b] of 100 %s:\n  two lines,  " + "x" * 200
    with caplog.at_level(logging.INFO):
        assert shown(False, text).endswith(f"\n{text}\n")
    assert [record.getMessage() for record in caplog.records][-2:] == text.split("\n")
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_on_a_terminal_it_stands_above_the_bar() -> None:
    seen = shown(True, "one sample", "another sample")
    table, one, another = (seen.index(words) for words in ("test bits", "one sample", "another sample"))
    assert table < one < another
    for said in (one, another):
        assert "round 0 of 1" in seen[said:]  # the bar, drawn anew below


def test_nothing_that_is_said_acts_on_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        said = shown(False, "a\x1b[2Jb\r\x07\x00\x9b\ud800é\tc\u202ed")
    assert said.endswith("a\\u001b[2Jb\\r\\u0007\\u0000\\u009b\\ud800é\\tc\\u202ed\n")
    assert caplog.messages[-1] == said.splitlines()[-1]


ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HUGE = Record(12, 0.5, 1_234_567_890, 2_234_567_890, 100, 0.1, 2e9, 0.9, 0.25, 0.89, 12345.6, 4.0, 0.875)


def lines_of_a_run(metric: Metric, width: int, *later: int) -> list[str]:
    """The lines that a terminal of some width shows of a run of two rounds; `later` is its width in the second."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False)
    title = "AG News: 108,000 train, 12,000 valid, 7,600 test rows, 4 classes, 50,002 words (83.2% with a vector)"
    with RoundsDisplay(title, 20, 10, console, metric=metric) as display:
        display.show_round(replace(RECORD, test_exact=0.5))
        console.width = later[0] if later else width
        display.show_round(HUGE)
    display.show_parameters([LayerRecord(1, "encoder.lstm.weight_hh_l0_reverse", 4_000_160, 5_000_200, (50_002, 100))])
    assert isinstance(console.file, io.StringIO)
    text = ANSI.sub("", console.file.getvalue())
    return [line for line in re.split(r"[\r\n]", text) if "epoch 0 of" not in line and " left" not in line]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.heading)
@pytest.mark.parametrize("width", [60, 80, 100, 103, 120])
def test_no_line_is_wider_than_the_terminal(metric: Metric, width: int) -> None:
    assert max(map(len, lines_of_a_run(metric, width))) <= max(width, 103 if width >= 100 else 0)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.heading)
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_every_cell_of_a_narrow_table_is_whole_and_below_its_heading(metric: Metric, width: int) -> None:
    lines = lines_of_a_run(metric, width)
    (head,) = (number for number, line in enumerate(lines) if line.startswith("round  "))
    cells = {column.heading: column.cell(replace(RECORD, test_exact=0.5)) for column in round_columns(metric)}
    shown = [name for name in cells if f"  {name}" in f"  {lines[head]}"]
    assert {"round", "density", "test acc", metric.heading} <= {*shown, "valid acc" if width == 40 else "round"}
    row = next(line for line in lines[head + 2 :] if line.strip())
    assert re.split(r"  +", row.strip()) == [cells[name] for name in shown]
    for name in shown:
        end = lines[head].index(name) + len(name)
        assert row[:end].endswith(cells[name])
    note = " ".join(" ".join(lines[:head]).split())
    assert all((name in shown) != (name in note.partition("also has")[2]) for name in cells)


def test_a_terminal_that_changes_its_width_gets_new_headings() -> None:
    lines = lines_of_a_run(ACCURACY, 120, 80)
    wide, narrow = (line for line in lines if line.startswith("round  "))
    assert len(wide) == 100
    assert len(narrow) == 77
    assert lines_of_a_run(ACCURACY, 120, 121).count(wide) == 1


def test_in_a_pipe_a_round_is_one_line_of_all_values_whatever_its_width() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with RoundsDisplay("A run", 1, 1, console) as display:
        display.show_round(RECORD)
    assert isinstance(console.file, io.StringIO)
    (line,) = (line for line in console.file.getvalue().splitlines() if line.startswith("round 0/1"))
    assert "train loss 0.1000" in line
    assert "valid acc 90.00 %" in line and "bits" not in line  # without a metric, accuracy tells
    assert line.endswith("12.5 s")


def test_a_reader_that_closes_the_pipe_is_an_error_and_no_silent_end() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as closed:  # noqa: PTH123
        console = Screen(file=io.TextIOWrapper(closed, write_through=True), force_terminal=False)
        with pytest.raises(BrokenPipeError):
            RoundsDisplay("A run", 1, 1, console).__enter__()
