"""A run that was stopped, damaged or had no room goes on, and ends with the numbers of one that was left alone."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from lt_lightning.callbacks.round_checkpoint import kept_checkpoints
from lt_lightning.config import Config
from lt_lightning.continuing import resume_description
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment import run_experiment
from lt_lightning.models import Learner
from lt_lightning.results.files import WriteError
from lt_lightning.results.holding import hold
from lt_lightning.results.records import EpochRecord, Record, read_records
from lt_lightning.results.rounds import find_standing
from lt_lightning.resuming import check_same, describe_before, is_begun, resumed_arguments
from trials.kills import SMALL, outcome, write_corpus

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")

STEPS = 14
"""Batches an epoch, of the 105 training rows."""
EPOCHS = 3
Play = Callable[..., Path]


class StopError(Exception):
    """What cuts a run off."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def play(corpus: Path, configure: Callable[..., Config]) -> Iterator[Play]:
    """Plays a run in this process, without its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lt_lightning.experiment.draw_report", lambda run: run)

        def play(run: Path, *overrides: str, resuming: bool = False) -> Path:
            config = configure("data=files", f"data.path={corpus}", *SMALL, *overrides)
            run.mkdir(exist_ok=True)
            run_experiment(config, load_corpus(config.data), run, list(overrides), resuming=resuming)
            return run

        yield play


@pytest.fixture(scope="module")
def whole(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left alone: rounds 0 to 2 of three epochs each."""
    return play(tmp_path_factory.mktemp("run"))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts training steps; a second number says before which of them to stop."""
    counted = [0, sys.maxsize]
    original = Learner.training_step

    def step(self: Learner, batch: Any, batch_idx: int) -> torch.Tensor:
        if counted[0] == counted[1]:
            raise StopError
        counted[0] += 1
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Learner, "training_step", step)
    return counted


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        (0, 0),
        (STEPS - 1, 0),
        (STEPS, STEPS),
        (2 * STEPS + 3, 2 * STEPS),
        (EPOCHS * STEPS, EPOCHS * STEPS),
        ((EPOCHS + 2) * STEPS + 5, (EPOCHS + 2) * STEPS),
    ],
)
def test_a_run_that_is_cut_off_repeats_less_than_an_epoch_and_changes_nothing(
    whole: Path, play: Play, tmp_path: Path, steps: list[int], place: int, kept: int
) -> None:
    steps[1] = place
    with pytest.raises(StopError):
        play(tmp_path / "run")
    steps[:] = [0, sys.maxsize]
    play(tmp_path / "run", resuming=True)
    assert steps[0] == 3 * EPOCHS * STEPS - kept
    assert outcome(tmp_path / "run") == outcome(whole)
    assert not kept_checkpoints(tmp_path / "run" / "state")


SETTINGS = {
    "early_stopping": ["early_stopping.patience=1", "test_on=best", "optimizer.lr=0.05", "trainer.max_epochs=8"],
    "min_epochs": ["early_stopping.patience=1", "trainer.min_epochs=6", "optimizer.lr=0.05", "trainer.max_epochs=8"],
    "max_steps": ["trainer.max_steps=40"],
    "clipping": ["trainer.gradient_clip_val=0.1", "trainer.accumulate_grad_batches=3", "optimizer=adamw"],
    "validates_rarely": ["trainer.check_val_every_n_epoch=2", "test_on=best"],
    "recurrent": ["model=birnn", "model.hidden=5", "pruning.rewind=last", "model.filters=null"],
    "bf16": ["trainer.precision=bf16-mixed", "pruning.rewind=step:20"],
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_under_any_settings_a_run_that_is_cut_off_changes_nothing(
    play: Play, tmp_path: Path, steps: list[int], settings: str
) -> None:
    overrides = ["pruning.rounds=1", *SETTINGS[settings]]
    play(tmp_path / "whole", *overrides)
    in_all = steps[0]
    for numerator in (1, 3):  # somewhere in round 0 and in round 1
        run = tmp_path / f"run_{numerator}"
        steps[:] = [0, in_all * numerator // 4]
        with pytest.raises(StopError):
            play(run, *overrides)
        steps[:] = [0, sys.maxsize]
        play(run, *overrides, resuming=True)
        assert outcome(run) == outcome(tmp_path / "whole")


def test_more_rounds_go_on_to_what_a_longer_run_gives(whole: Path, play: Play, tmp_path: Path) -> None:
    play(tmp_path / "run", "pruning.rounds=1")
    play(tmp_path / "run", "pruning.rounds=2", resuming=True)
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.parametrize("overrides", [["data.num_workers=2"], ["trainer.log_every_n_steps=1"]])
def test_workers_and_the_log_interval_change_nothing(
    whole: Path, play: Play, tmp_path: Path, overrides: list[str]
) -> None:
    assert outcome(play(tmp_path / "run", *overrides)) == outcome(whole)


# Damage


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [flip, cut, empty, Path.unlink], ids=["flipped", "cut", "emptied", "removed"])
@pytest.mark.parametrize(
    ("name", "rounds_left"),
    [
        ("tickets/round_02.safetensors", 2),
        ("tickets/round_00.safetensors", 0),
        ("state/round_01.json", 1),
        ("state/rewind.safetensors", 0),
        ("results.csv", 3),
        ("layers.csv", 3),
        ("confusion.csv", 3),
    ],
)
def test_damage_is_noticed_and_named(
    whole: Path, tmp_path: Path, name: str, rounds_left: int, harm: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    harm(run / name)
    standing = find_standing(run)
    assert len(standing.rounds) == rounds_left
    assert len(standing.damages) == 1
    assert standing.damages[0].startswith(f"{run / name}: ")


@pytest.mark.parametrize("harmed", [("tickets/round_01.safetensors",), ("results.csv", "state/round_02.json")])
def test_a_damaged_run_goes_on_from_the_last_sound_round_to_what_it_was(
    whole: Path, play: Play, tmp_path: Path, harmed: Sequence[str]
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    for name in harmed:
        flip(run / name)
    play(run, "pruning.rounds=1", resuming=True)
    assert len(find_standing(run).rounds) == 2  # nothing is left of what came after the damage
    play(run, resuming=True)
    assert outcome(run) == outcome(whole)
    assert find_standing(run).damages == ()


@pytest.mark.parametrize("harm", [flip, cut, empty], ids=["flipped", "cut", "emptied"])
def test_a_damaged_checkpoint_is_named_and_its_round_played_from_the_beginning(
    whole: Path, play: Play, tmp_path: Path, steps: list[int], caplog: Any, harm: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    steps[1] = (EPOCHS + 1) * STEPS + 1
    with pytest.raises(StopError):
        play(run)
    (kept,) = kept_checkpoints(run / "state")
    harm(kept)
    steps[:] = [0, sys.maxsize]
    play(run, resuming=True)
    assert steps[0] == 2 * EPOCHS * STEPS
    assert f"{kept}: cut off or changed since it was written" in caplog.text
    assert outcome(run) == outcome(whole)


def test_checkpoints_hold_plain_values_alone(play: Play, tmp_path: Path, steps: list[int]) -> None:
    steps[1] = 2 * STEPS
    with pytest.raises(StopError):
        play(tmp_path / "run", "early_stopping.patience=3", "test_on=best")
    (kept,) = kept_checkpoints(tmp_path / "run" / "state")
    assert torch.load(kept, weights_only=True)["epoch"] == 1


def test_a_ticket_of_another_run_is_no_ticket_of_this_one(whole: Path, play: Play, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.copy(run / "tickets/round_01.safetensors", run / "tickets/round_02.safetensors")
    assert "round_02.safetensors: sound, but not the file that the run wrote" in find_standing(run).damages[0]


@pytest.mark.parametrize("harm", [flip, cut, empty, Path.unlink], ids=["flipped", "cut", "emptied", "removed"])
def test_without_run_json_a_run_goes_on_with_what_hydra_noted(
    whole: Path, corpus: Path, configure: Callable[..., Config], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    overrides = ["data=files", f"data.path={corpus}", *SMALL]
    (run / ".hydra").mkdir()
    OmegaConf.save(OmegaConf.create(overrides), run / ".hydra" / "overrides.yaml")
    OmegaConf.save(OmegaConf.structured(configure(*overrides)), run / ".hydra" / "config.yaml")
    text = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(text.replace("{", "[", 1) if harm is flip else text, encoding="utf-8")
    if harm is not flip:
        harm(run / "run.json")
    assert resumed_arguments([f"resume={run}"])[: len(overrides)] == overrides
    _, damage = describe_before(run)
    assert damage is not None and damage.startswith(f"{run / 'run.json'}: ")
    assert is_begun(run)
    config = configure(*overrides)
    check_same(run, config, dict(load_corpus(config.data).fingerprints), find_standing(run))
    with pytest.raises(SettingError, match="seed was 0, not 7"):
        check_same(run, configure(*overrides, "seed=7"), {}, find_standing(run))


def test_what_is_not_as_it_was_is_said_in_a_line_and_put_on_record() -> None:
    now = {"processes": 1, "versions": {"torch": "2.13.0", "numpy": "2.4"}, "device": "cpu (2 threads)"}
    same, none = resume_description(now, now)
    assert (same["resumed"][0]["changes"], none) == ({}, [])
    other = {**now, "versions": {"torch": "2.12.0", "numpy": "2.4"}, "device": "cpu (1 threads)", "started": "then"}
    description, (remark,) = resume_description(other, now)
    assert remark == (
        "resume: torch was 2.12.0, is 2.13.0; device was cpu (1 threads), is cpu (2 threads): numbers may differ from "
        "those of a run that was not interrupted"
    )
    assert description["resumed"][0]["changes"]["torch"] == ["2.12.0", "2.13.0"]
    assert (description["versions"], description["started"]) == (other["versions"], "then")
    again, _ = resume_description(description, now)
    assert len(again["resumed"]) == 2
    assert "not known any more" in resume_description({}, now)[1][0]
    with pytest.raises(SettingError, match=r"trainer\.devices: the run was shared by 2 processes, now 1 "):
        resume_description({**now, "processes": 2}, now)


def test_what_a_killed_process_had_begun_to_write_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / ".round_00.safetensors.4711.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").write_bytes(b"somebody's")
    with hold(tmp_path):
        assert not list((tmp_path / "tickets").iterdir())
        assert (tmp_path / "notes.tmp").exists()


# Room

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


@pytest.mark.parametrize("kilobytes", [8, 24, 48, 64])
def test_without_room_a_run_stops_with_what_it_has_and_goes_on_once_there_is_some(
    whole: Path, play: Play, tmp_path: Path, room: Room, kilobytes: int
) -> None:
    run = tmp_path / "run"
    room(kilobytes)
    with pytest.raises(WriteError, match=r"cannot be written \(.*\); make room"):
        play(run)
    standing = find_standing(run)
    assert not standing.damages
    if (run / "results.csv").exists():
        assert len(read_records(run / "results.csv", Record)) in (len(standing.rounds), len(standing.rounds) - 1)
    assert not list(run.rglob("*.tmp"))
    room(None)
    play(run, resuming=(run / "run.json").exists())
    assert outcome(run) == outcome(whole)


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
        "cannot be written (File too large); make room or give leave to write; go on with: python -m "
        "lt_lightning.train resume=run\n"
    )
    assert stopped.stderr.count("\n") == 1
    assert not find_standing(tmp_path / "run").damages
    resumed = train("resume=run", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert outcome(tmp_path / "run") == outcome(whole)


# Settings


def test_settings_that_matter_are_refused_each_by_name(
    whole: Path, corpus: Path, configure: Callable[..., Config]
) -> None:
    def refused(*overrides: str) -> str:
        config = configure("data=files", f"data.path={corpus}", *SMALL, *overrides)
        with pytest.raises(SettingError) as error:
            check_same(whole, config, dict(load_corpus(config.data).fingerprints), find_standing(whole))
        return str(error.value)

    said = refused("optimizer.lr=0.5", "seed=3", "pruning.exclude=[fc.*]")
    assert said.startswith(f"resume: {whole}: seed was 0, not 3; optimizer.lr was 0.02, not 0.5; pruning.exclude was ")
    assert "pruning.rounds: 1 is less than the 2 rounds that" in refused("pruning.rounds=1")
    assert "data.limit was null, not 50" in refused("data.limit=50")


def test_settings_that_change_no_number_may_change(
    whole: Path, corpus: Path, configure: Callable[..., Config], tmp_path: Path
) -> None:
    moved = shutil.copytree(corpus, tmp_path / "moved")
    config = configure(
        "data=files", f"data.path={moved}", *SMALL, "data.num_workers=1", "trainer.log_every_n_steps=3",
        "pruning.rounds=9",
    )  # fmt: skip
    check_same(whole, config, dict(load_corpus(config.data).fingerprints), find_standing(whole))


def test_another_corpus_is_refused(whole: Path, corpus: Path, configure: Callable[..., Config], tmp_path: Path) -> None:
    other = shutil.copytree(corpus, tmp_path / "other")
    with (other / "test.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "one more cat", "label": "animals"}\n')
    config = configure("data=files", f"data.path={other}", *SMALL)
    with pytest.raises(SettingError, match=r"the corpus is not the one of then \(test differs\)"):
        check_same(whole, config, dict(load_corpus(config.data).fingerprints), find_standing(whole))


def test_rounds_without_a_record_are_never_overwritten(
    whole: Path, corpus: Path, configure: Callable[..., Config], tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "state")
    config = configure("data=files", f"data.path={corpus}", *SMALL)
    with pytest.raises(SettingError, match="no record of them in its folder state"):
        check_same(run, config, dict(load_corpus(config.data).fingerprints), find_standing(run))


def test_a_resumed_command_is_that_of_then_and_what_is_said_now(whole: Path, play: Play, tmp_path: Path) -> None:
    run = play(tmp_path / "a run, 'quoted'", "pruning.rounds=0", "trainer.max_epochs=1", "seed=4")
    merged = resumed_arguments([f"resume={run}", "pruning.rounds=2"])
    assert merged[:2] == ["trainer.max_epochs=1", "seed=4"]
    assert merged[2] == "pruning.rounds=2"
    from hydra.core.override_parser.overrides_parser import OverridesParser

    read = {override.key_or_group: override.value() for override in OverridesParser.create().parse_overrides(merged)}
    assert read["hydra.run.dir"] == read["resume"] == str(run)
    assert resumed_arguments(["seed=1", "-m"]) == ["seed=1", "-m"]


# The command itself


def train(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lt_lightning.train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_is_a_line_that_says_how_to_go_on(
    whole: Path, corpus: Path, tmp_path: Path, signum: signal.Signals, name: str
) -> None:
    command = [sys.executable, "-m", "lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL]
    with subprocess.Popen(
        [*command, "hydra.run.dir=run"], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        ends = time.monotonic() + 100
        while not (tmp_path / "run/results.csv").exists() and time.monotonic() < ends:
            time.sleep(0.01)
        process.send_signal(signum)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert said == f"stopped by {name}: go on with: python -m lt_lightning.train resume=run\n"
    resumed = train("resume=run", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert not resumed.stderr
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.slow
def test_a_finished_run_is_left_alone_and_a_refused_one_too(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    common = ("data=files", f"data.path={corpus}", *SMALL[:-2], "trainer.max_epochs=1", "pruning.rounds=1")
    assert train(*common, "hydra.run.dir=run", folder=tmp_path).returncode == 0

    def files() -> dict[Path, tuple[bytes, int]]:
        kept = [path for path in run.rglob("*") if path.is_file() and path.name not in ("train.log", "lock")]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}

    before = files()
    again = train("resume=run", folder=tmp_path)
    assert again.returncode == 0
    assert again.stdout == "run: nothing to do, rounds 0 to 1 are done; to go on, give more pruning.rounds\n"
    other = train("resume=run", "optimizer.lr=0.5", "seed=1", folder=tmp_path)
    assert other.returncode == 2
    assert other.stderr == (
        "error: resume: run: seed was 0, not 1; optimizer.lr was 0.02, not 0.5: go on with the settings of then, or "
        "start another run\n"
    )
    taken = train(*common, "hydra.run.dir=run", folder=tmp_path)
    assert taken.stderr == (
        "error: hydra.run.dir: run holds a run already; go on with it by resume=run, or give another folder\n"
    )
    with hold(run):
        held = train("resume=run", folder=tmp_path)
    assert held.returncode == 2
    assert f"error: run: in use by process {os.getpid()} on " in held.stderr
    assert files() == before
    more = train("resume=run", "pruning.rounds=2", folder=tmp_path)
    assert more.returncode == 0, more.stderr
    assert [record.round for record in read_records(run / "results.csv", Record)] == [0, 1, 2]
    assert {epoch.round for epoch in read_records(run / "epochs.csv", EpochRecord)} == {0, 1, 2}


@pytest.mark.slow
def test_a_sweep_goes_on_with_the_jobs_that_are_not_done(corpus: Path, tmp_path: Path) -> None:
    common = ("data=files", f"data.path={corpus}", *SMALL[:-2], "trainer.max_epochs=1", "pruning.rounds=1")
    swept = train("-m", *common, "seed=0,1,2", "hydra.sweep.dir=sweep", folder=tmp_path)
    assert swept.returncode == 0, swept.stderr
    whole = {job: outcome(tmp_path / "sweep" / job) for job in "012"}
    first = (tmp_path / "sweep/0/run.json").read_bytes()
    (tmp_path / "sweep/1/tickets/round_01.safetensors").unlink()
    shutil.rmtree(tmp_path / "sweep/2")
    resumed = train("resume=sweep", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert {job: outcome(tmp_path / "sweep" / job) for job in "012"} == whole
    assert (tmp_path / "sweep/0/run.json").read_bytes() == first
    assert "going on after round 0" in resumed.stderr


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trials.kills", "--kills", "20"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert tried.stdout.endswith("20 kills, and no number has changed\n")


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    holding = "import sys, time; from pathlib import Path; from lt_lightning.results.holding import hold\n"
    holding += "with hold(Path('run')): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(SettingError, match=f"run: in use by process {process.pid} on .*, which started at 20"):
            hold(tmp_path / "run").__enter__()
        process.kill()  # whatever ends a process ends its hold
        process.wait()
        with hold(tmp_path / "run"):
            pass
