"""Runs are killed at the moments that were chosen, and a run that is not as it should be afterwards is reported."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from trials import kills
from trials.moments import Moment, Operation, moments, read_operations

WRITER = """
import sys
from pathlib import Path
from lt_lightning.storage.atomic import open_whole, write_whole
from trials.moments import Moment, Operation, intercept

run, log, phase, kind, file = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
moment = Moment(Operation(kind, file, 0), phase) if phase else None
intercept(run, log, moment)
for name in ("a.csv", "b.csv"):
    write_whole(run / name, "new " * 100)
with open_whole(run / "round_00_epoch_001", lambda: f"round_00_epoch_001_{'0' * 64}.ckpt") as file:
    file.write(b"new")
(run / "a.csv").unlink()
(run / "c.csv").write_text("new " * 100)
"""
NEW, KEPT = "new " * 100, f"round_00_epoch_001_{'0' * 64}.ckpt"


@pytest.mark.parametrize(("phase", "kind", "file", "left"), [
    ("", "", "", {"b.csv": NEW, "c.csv": NEW, KEPT: "new"}),
    ("before", "rename", "a.csv", {"a.csv": "old", "temporary": NEW}),
    ("after", "rename", "a.csv", {"a.csv": NEW}),
    ("within", "write", "b.csv", {"a.csv": NEW, "temporary": NEW[:48]}),
    ("before", "rename", "round_00_epoch_001", {"a.csv": NEW, "b.csv": NEW, "temporary": "new"}),
    ("before", "remove", "a.csv", {"a.csv": NEW, "b.csv": NEW, KEPT: "new"}),
    ("within", "write", "c.csv", {"b.csv": NEW, "c.csv": NEW[:48], KEPT: "new"}),
])  # fmt: skip
def test_a_process_is_killed_at_its_moment(tmp_path: Path, phase: str, kind: str, file: str, left: dict) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    run.mkdir()
    (run / "a.csv").write_text("old")
    command = [sys.executable, "-c", WRITER, str(run), str(log), phase, kind, file]
    code = subprocess.run(command, check=False, cwd=Path(kills.__file__).parents[1]).returncode
    assert code == (0 if not phase else -signal.SIGXFSZ if file == "c.csv" else -signal.SIGKILL)
    assert {"temporary" if path.suffix == ".tmp" else path.name: path.read_text() for path in run.iterdir()} == left
    if not phase:
        files = ("a.csv", "b.csv", "round_00_epoch_001")
        expected = [Operation(kind, name, 0) for name in files for kind in ("write", "rename")]
        assert read_operations(log) == [*expected, Operation("remove", "a.csv", 0), Operation("write", "c.csv", 0)]


OPERATIONS = [
    Operation(kind, f"state/round_{number:02}", number) for number in range(3) for kind in ("write", "rename")
]


def test_telling_moments_come_first_and_then_one_of_each_kind() -> None:
    found = moments(OPERATIONS)
    telling = ["after rename state/round_01, 1"]
    assert kills.choose(found, telling, 1, Random(0)) == [[Moment(Operation("rename", "state/round_01", 1), "after")]]
    for seed in range(5):
        (passage,) = kills.choose(found, telling, 4, Random(seed))
        assert passage == sorted(passage, key=found.index)
        assert sorted(moment.phase for moment in passage) == ["after", "after", "before", "within"]
    twice = kills.choose(found, telling, 11, Random(0))
    assert [len(passage) for passage in twice] == [9, 2]
    assert {*twice[0]} == {*found}
    with pytest.raises(ValueError, match="TELLING names 'after lunch'"):
        kills.choose(found, ["after lunch"], 1, Random(0))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    run = tmp_path / "whole"
    (run / "tickets").mkdir(parents=True)
    (run / "state").mkdir()
    (run / "results.csv").write_text("round,test_acc,seconds\n0,0.5,1\n")
    for name in ("layers.csv", "tickets/round_00.safetensors", "state/rewind.safetensors"):
        (run / name).write_bytes(b"content")
    return run


def set_results(run: Path) -> None:
    (run / "results.csv").write_text("round,test_acc,seconds\n0,0.6,1\n")


@pytest.mark.parametrize(("change", "reported"), [
    (lambda run: (run / "results.csv").write_text("round,test_acc,seconds\n0,0.5,2\n"), []),
    (set_results, ["results.csv differs"]),
    (lambda run: (run / "layers.csv").write_bytes(b"other"), ["layers.csv differs"]),
    (lambda run: (run / "tickets/round_00.safetensors").write_bytes(b""), ["round_00.safetensors differs"]),
    (lambda run: (run / "state/rewind.safetensors").write_bytes(b""), ["state/rewind.safetensors differs"]),
    (lambda run: (run / "state/rewind.safetensors").unlink(), ["state/rewind.safetensors is missing"]),
    (lambda run: (run / "state/.x.1.tmp").touch(), ["state/.x.1.tmp is left over"]),
])  # fmt: skip
def test_each_difference_is_reported(whole, tmp_path, change, reported):
    run = shutil.copytree(whole, tmp_path / "killed")
    change(run)
    assert kills.compare(run, whole, OPERATIONS) == reported
    again = kills.compare(run, whole, [*OPERATIONS, OPERATIONS[3]])
    assert again == [*reported, "state/round_01 was saved, but made again"]


@pytest.mark.parametrize(("ends", "result", "said", "reported"), [
    ([0, -9, 0], None, "", []),
    ([0, -9, 0], set_results, "", ["x: results.csv differs after kills after rename state/round_01, 1 rounds on"]),
    ([0, -9, 0], None, "WARNING cut off\n", ["x: reported as damaged: WARNING cut off"]),
    ([0, 0, 0], None, "", ["x: exit code 0 before the moment after rename state/round_01, 1"]),
    ([0, -9, 2], None, "", ["x: exit code 2 after kills after rename state/round_01, 1 rounds on record"]),
    ([1], None, "", ["x: exit code 1 without a kill"]),
])  # fmt: skip
def test_a_run_that_is_not_the_same_after_its_kill_is_reported(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: list[int],
    result: Callable[[Path], None] | None,
    said: str,
    reported: list[str],
) -> None:
    """The processes of a run are replaced by what they would leave behind."""
    folder, codes = tmp_path / "trial", iter(ends)

    def start(
        arguments: list[str], run: Path, log: Path, done: Path, moment: Moment | None = None, *, draws: bool = False
    ) -> int:
        shutil.copytree(whole, run, dirs_exist_ok=True)
        done.write_text("".join(f"{one.kind}\t{one.file}\t{one.rounds}\n" for one in OPERATIONS))
        log.write_text(said)
        if run.name == "killed" and result is not None:
            result(run)
        return os.getpid()

    monkeypatch.setattr(kills, "start", start)
    monkeypatch.setattr(kills, "finish", lambda process: next(codes))
    monkeypatch.setitem(kills.TELLING, "x", ("after rename state/round_01, 1",))
    folder.mkdir()
    found = kills.try_run("x", [], 1, folder, Random(0))
    assert len(found) == len(reported)
    assert all(line.startswith(expected) for line, expected in zip(found, reported, strict=True))
    assert next(codes, None) is None


def test_every_run_has_telling_moments() -> None:
    assert kills.TELLING.keys() == kills.RUNS.keys()
