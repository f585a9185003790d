"""Where there is no room a run stops, loses nothing, and goes on once there is some."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cutting import Play

from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import find_standing
from lt_lightning.storage.atomic import WriteError
from trials.forking import run_train
from trials.kills import SMALL, outcome

Room = Callable[[int | None], None]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """Sets how many kilobytes there are on a disk of its own at `tmp_path/run`; None: plenty."""
    run = tmp_path / "run"
    run.mkdir()

    def set_room(kilobytes: int | None, how: str = "remount,") -> bool:
        options = f"{how}size={kilobytes or 64 * 1024}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(run)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if shutil.which("mount") is None or not set_room(None, how=""):
        pytest.skip("needs leave to mount a small disk")
    yield set_room
    subprocess.run(["umount", str(run)], check=True)


@pytest.mark.parametrize(
    "kilobytes", [8, 48, pytest.param(24, marks=pytest.mark.slow), pytest.param(64, marks=pytest.mark.slow)]
)
def test_without_room_a_run_stops_with_what_it_has_and_goes_on_once_there_is_some(
    whole: Path, play: Play, tmp_path: Path, room: Room, kilobytes: int
) -> None:
    run = tmp_path / "run"
    room(kilobytes)
    with pytest.raises(WriteError, match=r"cannot be written \(.*\); free some disk space"):
        play(run)
    standing = find_standing(run)
    assert not standing.damages
    if (run / "results.csv").exists():
        assert len(read_records(run / "results.csv", Record)) in (len(standing.rounds), len(standing.rounds) - 1)
    assert not list(run.rglob("*.tmp"))
    room(None)
    play(run, resuming=(run / "run.json").exists())
    assert outcome(run) == outcome(whole)


WIDE = ("embedding.dim=3000", "pruning.rounds=0", "trainer.max_epochs=2")
"""A network whose checkpoint is larger than 3 MB, and whose weights alone are smaller."""


@pytest.mark.slow
def test_a_disk_that_fills_at_a_rounds_first_checkpoint_is_named(play: Play, tmp_path: Path, room: Room) -> None:
    run = tmp_path / "run"
    room(3 * 1024)
    with pytest.raises(WriteError, match=r"state/round_00_epoch_001: cannot be written \(No space left on device\)"):
        play(run, *WIDE)
    assert not list(run.rglob("*.tmp"))
    room(None)
    play(run, *WIDE, resuming=True)
    assert len(find_standing(run).rounds) == 1


@pytest.mark.parametrize("limit", [4_000, 1_000_000, 1_600_000])
def test_a_checkpoint_that_may_not_grow_so_large_is_named(play: Play, tmp_path: Path, limit: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(WriteError, match=r"cannot be written \(File too large\)"):
            play(tmp_path / "run", *WIDE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "run").rglob("*.tmp"))


@pytest.mark.slow
def test_files_that_may_not_grow_are_a_line_and_nothing_is_lost(whole: Path, corpus: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL]
    stopped = subprocess.run(
        [*command, "hydra.run.dir=run"], cwd=tmp_path, text=True, capture_output=True, preexec_fn=limit, check=False
    )
    assert stopped.returncode == 2
    assert stopped.stderr.startswith("error: ")
    assert stopped.stderr.endswith(
        "cannot be written (File too large); free some disk space or check permissions; resume with: python -m "
        "lt_lightning.train resume=run\n"
    )
    assert stopped.stderr.count("\n") == 1
    assert not find_standing(tmp_path / "run").damages
    resumed = run_train("resume=run", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert outcome(tmp_path / "run") == outcome(whole)
