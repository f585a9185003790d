"""Runs that cannot be gone on with as it is asked."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from observing import Case, Kind, make_run, train
from samples import CSV, make_corpus

from lt_lightning.runs.description import write_content

Change = Callable[[Path], object]

SETTINGS = ("model.dropout=0",)
LOG = ("run/train.log", "run/state/lock")


def _case(wrong: str, change: Change, names: Sequence[str], *arguments: str, leaves: Sequence[str] = LOG) -> Case:
    """A small run of one round that is over; then something happens, and it is to go on."""

    def make(folder: Path) -> list[str]:
        corpus = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        make_run(folder, [*corpus, *SETTINGS])
        (folder / "run" / "train.log").unlink()
        change(folder)
        return [] if arguments[0] == "again" else list(arguments)

    return Case(wrong, make, tuple(names), resume if arguments[0] != "again" else _start, tuple(leaves))


def resume(arguments: Sequence[str]) -> None:
    """`python -m lt_lightning.train` with these arguments alone."""
    import sys
    from unittest.mock import patch

    from lt_lightning.experiment.hydra_main import run_hydra
    from lt_lightning.train import task

    with patch.object(sys, "argv", ["lt_lightning.train", *arguments]):
        run_hydra(task)


def _start(arguments: Sequence[str]) -> None:
    train(["data=files", "data.path=corpus", "model=cnn", "model.filters=2", *SETTINGS])


def _nothing(folder: Path) -> None:
    """The run is as it was."""


def _another_row(folder: Path) -> None:
    with (folder / "corpus" / "test.csv").open("a") as file:
        file.write("one more film,a\n")


def _processes(folder: Path) -> None:
    write_content(folder / "run", {**json.loads((folder / "run" / "run.json").read_text()), "processes": 2})


def _reseed(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 0', '"seed": 3'), encoding="utf-8")


def _asks(*arguments: str) -> Change:
    """The command on the run's record asks for these as well."""

    def change(folder: Path) -> None:
        description = json.loads((folder / "run" / "run.json").read_text())
        write_content(folder / "run", {**description, "command": [*description["command"], *arguments]})

    return change


CASES = (
    _case("no such folder", _nothing, ["resume", "nowhere", "no such folder"], "resume=nowhere", leaves=()),
    _case("a folder that is no run", _nothing, ["resume", "corpus", "no run.json"], "resume=corpus", leaves=()),
    _case("a folder with runs in it", _nothing, ["resume", "no run.json", "run"], "resume=.", leaves=()),
    _case("nothing", _nothing, ["resume", "give one run directory"], "resume=", leaves=()),
    _case("two runs", _nothing, ["resume", "give one run directory"], "resume=run", "resume=corpus", leaves=()),
    _case("a run, as a sweep", _nothing, ["resume", "leave out -m"], "-m", "resume=run", leaves=()),
    _case("another seed", _nothing, ["resume", "seed was 0, not 1"], "resume=run", "seed=1"),
    _case(
        "three other settings",
        _nothing,
        ["seed was 0, not 1", "optimizer.lr was 0.001, not 0.1", "pruning.rewind was init, not last"],
        *("resume=run", "seed=1", "optimizer.lr=0.1", "pruning.rewind=last"),
    ),
    _case("other data", _another_row, ["resume", "corpus", "test differs"], "resume=run"),
    _case("another number of processes", _processes, ["trainer.devices", "2 processes"], "resume=run"),
    _case(
        "`run.json` damaged, and what Hydra noted gone",
        lambda folder: ((folder / "run/run.json").write_text("{"), shutil.rmtree(folder / "run/.hydra")),
        ["run/run.json", "restore"],
        "resume=run",
        leaves=(),
    ),
    _case(
        "a value in `run.json` changed, and what Hydra noted gone",
        lambda folder: (_reseed(folder / "run/run.json"), shutil.rmtree(folder / "run/.hydra")),
        ["run/run.json", "changed", "restore"],
        "resume=run",
        leaves=(),
    ),
    _case("its records gone", lambda folder: shutil.rmtree(folder / "run/state"), ["state", "restore"], "resume=run"),
    _case(
        "an object and a setting of Hydra on its record",
        _asks("trainer.callbacks=[{_target_: evil.C}]", "hydra.verbose=true"),
        ["resume", "trainer.callbacks=[{_target_: evil.C}]", "hydra.verbose=true", "trust=true"],
        "resume=run",
        leaves=(),
    ),
    _case("trust that is neither true nor false", _nothing, ["trust", "'yes'"], "resume=run", "trust=yes", leaves=()),
    _case("another run in its directory", _nothing, ["hydra.run.dir", "run", "resume=run"], "again", leaves=()),
)

KIND = Kind(10, "Going on with a run", "Given to `python -m lt_lightning.train`, once the run in `run` is over.", CASES)
