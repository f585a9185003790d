"""Read damaged tickets, runs and caches: `python -m trials.fuzz [--count 100000] [--seed 0] [--run RUN] …`.

Each file must be read, refused with a SettingError of one line, or, in a cache, rebuilt; within time and memory limits
that depend on its size, even if it is refused. A file with a wrong checksum must be refused. The result of reading must
match the bytes: `trials.oracles` decides both without the readers. Runs that can be read must yield a page and, for
some, figures.
"""

from __future__ import annotations

import argparse
import logging
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from lt_lightning.errors import SettingError
from trials.mutations import BYTEWISE
from trials.specimens import CACHE, write_specimens
from trials.subjects import SECONDS, TABLES, Subject, subjects
from trials.watching import Failure, MemoryFailure, watched

_IN_MEMORY = "/dev/shm"  # if it exists, to spare the disk a hundred thousand files
_COPIED = ("run.json", *(f"{name}.csv" for name in TABLES), "tickets", "state")


def choose(found: Sequence[Subject], chance: Random) -> tuple[Subject, str]:
    """Choose a file by its share, and a mutation: one that knows the form of the file half of the time."""
    subject = chance.choices(found, [subject.share for subject in found])[0]
    aware = [name for name in subject.mutations if name.partition(",")[0] not in BYTEWISE]
    return subject, chance.choice(aware if aware and chance.random() < 0.5 else [*subject.mutations])


def attempt(folder: Path, subject: Subject, whole: Mapping[str, bytes], damaged: bytes, drawn: bool = False) -> str:
    """Put a damaged file in its place, read it, check the result, and restore the file.

    Args:
        folder: a run with its specimens.
        subject: the file.
        whole: the content of all files of the folder.
        damaged: the content to put in its place.
        drawn: whether to draw figures too.

    Returns:
        `read` or `refused`.

    Raises:
        Failure: neither, or wrongly.
    """
    is_whole = damaged == whole[subject.file]
    (folder / subject.file).write_bytes(damaged)
    size = len(damaged) + sum(len(whole[name]) for name in subject.beside if name != subject.file)
    try:
        with watched(size, SECONDS * (10 if drawn else 1)):
            found = subject.read(folder, drawn)
        if not subject.may_read(damaged):
            raise Failure("a damaged file is read as if it were whole")
        subject.check(damaged, found)
    except SettingError as error:
        if len(str(error).splitlines()) != 1:
            raise Failure(f"a message of more than one line: {error}") from error
        if is_whole or subject.made_anew:
            raise Failure(f"a {'whole file' if is_whole else 'cache'} is refused: {error}") from error
        return "refused"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise Failure(f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})") from error
    finally:
        _restore(folder, subject, whole)
    return "read"


def _restore(folder: Path, subject: Subject, whole: Mapping[str, bytes]) -> None:
    if not subject.made_anew:
        (folder / subject.file).write_bytes(whole[subject.file])
        return
    shutil.rmtree(folder / CACHE)  # the reader may have changed any file in it
    for name, content in whole.items():
        if name.startswith(f"{CACHE}/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def fuzz(
    run: Path,
    count: int,
    seed: int,
    first: int = 0,
    draw_every: int = 0,
    say: Callable[[str], None] = print,
    reach: Callable[[int], object] = int,
) -> int:
    """Try mutants of a run's files and of specimens.

    Args:
        run: a run directory with a ticket; it is not changed.
        count: the number of mutants.
        seed: determines the mutants, with their numbers.
        first: the number of the first mutant.
        draw_every: draw figures for one of this many mutants of tables and of `run.json`; 0 for none.
        say: called with each line of the outcome.
        reach: called with each mutant's number before it is tried.

    Returns:
        The number of mutants that failed.
    """
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if Path(_IN_MEMORY).is_dir() else None) as scratch:
        copy = Path(scratch)
        for name in _COPIED:
            if (run / name).is_dir():
                shutil.copytree(run / name, copy / name)
            elif (run / name).exists():
                shutil.copy(run / name, copy)
        write_specimens(copy)
        found = subjects(copy)
        whole = {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
        logging.disable()  # rebuilding a cache is logged
        try:
            for subject in found:  # imports and the like must not count for a mutant
                attempt(copy, subject, whole, whole[subject.file], draw_every > 0)
            for number in range(first, first + count):
                reach(number)
                chance = Random(f"{seed}/{number}")
                subject, how = choose(found, chance)
                damaged = subject.mutations[how](whole[subject.file], chance)
                drawn = draw_every > 0 and number % draw_every == 0
                try:
                    outcomes[_outcome(copy, subject, whole, damaged, drawn)] += 1
                except Failure as failure:
                    outcomes["failed"] += 1
                    message = " ".join(ascii(str(failure)).split())[:300]
                    say(f"--first {number} --count 1 --seed {seed}: {subject.file}, {how}: {message}")
        finally:
            logging.disable(logging.NOTSET)
    counts = ", ".join(f"{outcomes[key]:,} {key}" for key in ("read", "refused", "failed"))
    say(f"{count:,} mutants of {len(found)} files: {counts}")
    return outcomes["failed"]


def _outcome(folder: Path, subject: Subject, whole: Mapping[str, bytes], damaged: bytes, drawn: bool) -> str:
    """Return the outcome of an attempt whose memory is measured."""
    # Tracing the memory of matplotlib would take longer than drawing.
    (tracemalloc.stop if drawn else tracemalloc.start)()
    try:
        return attempt(folder, subject, whole, damaged, drawn)
    except MemoryFailure:  # it may have loaded a module, which happens once
        return attempt(folder, subject, whole, damaged, drawn)
    finally:
        tracemalloc.stop()


def fuzz_apart(run: Path, count: int, seed: int, first: int, draw_every: int) -> bool:
    """Fuzz in another process, so that a mutant that kills it is reported with its number.

    Returns:
        Whether no mutant failed.
    """
    reached, end, sound = mmap.mmap(-1, 8), first + count, True

    def reach(number: int) -> None:
        reached[:] = number.to_bytes(8, "little")

    while first < end:
        reach(first)
        sys.stdout.flush()
        process = os.fork()
        if not process:
            code = 1
            try:
                code = min(fuzz(run, end - first, seed, first, draw_every, reach=reach), 1)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        sound = sound and code == 0
        if code >= 0:
            break
        first = int.from_bytes(reached[:], "little") + 1
        print(f"--first {first - 1} --count 1 --seed {seed}: killed by {signal.Signals(-code).name}", flush=True)
    return sound


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, train a small run unless one is given, and fuzz a copy of it."""
    parser = argparse.ArgumentParser(prog="python -m trials.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="number of mutants (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="determines the mutants (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant (%(default)s)")
    parser.add_argument("--draw-every", type=int, default=500, help="one of this many is drawn too (%(default)s)")
    parser.add_argument("--run", type=Path, help="a run directory (default: train a small one)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if options.run is None:
            train(run)
        sound = fuzz_apart(options.run or run, options.count, options.seed, options.first, options.draw_every)
        return 0 if sound else 1


def train(run: Path) -> None:
    """Train a small run: sixty weights, three rounds of three epochs."""
    settings = ("+experiment=hihello", "trainer=cpu", "pruning.rounds=2", "trainer.max_epochs=3")
    command = [sys.executable, "-m", "lt_lightning.train", *settings, f"hydra.run.dir={run}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
