"""The fuzz finds what it is there to find, and finds nothing in the readers as they are."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.results.records import ExampleRecord, read_records, write_records
from lt_lightning.results.round_tickets import RoundTicket
from lt_lightning.results.rounds import PlayedRound, write_round
from lt_lightning.results.sealed import read_seal
from trials.fuzz import TABLES, Case, Failure, attempt, cases, fuzz
from trials.mutations import change_header, flip, sealed_anew

REAL = Path(__file__).parents[2] / "docs/results/hihello/init_0"
TICKET = "tickets/round_00.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three rounds of a real run; the documentation keeps everything but its tickets, so with one of this test's."""
    run = tmp_path / "run"
    shutil.copytree(REAL, run)
    (run / "state").mkdir()
    for path in run.glob("*.csv"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.partition(",")[0] in ("round", "0", "1", "2")))
    write_records(run / "examples.csv", [ExampleRecord(0, 'a "b",\n', "ihello", "ihellö")])
    weights = {"fc.weight": torch.randn(4, 3), "fc.bias": torch.zeros(4)}
    mask = Mask({"fc.weight": weights["fc.weight"] > 0})
    mask.apply_(weights)
    RoundTicket(weights, mask, {"round": 0}, '{"model": {}}').save(run / TICKET)
    there = {name: kind for name, kind in TABLES.items() if (run / f"{name}.csv").exists()}
    rows = {
        name: tuple(row for row in read_records(run / f"{name}.csv", there[name]) if not row.round) for name in there
    }
    tables = {name: rows.get(name, ()) for name in TABLES}
    write_round(run, PlayedRound(**tables, ticket=read_seal(run / TICKET), rewind=None))
    return run


@pytest.mark.parametrize("count", [1000, pytest.param(3000, marks=pytest.mark.slow)])
def test_every_mutant_is_read_or_refused(run: Path, count: int) -> None:
    said: list[str] = []
    assert fuzz(run, count, seed=count, say=said.append) == 0, said
    counts = re.fullmatch(rf"{count:,} mutants of 7 files: ([\d,]+) read, ([\d,]+) refused, 0 failed", said[-1])
    assert counts is not None
    assert all(int(number.replace(",", "")) > 100 for number in counts.groups())


@pytest.mark.slow
def test_what_is_read_of_mutants_can_be_drawn(run: Path) -> None:
    said: list[str] = []
    assert fuzz(run, 60, seed=2, draw_every=4, say=said.append) == 0, said


def whole(data: bytes, _: Random) -> bytes:
    return data


def outcome(run: Path, damaged: bytes, may_read: bool = False) -> str:
    return attempt(run, Case(TICKET, "by hand", whole, may_read), (run / TICKET).read_bytes(), damaged)


def test_a_damaged_ticket_that_is_read_is_a_failure(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (run / TICKET).read_bytes()
    other = flip(data, Random(0))
    assert outcome(run, data) == "read"
    assert outcome(run, other) == "refused"
    monkeypatch.setattr("trials.fuzz.RoundTicket.load", lambda path: path)
    monkeypatch.setattr("trials.fuzz.read_seal", lambda path: path)
    with pytest.raises(Failure, match="read as if it were whole"):
        outcome(run, other)
    assert (run / TICKET).read_bytes() == data


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (lambda path: {}["a"], "KeyError: 'a' "),
        (lambda path: time.sleep(1), r"no answer after 0\.1 seconds"),
        (lambda path: len(b"x" * 2**23), "bytes of memory for"),
        (lambda path: read_seal(path / "none"), "a whole file is refused"),
    ],
    ids=["another exception", "a hang", "memory", "a whole file refused"],
)
def test_what_must_not_happen_is_told_with_the_mutants_number(
    run: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], object], said: str
) -> None:
    found = {name: [Case(name, "nothing", whole, True)] for name in cases(run)}
    monkeypatch.setattr("trials.fuzz.cases", lambda run: found)
    monkeypatch.setattr("trials.fuzz.SECONDS", 0.1)
    lines: list[str] = []
    for_tickets = [lambda: None, lambda: monkeypatch.setattr("trials.fuzz.read_seal", reader)]
    monkeypatch.setattr("trials.fuzz.choose", lambda found, chance: for_tickets[1]() or found[TICKET][0])
    assert fuzz(run, 1, seed=0, first=8, say=lines.append) == 1
    assert re.match(rf"--first 8 --count 1 --seed 0: {TICKET}, nothing: .*{said}", lines[0])
    assert lines[-1] == "1 mutants of 7 files: 0 read, 0 refused, 1 failed"


def test_a_mutant_that_is_sealed_anew_has_a_seal_that_fits(run: Path) -> None:
    data, chance, said = (run / TICKET).read_bytes(), Random(3), Counter[str]()
    for _ in range(200):
        (run / TICKET).write_bytes(sealed_anew(change_header)(data, chance))
        try:
            read_seal(run / TICKET)
            said["read"] += 1
        except SettingError as refused:
            said["checksum" if "checksum" in str(refused) else "refused"] += 1
    # Where the entry with the seal itself was changed, there is none to fit.
    assert said["read"] > 100
    assert said["checksum"] < 30
