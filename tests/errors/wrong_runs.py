"""Wrong run directories, and reports that cannot be drawn."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from observing import Case, Kind, report

from lt_lightning.runs.csv_files import write_records
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record

Damage = Callable[[Path], object]

DRAWN = ("run/figures/*", "run/report.html")
"""What is drawn of the sound part of a run."""
COMPARED = ("out/*",)


def make_run(run: Path, seed: int = 0, **changes: Any) -> None:
    """Two rounds of a network with one parameter of ten entries."""
    run.mkdir()
    write_records(
        run / "results.csv", [Record(round, 0.1 * round, 10 - round, 10, 1, *[0.5] * 6) for round in range(2)]
    )
    write_records(run / "layers.csv", [LayerRecord(round, "w", 10 - round, 10, (10,)) for round in range(2)])
    write_records(run / "epochs.csv", [EpochRecord(round, 1, 0.5, 0.5, 0.5) for round in range(2)])
    write_records(run / "confusion.csv", [ConfusionRecord(round, 0, 0, 5) for round in range(2)])
    about = {
        "task": "classification",
        "experiment": "quickstart",
        "config": {"pruning": {"rewind": "init"}},
        "corpus": {"name": "PyDocs", "class_names": ["a", "b"]},
        "seed": seed,
        "started": "2026-11-21T21:00:00+00:00",
        "finished": "2026-11-21T21:42:17+00:00",
    }
    (run / "run.json").write_text(json.dumps({**about, **changes}))


def _case(
    wrong: str, damage: Damage, names: Sequence[str], *arguments: str, leaves: Sequence[str] = (), **second: Any
) -> Case:
    def make(folder: Path) -> list[str]:
        make_run(folder / "run")
        if second:
            make_run(folder / "other", **second)
        damage(folder / "run")
        return list(arguments) or ["run"]

    return Case(wrong, make, tuple(names), report, tuple(leaves))


def _nothing(run: Path) -> None:
    """No damage."""


def _gone(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def _holds(name: str, content: str | bytes) -> Damage:
    return lambda run: (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _instead(name: str, old: str, new: str) -> Damage:
    return lambda run: (run / name).write_text((run / name).read_text().replace(old, new))


def _cut(name: str, end: int) -> Damage:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:end])


def _pipe(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return damage


def _endless(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to("/dev/zero")

    return damage


def _huge(name: str) -> Damage:
    """As large as that, without the room that it would take."""
    return lambda run: os.truncate(run / name, 2**30)


def _header_alone(run: Path) -> None:
    header = (run / "results.csv").read_text().partition("\n")[0]
    (run / "results.csv").write_text(f"{header}\n")


CASES = (
    _case("no such folder", _nothing, ["ran", "no such folder", "outputs/"], "ran"),
    _case("a file", _nothing, ["run/run.json", "is a file", "run directory"], "run/run.json"),
    _case("an empty folder", lambda run: (run.parent / "empty").mkdir(), ["empty", "no runs"], "empty"),
    _case("a name of 300 letters", _nothing, ["no such folder"], "r" * 300),
    _case("a link to itself", lambda run: (run.parent / "link").symlink_to("link"), ["link", "no such folder"], "link"),
    _case("no run", _nothing, ["RUN", "--help"], "--rounds=0"),
    _case("a flag that there is not", _nothing, ["--draw", "--help"], "run", "--draw"),
    _case("a round that there is not", _nothing, ["--rounds", "9"], "run", "--rounds=9"),
    _case("words for rounds", _nothing, ["--rounds", "all"], "run", "--rounds=all"),
    _case("too many rounds for a figure", _nothing, ["--rounds", "choose 5"], "run", "--rounds=0,1,2,3,4,5"),
    _case("an output for a single run", _nothing, ["--output"], "run", "--output=out"),
    _case("no `run.json`", _gone("run.json"), ["run/run.json", "copy"]),
    _case("an empty `run.json`", _holds("run.json", ""), ["run/run.json", "JSON"]),
    _case("a `run.json` that is cut off", _cut("run.json", 40), ["run/run.json", "JSON"]),
    _case("a `run.json` in Latin-1", _holds("run.json", '{"name": "é"}'.encode("latin-1")), ["run/run.json"]),
    _case("a `run.json` that is a list", _holds("run.json", "[]"), ["run/run.json", "object"]),
    _case("a pipe for `run.json`", _pipe("run.json"), ["run/run.json", "a pipe or a device", "copy"]),
    _case("a `run.json` without end", _endless("run.json"), ["run/run.json", "a pipe or a device", "copy"]),
    _case("a `run.json` of a gigabyte", _huge("run.json"), ["run/run.json", "1,073,741,824 bytes", "copy"]),
    _case("no `results.csv`", _gone("results.csv"), ["run/results.csv", "copy"]),
    _case("an empty `results.csv`", _holds("results.csv", ""), ["run/results.csv", "line 1", "round"]),
    _case("a `results.csv` without rows", _header_alone, ["run/results.csv", "no rounds"]),
    _case("a pipe for `results.csv`", _pipe("results.csv"), ["run/results.csv", "a pipe or a device", "copy"]),
    _case("`results.csv` in UTF-16", _holds("results.csv", "round".encode("utf-16")), ["run/results.csv", "copy"]),
    _case("another name for a column", _instead("results.csv", "alive", "living"), ["run/results.csv", "alive"]),
    _case(
        "the first round is missing", _instead("results.csv", "\n0,", "\n3,"), ["run/results.csv", "line 2", "round 0"]
    ),
    _case(
        "a round is missing",
        _instead("results.csv", "\n1,", "\n2,"),
        ["run/results.csv", "line 3", "round 1"],
        leaves=DRAWN,
    ),
    _case("a row that is cut off", _cut("results.csv", -3), ["run/results.csv", "line 3", "cut off"], leaves=DRAWN),
    _case(
        "a word for a number",
        _instead("results.csv", "\n1,0.1", "\n1,few"),
        ["run/results.csv", "line 3", "'few'"],
        leaves=DRAWN,
    ),
    _case(
        "a number of 5,000 digits",
        _instead("results.csv", ",9,10,", f",9,{'1' * 5000},"),
        ["run/results.csv", "line 3", "total"],
        leaves=DRAWN,
    ),
    _case(
        "more entries alive than there are",
        _instead("results.csv", ",9,10,", ",19,10,"),
        ["run/results.csv", "line 3", "19 of 10"],
        leaves=DRAWN,
    ),
    _case("no `layers.csv`", _gone("layers.csv"), ["run/layers.csv", "copy"], leaves=DRAWN),
    _case(
        "a `layers.csv` without end",
        _endless("layers.csv"),
        ["run/layers.csv", "a pipe or a device", "copy"],
        leaves=DRAWN,
    ),
    _case(
        "a shape that is none",
        _instead("layers.csv", ",10\n", ",ten\n"),
        ["run/layers.csv", "line 2", "'ten'"],
        leaves=DRAWN,
    ),
    _case("an empty `epochs.csv`", _holds("epochs.csv", ""), ["run/epochs.csv", "line 1"], leaves=DRAWN),
    _case("an empty `confusion.csv`", _holds("confusion.csv", ""), ["run/confusion.csv", "line 1"], leaves=DRAWN),
    _case("a file where figures go", _holds("figures", ""), ["run/figures", "written"]),
    _case(
        "a folder where the page goes",
        lambda run: (run / "report.html").mkdir(),
        ["run/report.html", "written"],
        leaves=DRAWN,
    ),
    _case(
        "runs of two corpora",
        _nothing,
        ["other", "corpus.name", "IMDB"],
        "run",
        "other",
        "--output=out",
        leaves=COMPARED,
        corpus={"name": "IMDB"},
    ),
    _case(
        "runs of two tasks",
        _nothing,
        ["other", "task", "tagging"],
        "run",
        "other",
        "--output=out",
        leaves=COMPARED,
        task="tagging",
    ),
    _case(
        "the same seed twice",
        _nothing,
        ["run", "other", "seed 0"],
        "run",
        "other",
        "--output=out",
        leaves=COMPARED,
        seed=0,
    ),
    _case(
        "one of the runs does not exist",
        _nothing,
        ["ran", "no such folder"],
        "run",
        "ran",
        "--output=out",
        leaves=COMPARED,
    ),
    _case("a comparison into a run", _nothing, ["run", "--output"], "run", "other", "--output=run", seed=1),
    _case(
        "a comparison into a file",
        _nothing,
        ["run/run.json", "--output"],
        "run",
        "other",
        "--output=run/run.json",
        seed=1,
    ),
)

KIND = Kind(
    9,
    "Run directories and their reports",
    "Given to `python -m lt_lightning.report`. What is sound is drawn nevertheless.",
    CASES,
)
