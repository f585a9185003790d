"""Runs of which no copies can be trained, and wrong wishes for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from observing import Case, Kind, make_run
from samples import CSV, make_corpus

from lt_lightning.runs.branch import Branch
from lt_lightning.runs.description import write_content
from lt_lightning.runs.records import Record

Change = Callable[[Path], object]

FULL = Record(0, 0.0, 10, 10, 1, *[0.5] * 6)
"""A full network of ten weights."""


def connect(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.connect`."""
    from lt_lightning.connect.__main__ import main

    return main(arguments)


def _case(
    wrong: str,
    names: Sequence[str],
    *arguments: str,
    change: Change = lambda _: None,
    settings: Sequence[str] = (),
) -> Case:
    """A small run of two rounds; then something happens, and its copies are asked for."""

    def make(folder: Path) -> list[str]:
        corpus = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        make_run(folder, [*corpus, "pruning.rounds=1", "pruning.amount=0.3", *settings])
        change(folder)
        return list(arguments)

    return Case(wrong, make, tuple(names), connect)


def _bare(wrong: str, names: Sequence[str], *arguments: str, change: Change = lambda _: None) -> Case:
    """A command that is refused whatever the run."""

    def make(folder: Path) -> list[str]:
        change(folder)
        return list(arguments)

    return Case(wrong, make, tuple(names), connect)


def _gone(number: int) -> Change:
    return lambda folder: (folder / f"run/tickets/round_{number:02}.safetensors").unlink()


def _described(**values: object) -> Change:
    def change(folder: Path) -> None:
        described = json.loads((folder / "run/run.json").read_text(encoding="utf-8"))
        write_content(folder / "run", {**described, **values})

    return change


def _asks(*arguments: str) -> Change:
    def change(folder: Path) -> None:
        described = json.loads((folder / "run/run.json").read_text(encoding="utf-8"))
        write_content(folder / "run", {**described, "command": [*described["command"], *arguments]})

    return change


def _another_row(folder: Path) -> None:
    with (folder / "corpus/test.csv").open("a") as file:
        file.write("one more film,a\n")


CASES = (
    _bare("no run", ["RUN"]),
    _bare("no such folder", ["none", "no such folder"], "none"),
    _bare("a folder that is no run", ["empty", "not a run directory"], "empty",
          change=lambda folder: (folder / "empty").mkdir()),
    _bare("one copy", ["--copies", ">= 2"], "run", "--copies", "1"),
    _bare("one seed", ["--seeds", "at least two"], "run", "--seeds", "4"),
    _bare("seeds that are none", ["--seeds", "last", "0,2"], "run", "--seeds", "0,last"),
    _bare("copies and seeds", ["--copies", "--seeds"], "run", "--copies", "3", "--seeds", "0,1"),
    _bare("the ends of the lines alone", ["--points", ">= 3"], "run", "--points", "2"),
    _bare("rounds that are none", ["--rounds", "0-2"], "run", "--rounds", "0-2"),
    _case("a round that was not played", ["--rounds", "no round 9", "0 to 1"], "run", "--rounds", "0,9"),
    _case("a round whose ticket is not kept", ["round_00.safetensors", "no such file", "--rounds 1"],
          "run", "--rounds", "0", change=_gone(0)),
    _case("a round that began from a ticket that is not kept", ["--rounds", "round 1", "round 0"],
          "run", "--rounds", "1", change=_gone(0), settings=["pruning.rewind=none"]),
    _case("a run whose masks change while it trains", ["pruning.schedule=gradual", "rounds or at_init"], "run",
          settings=["pruning.rounds=0", "pruning.schedule=gradual", "pruning.density=0.5"]),
    _case("a branch, which keeps no first weights", ["branch", "trunk, ../trunk"], "run",
          change=_described(branch=Branch("../trunk", (0, 1), ("0" * 64, "1" * 64), "init", FULL).to_json())),
    _case("a run of several processes", ["2 processes", "one process"], "run", change=_described(processes=2)),
    _case("a run with an object on its record", ["trainer.callbacks", "trust=true"], "run",
          change=_asks("trainer.callbacks=[{_target_: mine.Callback}]")),
    _case("another rate than the run's", ["optimizer.lr was 0.001, not 0.1"], "run", "optimizer.lr=0.1"),
    _case("two runs", ["other", "key=value"], "run", "other"),
    _case("data that has changed", ["corpus", "test differs"], "run", change=_another_row),
)  # fmt: skip

KIND = Kind(15, "Connectivity", "Given to `python -m lt_lightning.connect`, once the run in `run` is over.", CASES)
