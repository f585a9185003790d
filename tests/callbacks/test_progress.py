"""What a person sees of the rounds, on a terminal and in a pipe."""

import io
import logging

import pytest
from rich.console import Console

from lt_lightning.callbacks.progress import RoundsDisplay
from lt_lightning.results.metrics import BITS
from lt_lightning.results.records import Record

RECORD = Record(0, 0.0, 500, 500, 1, 0.1, 0.2, 0.9, 0.25, 0.89, 12.5, test_perplexity=4.0)


def shown(terminal: bool, *said: str) -> str:
    """What a display of one round prints, with `said` after the round."""
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


def test_without_a_metric_rounds_are_told_by_accuracy() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with RoundsDisplay("A run", 1, 1, console) as display:
        display.show_round(RECORD)
    assert isinstance(console.file, io.StringIO)
    assert "bits" not in console.file.getvalue()
    assert "valid acc 90.00 %" in console.file.getvalue()


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
