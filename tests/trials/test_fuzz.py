"""The fuzz finds what it is there to find, and finds nothing in the readers as they are."""

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.runs.bases import REWIND, read_base
from lt_lightning.runs.csv_files import read_records, write_records
from lt_lightning.runs.records import ExampleRecord
from lt_lightning.runs.round_ticket import RoundTicket, write_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, write_round
from lt_lightning.storage.sealed import read_seal
from trials.fuzz import attempt, fuzz
from trials.mutations import change_header, sealed_anew
from trials.specimens import write_specimens
from trials.subjects import TABLES, Subject, subjects
from trials.watching import Failure

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
    first = {"fc.weight": weights["fc.weight"] + torch.tensor([[1.0], [0.0], [0.0], [1.0]]), "fc.bias": torch.zeros(4)}
    write_rewind_weights(run, first, '{"model": {}}')  # of its four rows two have changed, and no bias
    RoundTicket(weights, mask, {"round": 0}, '{"model": {}}').save(run / TICKET, read_base(run, REWIND))
    there = {name: kind for name, kind in TABLES.items() if (run / f"{name}.csv").exists()}
    rows = {
        name: tuple(row for row in read_records(run / f"{name}.csv", there[name]) if not row.round) for name in there
    }
    tables = {name: rows.get(name, ()) for name in TABLES}
    write_round(run, PlayedRound(**tables, ticket=read_seal(run / TICKET), rewind=None))
    return run


@pytest.mark.slow
def test_every_mutant_is_read_or_refused(run: Path) -> None:
    said: list[str] = []
    assert fuzz(run, 1000, seed=1000, say=said.append) == 0, said
    counts = re.fullmatch(r"1,000 mutants of (\d+) files: ([\d,]+) read, ([\d,]+) refused, 0 failed", said[-1])
    assert counts is not None
    files, *outcomes = (int(number.replace(",", "")) for number in counts.groups())
    assert files == 12
    assert min(outcomes) > 100


@pytest.mark.slow
def test_what_is_read_of_mutants_can_be_drawn(run: Path) -> None:
    said: list[str] = []
    assert fuzz(run, 60, seed=2, draw_every=4, say=said.append) == 0, said


def test_all_kinds_of_files_are_damaged(run: Path) -> None:
    write_specimens(run)
    names = " ".join(subject.file for subject in subjects(run))
    for file in (
        "run.json", "results.csv", "layers.csv", "confusion.csv", "examples.csv", TICKET, "state/round_00.json",
        "state/rewind.safetensors", "state/round_90_epoch_001_", "packed.safetensors", "cache/words-", "cache/pydocs-",
    ):  # fmt: skip
        assert file in names


def whole(data: bytes, _: Random) -> bytes:
    return data


def test_a_damaged_ticket_that_is_read_is_a_failure(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (run / TICKET).read_bytes()
    other = bytes([*data[:-1], data[-1] ^ 1])  # in the last tensor, which is whole in every other way

    def outcome(damaged: bytes) -> str:
        return attempt(run, subjects(run)[0], {TICKET: data, REWIND: (run / REWIND).read_bytes()}, damaged)

    assert outcome(data) == "read"
    assert outcome(other) == "refused"
    monkeypatch.setattr("trials.subjects.read_seal", lambda path: path)
    monkeypatch.setattr("trials.subjects.read_masks", lambda path: path)
    monkeypatch.setattr("trials.subjects.RoundTicket.load", lambda path: path)
    with pytest.raises(Failure, match="read as if it were whole"):
        outcome(other)
    assert (run / TICKET).read_bytes() == data


def read_as(found: Callable[[Path], object]) -> Callable[[Path, bool], object]:
    return lambda folder, drawn: found(folder)


def refuse(path: Path, size: int) -> None:
    raise SettingError(f"{path}: {len(b'x' * size)} bytes are no ticket")


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (lambda path: {}["a"], "KeyError: 'a' "),
        (lambda path: time.sleep(1), r"no answer after 0\.1 seconds"),
        (lambda path: len(b"x" * 2**23), "bytes of memory for"),
        (lambda path: refuse(path, 2**23), "bytes of memory for"),
        (lambda path: refuse(path, 1), "a whole file is refused"),
        (lambda path: (_ for _ in ()).throw(SettingError("two\nlines")), "a message of more than one line"),
        (lambda path: "other", "not what the file holds"),
    ],
    ids=["another exception", "a hang", "memory", "memory of a refusal", "a whole file refused", "lines", "other"],
)
def test_faults_are_reported_with_the_mutants_number(run, monkeypatch, reader, said):
    damages = [False]

    def read(folder: Path, drawn: bool) -> object:
        return reader(folder) if damages[0] else "right"

    def check(data: bytes, found: object) -> None:
        if found != "right":
            raise Failure("not what the file holds")

    def choose(found: list[Subject], chance: Random) -> tuple[Subject, str]:
        damages[0] = True
        return found[0], "nothing"

    one = Subject(TICKET, read, check, lambda data: True, {"nothing": whole})
    monkeypatch.setattr("trials.fuzz.subjects", lambda run: [one])
    monkeypatch.setattr("trials.fuzz.SECONDS", 0.1)
    monkeypatch.setattr("trials.fuzz.choose", choose)
    lines: list[str] = []
    assert fuzz(run, 1, seed=0, first=8, say=lines.append) == 1
    assert re.match(rf"--first 8 --count 1 --seed 0: {TICKET}, nothing: .*{said}", lines[0])
    assert lines[-1] == "1 mutants of 1 files: 0 read, 0 refused, 1 failed"


@pytest.mark.slow
def test_a_reader_that_kills_its_process_is_a_failure_with_a_number(tmp_path: Path) -> None:
    script = """
import os, signal
from pathlib import Path
from trials import fuzz

def kill(run, count, seed, first, draw_every, reach):
    for number in range(first, first + count):
        reach(number)
        if number == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
    print(f"{count} mutants")
    return 0

fuzz.fuzz = kill
print(fuzz.fuzz_apart(Path(), 5, 7, 1, 0), fuzz.fuzz_apart(Path(), 2, 7, 4, 0))
"""
    command, folder = [sys.executable, "-c", script], Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout == "--first 3 --count 1 --seed 7: killed by SIGSEGV\n2 mutants\n2 mutants\nFalse True\n"


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
