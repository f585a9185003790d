"""Kill runs at any moment, go on with them, and see whether a number has changed: `python -m trials.kills --kills 200`.

A small run is played once from beginning to end. Then it is played again, killed (SIGKILL) at a random moment, or just
after a random change in its directory, resumed, killed again, …, and in the end left alone. Its `results.csv` (but for
`seconds`), the other tables and the tickets must be the same to the byte. Each process is forked from one that
has imported torch and Lightning already: most moments would otherwise be spent on imports.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

THEMES = {
    "animals": ("cat", "dog", "horse", "cow", "sheep"),
    "food": ("bread", "cheese", "apple", "soup", "rice"),
    "tools": ("hammer", "saw", "drill", "nail", "screw"),
}
COMMON = ("the", "a", "of", "and", "with", "some", "very", "old", "new", "here")
SMALL = (
    "model.filters=4", "embedding.dim=6", "data.batch_size=8", "trainer=cpu", "optimizer.lr=0.02",
    "trainer.max_epochs=3", "pruning.rounds=2",
)  # fmt: skip
RUNS = {
    "init": ("pruning.rewind=init",),
    "epoch": ("pruning.rewind=epoch:2",),
    "step": ("pruning.rewind=step:17",),
    "last": ("pruning.rewind=last", "pruning.scope=global"),
    "random": ("pruning.rewind=random", "pruning.criterion=random"),
    "none": ("pruning.rewind=none", "optimizer=sgd", "optimizer.momentum=0.9"),
    "early_stopping": ("trainer.max_epochs=12", "early_stopping.patience=1", "test_on=best", "optimizer.lr=0.05"),
    "recurrent": ("model=birnn", "model.hidden=6", "model.filters=null", "optimizer=adamw"),
    "workers": ("data.num_workers=1", "trainer.precision=64-true"),
}


def write_corpus(folder: Path) -> None:
    """Three classes of sentences that their words give away, now and then."""
    rng = random.Random(0)
    folder.mkdir()
    for split, rows in (("train", 150), ("test", 60)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for row in range(rows):
                label = list(THEMES)[row % 3]
                words = [rng.choice(THEMES[label] if rng.random() < 0.4 else COMMON) for _ in range(rng.randint(2, 12))]
                file.write(json.dumps({"text": " ".join(words), "label": label}) + "\n")


def start(arguments: Sequence[str], log: Path) -> int:
    """Run the command line of `lt_lightning.train` in a process of its own.

    Returns:
        Its process id.
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
        from lt_lightning.command import run_hydra
        from lt_lightning.train import task

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


def go_on(run: Path, command: Sequence[str], log: Path) -> int:
    """Resume a run, or start it where there is nothing to go on with but the command: Hydra has not noted it yet."""
    known = (run / "run.json").exists() or (run / ".hydra/overrides.yaml").exists()
    return start([f"resume={run}"] if known else [*command, f"hydra.run.dir={run}"], log)


def finish(process: int) -> int:
    """Wait for a process; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_at_random(process: int, run: Path, rng: random.Random, duration: float) -> bool:
    """Kill a process at a random moment of so many seconds, or after a random change in its run directory.

    Returns:
        Whether it was still running.
    """
    ends = time.monotonic() + rng.uniform(0, 0.8 * duration)
    changes = rng.randrange(1, 30) if rng.random() < 0.5 else None
    seen = _names(run)
    while changes is None or changes > 0:
        if changes is None and time.monotonic() > ends:
            break
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        if changes is not None and (now := _names(run)) != seen:
            seen, changes = now, changes - 1
        time.sleep(0 if changes is not None else 0.002)
    os.kill(process, signal.SIGKILL)
    return finish(process) == -signal.SIGKILL


def _names(run: Path) -> frozenset[str]:
    """All files, temporary ones too; whoever looks at them may be too late."""
    return frozenset(name for _, _, files in os.walk(run) for name in files)


def outcome(run: Path) -> dict[str, bytes]:
    """What must not depend on kills: tables without their seconds, and tickets."""
    files = {path.name: path.read_bytes() for path in sorted(run.glob("*.csv")) + sorted(run.glob("tickets/*"))}
    header, *rows = csv.reader(io.StringIO(files["results.csv"].decode()))
    seconds = header.index("seconds")
    kept = [[*row[:seconds], *row[seconds + 1 :]] for row in (header, *rows)]
    return files | {"results.csv": json.dumps(kept).encode()}


def try_run(name: str, settings: Sequence[str], kills: int, folder: Path, rng: random.Random) -> list[str]:
    """Play one of the runs, again and again from the beginning if need be, until it was killed so many times.

    Returns:
        What went wrong; nothing, if all is well.
    """
    log, common = folder / f"{name}.log", ("data=files", f"data.path={folder / 'corpus'}", *SMALL, *settings)
    whole, run = folder / name / "whole", folder / name / "killed"
    began = time.monotonic()
    if code := finish(start([*common, f"hydra.run.dir={whole}"], log)):
        return [f"{name}: exit code {code} without a kill; see {log}"]
    duration = time.monotonic() - began
    done, ended = 0, 0
    while done < kills:
        process = go_on(run, common, log)
        if kill_at_random(process, run, rng, duration):
            done += 1
        else:  # it has come to its end
            ended += 1
            if outcome(run) != outcome(whole):
                return [f"{name}: not the same after {done} kills; see {run}"]
            shutil.rmtree(run)
    if code := finish(go_on(run, common, log)):
        return [f"{name}: exit code {code} after {done} kills; see {log}"]
    differing = [file for file, content in outcome(whole).items() if outcome(run).get(file) != content]
    damages = [line for line in log.read_text(encoding="utf-8").splitlines() if "WARNING" in line]
    print(f"{name}: {done} kills, {ended + 1} runs to the end, {'differs' if differing else 'the same'}", flush=True)
    return [f"{name}: {file} differs after {done} kills" for file in differing] + [
        f"{name}: said to be damaged: {line}" for line in damages
    ]


def main() -> int:
    """Try all runs; the exit code is 0 if all is well."""
    parser = argparse.ArgumentParser(
        prog="python -m trials.kills", description="Kill runs at any moment, and resume them."
    )
    parser.add_argument("--kills", type=int, default=200, help="how many, over all runs (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    given = parser.parse_args()
    import matplotlib.pyplot  # noqa: F401 (before the first fork)

    import lt_lightning.experiment  # noqa: F401

    rng = random.Random(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="lt_lightning_kills_"))
    write_corpus(folder / "corpus")
    wrong: list[str] = []
    for index, (name, settings) in enumerate(RUNS.items()):
        kills = given.kills // len(RUNS) + (index < given.kills % len(RUNS))
        wrong += try_run(name, settings, kills, folder, rng)
    print("\n".join(wrong) if wrong else f"{given.kills} kills, and no number has changed")
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
