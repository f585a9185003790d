"""Kill runs at chosen moments, resume them, and compare every byte: `python -m trials.kills --kills 200`.

A small run is trained once without interruption, and its file operations are logged. It is trained again and killed
(SIGKILL) before, within or after one of these operations, resumed, killed at the next chosen one, …, and finally left
to end. Its `results.csv` (without `seconds`), its other tables, its tickets and the weights to rewind to must be equal
to the byte, no file may be reported as damaged or be left over, and no epoch or round that was saved may be trained
again. The first kills of each run are the most telling ones; the seed chooses the others. Each process is forked from
one that has imported torch and Lightning. Only the first run draws its report, which takes as long as the training.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trials.moments import Moment, Operation, intercept, moments, read_operations

THEMES = {
    "animals": ("cat", "dog", "horse", "cow", "sheep"),
    "food": ("bread", "cheese", "apple", "soup", "rice"),
    "tools": ("hammer", "saw", "drill", "nail", "screw"),
}
COMMON = ("the", "a", "of", "and", "with", "some", "very", "old", "new", "here")
SMALL = (
    "report=false", "model.filters=4", "embedding.dim=6", "data.batch_size=8", "trainer=cpu", "optimizer.lr=0.02",
    "trainer.max_epochs=3", "pruning.rounds=2",
)  # fmt: skip
TRUNK = "trunk"
"""The folder of the run that the branch starts from, beside its own."""
RUNS = {
    "init": ("pruning.rewind=init",),
    "epoch": ("pruning.rewind=epoch:2",),
    "step": ("pruning.rewind=step:17",),
    "last": ("pruning.rewind=last", "pruning.scope=global"),
    "random": ("pruning.rewind=random", "pruning.criterion=random"),
    "none": ("pruning.rewind=none", "optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine"),
    "early_stopping": ("trainer.max_epochs=12", "early_stopping.patience=1", "test_on=best", "optimizer.lr=0.05"),
    "recurrent": ("model=birnn", "model.hidden=6", "optimizer=adamw"),
    "workers": ("data.num_workers=1", "trainer.precision=64-true"),
    "branch": (f"branch.of={TRUNK}", "pruning.mask=shuffle", "pruning.rewind=shuffle"),
}
TELLING = {
    # A torn ticket; a round's record before its ticket; a table that lags behind the rounds.
    "init": ("within write tickets/round_01.safetensors, 1", "before rename state/round_01.json, 1"),
    # Only the epoch's file has the weights to rewind to.
    "epoch": ("after rename state/round_00_epoch_002, 0", "after rename tickets/round_00.safetensors, 0"),
    "step": ("after rename state/round_00_epoch_002, 0", "within write state/rewind.safetensors, 0"),
    "last": ("before rename state/rewind.safetensors, 0", "after rename state/rewind.safetensors, 0"),
    # Seeds of a round that is resumed in the middle, and of one that begins again.
    "random": ("after rename state/round_01_epoch_001, 1", "after rename state/round_00.json, 0"),
    # The optimizer's momentum, its schedule, the mask and early stopping's and the best weights' state.
    "none": ("after rename state/round_01_epoch_001, 1", "within write state/round_01_epoch_002, 1"),
    "early_stopping": ("after rename state/round_01_epoch_002, 1", "after rename state/round_02_epoch_001, 2"),
    "recurrent": ("after rename state/round_01.json, 1", "within write results.csv, 2"),
    "workers": ("within write state/round_02.json, 2", "within write run.json, 3"),
    # What it takes over from its trunk is on disk in part; a round is over, and its start still there.
    "branch": ("after rename state/branch.json, 0", "after rename state/round_01.json, 0"),
}
"""The most telling kills of each run: moments as `str` returns them, without their last words."""


def small_run(*settings: str) -> list[str]:
    """Return `SMALL` and `settings`, without what `SMALL` sets of a model or a trainer if they choose another."""
    dropped = ["model."] if any(one.startswith("model=") for one in settings) else []
    dropped += ["trainer="] if any(one.startswith(("trainer=", "trainer.strategy=")) for one in settings) else []
    return [*(one for one in SMALL if not one.startswith(tuple(dropped))), *settings]


def write_corpus(folder: Path, *, train: int = 150, test: int = 60, classes: int = 3, shortest: int = 2) -> Path:
    """Write a corpus of sentences of `shortest` to 12 words, classes recognisable by some of them, and return it."""
    rng = random.Random(0)
    folder.mkdir()
    for split, rows in (("train", train), ("test", test)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for row in range(rows):
                label, length = list(THEMES)[row % classes], rng.randint(shortest, 12)
                words = [rng.choice(THEMES[label] if rng.random() < 0.4 else COMMON) for _ in range(length)]
                file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")
    return folder


def start(arguments: Sequence[str], run: Path, log: Path, done: Path, moment: Moment | None = None) -> int:
    """Run the command line of `lt_lightning.train` in its own process, and return its id.

    Args:
        arguments: the settings, or `resume=`.
        run: the run directory that they lead to.
        log: the file to append its output to.
        done: the file to append its operations on the run directory to.
        moment: when to kill it; None to let it end.
    """
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["lt_lightning.train", *arguments]
        from lt_lightning.experiment.hydra_main import run_hydra
        from lt_lightning.train import task

        intercept(run, done, moment)
        run_hydra(task)
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def resumption(run: Path, command: Sequence[str]) -> list[str]:
    """Return the arguments that resume a run, or start it if Hydra has not yet recorded how it was started."""
    known = (run / "run.json").exists() or (run / ".hydra/overrides.yaml").exists()
    return [f"resume={run}"] if known else [*command, f"hydra.run.dir={run}"]


def finish(process: int) -> int:
    """Wait for a process and return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def outcome(run: Path) -> dict[str, bytes]:
    """Return the files that must not depend on kills: tables without their seconds, and tickets."""
    files = {path.name: path.read_bytes() for path in sorted(run.glob("*.csv")) + sorted(run.glob("tickets/*"))}
    header, *rows = csv.reader(io.StringIO(files["results.csv"].decode()))
    seconds = header.index("seconds")
    kept = [[*row[:seconds], *row[seconds + 1 :]] for row in (header, *rows)]
    return files | {"results.csv": json.dumps(kept).encode()}


def choose(found: Sequence[Moment], telling: Sequence[str], count: int, rng: random.Random) -> list[list[Moment]]:
    """Choose moments to kill a run at.

    Args:
        found: all moments of the run, in order.
        telling: those to choose first; see `TELLING`.
        count: the number of kills.
        rng: chooses the others.

    Returns:
        The kills of each passage through the run, in order. A moment is repeated only after all others.

    Raises:
        ValueError: a telling moment does not occur in the run.
    """
    named = {str(moment).removesuffix(" rounds on record"): moment for moment in found}
    if missing := [name for name in telling if name not in named]:
        raise ValueError(f"TELLING names {missing[0]!r}, which does not occur in this run")
    first = [named[name] for name in telling]
    kinds: dict[tuple[str, ...], list[Moment]] = {}
    for moment in rng.sample(found, len(found)):
        kind = (moment.phase, moment.operation.kind, re.sub(r"\d", "", moment.operation.file))
        if moment not in first:
            kinds.setdefault(kind, []).append(moment)
    # One of each kind before a second of a kind.
    turns = itertools.zip_longest(*kinds.values())
    order = [*first, *(moment for turn in turns for moment in turn if moment is not None)]
    passages = [order[: count - done] for done in range(0, count, len(order))]
    return [sorted(passage, key=found.index) for passage in passages]


def compare(run: Path, whole: Path, done: Sequence[Operation]) -> list[str]:
    """Compare a run that was killed with one that was not.

    Args:
        run: the run that was killed, at its end.
        whole: the other.
        done: the operations of all its processes.

    Returns:
        A line for each difference.
    """
    there, expected = outcome(run), outcome(whole)
    wrong = [f"{name} differs" for name in sorted({*there, *expected}) if there.get(name) != expected.get(name)]
    files = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (run, whole)]
    wrong += [f"{path} is left over" for path in sorted(files[0] - files[1])]
    wrong += [f"{path} is missing" for path in sorted(files[1] - files[0])]
    rewind = Path("state/rewind.safetensors")
    if rewind in files[0] & files[1] and (run / rewind).read_bytes() != (whole / rewind).read_bytes():
        wrong.append(f"{rewind} differs")
    kept = Counter(one.file for one in done if one.kind == "rename" and one.file.startswith("state/round_"))
    return wrong + [f"{file} was saved, but made again" for file, times in kept.items() if times > 1]


def try_run(name: str, settings: Sequence[str], kills: int, folder: Path, rng: random.Random) -> list[str]:
    """Train one of the runs without a kill, then with `kills` kills.

    Returns:
        A line for each fault.
    """
    log, data = folder / f"{name}.log", ("data=files", f"data.path={folder / 'corpus'}")
    is_branch = f"branch.of={TRUNK}" in settings
    own = [one.replace(f"={TRUNK}", f"={folder / TRUNK}") for one in settings]
    # A branch takes its trunk's settings, and refuses the number of rounds.
    common = (*data, *own) if is_branch else (*data, *small_run(*own))
    if is_branch:
        trunk = folder / TRUNK
        if code := finish(start([*data, *SMALL, f"hydra.run.dir={trunk}"], trunk, log, folder / f"{TRUNK}.done")):
            return [f"{name}: exit code {code} of its trunk; see {log}"]
    whole, run, done = folder / name / "whole", folder / name / "killed", folder / f"{name}.done"
    if name == next(iter(RUNS)):
        common = (*common, "report=true")
    if code := finish(start([*common, f"hydra.run.dir={whole}"], whole, log, done)):
        return [f"{name}: exit code {code} without a kill; see {log}"]
    wrong: list[str] = []
    try:
        passages = choose(moments(read_operations(done)), TELLING[name], kills, rng)
    except ValueError as error:
        return [f"{name}: {error}"]
    for passage in passages:
        shutil.rmtree(run, ignore_errors=True)
        done.unlink()
        for moment in passage:
            if (code := finish(start(resumption(run, common), run, log, done, moment))) >= 0:
                wrong.append(f"{name}: exit code {code} before the moment {moment}; see {log}")
                break
        if code := finish(start(resumption(run, common), run, log, done)):
            wrong.append(f"{name}: exit code {code} after kills {_listed(passage)}; see {log}")
        else:
            wrong += [
                f"{name}: {line} after kills {_listed(passage)}" for line in compare(run, whole, read_operations(done))
            ]
    warnings = [line for line in log.read_text(encoding="utf-8").splitlines() if "WARNING" in line]
    wrong += [f"{name}: reported as damaged: {line}" for line in warnings]
    print(f"{name}: {kills} kills, {f'{len(wrong)} faults' if wrong else 'the same'}", flush=True)
    return wrong


def _listed(passage: Sequence[Moment]) -> str:
    return "; ".join(map(str, passage))


def main() -> int:
    """Try all runs, and return the exit code, 0 without faults."""
    parser = argparse.ArgumentParser(
        prog="python -m trials.kills", description="Kill runs at any moment, and resume them."
    )
    parser.add_argument("--kills", type=int, default=200, help="number of kills over all runs (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (default: 0)")
    parser.add_argument("--only", choices=RUNS, action="append", help="try only this run (repeatable)")
    given = parser.parse_args()
    import matplotlib.pyplot  # noqa: F401 (before the first fork)

    import trials.preloaded  # noqa: F401

    rng = random.Random(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="lt_lightning_kills_"))
    write_corpus(folder / "corpus")
    names = given.only or list(RUNS)
    wrong: list[str] = []
    for index, name in enumerate(names):
        kills = given.kills // len(names) + (index < given.kills % len(names))
        wrong += try_run(name, RUNS[name], kills, folder, rng)
    print("\n".join(wrong) if wrong else f"{given.kills} kills, and no number has changed")
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
