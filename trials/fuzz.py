"""Read damaged tickets and runs: `python -m trials.fuzz [--count 100000] [--seed 0] [--run RUN] …`.

Each file must be read, or refused in one line with a SettingError; soon, and within memory that its size accounts for.
A ticket that is not as it was written must be refused, unless it was sealed anew. What is read of a run must make a
page and, of some, figures.
"""

from __future__ import annotations

import argparse
import gc
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lt_lightning.errors import SettingError
from lt_lightning.results.page import render_page
from lt_lightning.results.records import (
    ConfusionRecord,
    EpochRecord,
    ExampleRecord,
    LayerRecord,
    Record,
    read_records,
)
from lt_lightning.results.report import draw_run
from lt_lightning.results.round_tickets import RoundTicket
from lt_lightning.results.rounds import read_round
from lt_lightning.results.runs import read_run
from lt_lightning.results.sealed import read_seal
from trials.mutations import (
    BYTEWISE,
    Mutation,
    change_cell,
    change_header,
    change_json,
    sealed_anew,
    sealed_json_anew,
)

TABLES = {
    "results": Record, "layers": LayerRecord, "epochs": EpochRecord, "confusion": ConfusionRecord,
    "examples": ExampleRecord,
}  # fmt: skip
ROUND = "state/round_00.json"
SECONDS = 10.0
"""A file that is not read by then has hung its reader."""
TIMES = 64
ALLOWANCE = 2**20
"""A reader may take so many bytes for each byte of its files, and so many besides."""
_MEASURED = 4  # of so many mutants one has its bytes counted, which takes longer than to read it
_IN_MEMORY = "/dev/shm"  # where there is one, so that no disk is worn by a hundred thousand files


class Failure(BaseException):
    """What must never happen. No Exception, so that no reader takes it for one of its own."""


class MemoryFailure(Failure):
    """A reader takes too much memory."""


@dataclass(frozen=True)
class Case:
    """A mutant: which file of the run, what was done to it, and whether it may be read although it is damaged."""

    file: str
    how: str
    mutation: Mutation
    may_read: bool


def cases(run: Path) -> dict[str, list[Case]]:
    """What can be done to each file of a run, by the file."""
    ticket = min((run / "tickets").iterdir()).relative_to(run).as_posix()
    known = {**BYTEWISE, "header": change_header}
    found = {
        ticket: [
            *(Case(ticket, name, mutation, False) for name, mutation in known.items()),
            *(Case(ticket, f"{name}, sealed anew", sealed_anew(mutation), True) for name, mutation in known.items()),
        ],
        "run.json": [Case("run.json", name, how, True) for name, how in {**BYTEWISE, "value": change_json}.items()],
    }
    if (run / ROUND).exists():
        found[ROUND] = [Case(ROUND, name, how, False) for name, how in {**BYTEWISE, "value": change_json}.items()]
        found[ROUND].append(Case(ROUND, "value, sealed anew", sealed_json_anew, True))
    for name in TABLES:
        if (run / f"{name}.csv").exists():
            made = {**BYTEWISE, "cell": change_cell}
            found[f"{name}.csv"] = [Case(f"{name}.csv", how, mutation, True) for how, mutation in made.items()]
    return found


def choose(found: Mapping[str, Sequence[Case]], chance: Random) -> Case:
    """A case: of the ticket every other time, of each of the other files equally often; values as often as bytes."""
    ticket, *others = found
    of_file = found[ticket] if chance.random() < 0.5 else found[chance.choice(others)]
    aware = [case for case in of_file if case.how.partition(",")[0] not in BYTEWISE]
    return chance.choice(aware if chance.random() < 0.5 else of_file)


def read(run: Path, case: Case, drawn: bool) -> None:
    """Read what a case is about, with every reader that there is for it.

    Raises:
        SettingError: as the readers do.
        Failure: a reader takes what it must refuse.
    """
    if case.file.endswith(".safetensors"):
        RoundTicket.load(run / case.file)
        read_seal(run / case.file)
        return
    if case.file == ROUND:
        read_round(run / case.file, 0)
        return
    found = read_run(run)
    render_page(found, [])
    if drawn:
        draw_run(found)
    if case.file.endswith(".csv"):
        read_records(run / case.file, TABLES[case.file.removesuffix(".csv")])


@contextmanager
def watched(size: int, seconds: float) -> Iterator[None]:
    """Within it, nothing hangs nor, while memory is traced, takes more than so many bytes account for.

    Raises:
        Failure: in place of either.
    """

    def hung(*_: object) -> None:
        raise Failure(f"no answer after {seconds:g} seconds")

    gc.disable()  # what others left behind is not collected on the reader's account
    measured = tracemalloc.is_tracing()
    before, resident = tracemalloc.get_traced_memory()[0], _most_resident() if measured else 0
    if measured:
        tracemalloc.reset_peak()
    previous = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        gc.enable()
    if not measured:
        return
    # What Python took, and what the process took: tensors, too.
    taken, risen = tracemalloc.get_traced_memory()[1] - before, _most_resident() - resident
    for bytes_, most in ((taken, TIMES * size + ALLOWANCE), (risen, TIMES * (size + ALLOWANCE))):
        if bytes_ > most:
            raise MemoryFailure(f"{bytes_:,} bytes of memory for {size:,} bytes of files, more than {most:,}")


def _most_resident() -> int:
    """The most bytes of memory that the process has ever had at a time."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def attempt(run: Path, case: Case, whole: bytes, damaged: bytes, drawn: bool = False) -> str:
    """Put a damaged file in its place, read, and put it back.

    Returns:
        `read` or `refused`.

    Raises:
        Failure: neither.
    """
    (run / case.file).write_bytes(damaged)
    alone = case.file == ROUND or case.file.endswith(".safetensors")
    files = [case.file] if alone else ["run.json", *(f"{name}.csv" for name in TABLES)]
    size = sum((run / name).stat().st_size for name in files if (run / name).exists())
    try:
        with watched(size, SECONDS * (10 if drawn else 1)):
            read(run, case, drawn)
    except SettingError as error:
        if len(str(error).splitlines()) != 1:
            raise Failure(f"a message of more than one line: {error}") from error
        if damaged == whole:
            raise Failure(f"a whole file is refused: {error}") from error
        return "refused"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise Failure(f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})") from error
    finally:
        (run / case.file).write_bytes(whole)
    if damaged != whole and not case.may_read:
        raise Failure("a damaged file is read as if it were whole")
    return "read"


def fuzz(
    run: Path, count: int, seed: int, first: int = 0, draw_every: int = 0, say: Callable[[str], None] = print
) -> int:
    """Try mutants of a run.

    Args:
        run: a run directory with a ticket; it is left as it is.
        count: how many mutants.
        seed: with a mutant's number it makes the mutant.
        first: the number of the first mutant.
        draw_every: of every so many mutants of its tables and of `run.json` one is also drawn; 0 for none.
        say: what is called with each line of the outcome.

    Returns:
        How many mutants failed.
    """
    found = cases(run)
    contents = {name: (run / name).read_bytes() for name in found}
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if Path(_IN_MEMORY).is_dir() else None) as folder:
        copy = Path(folder)
        for name, content in contents.items():
            (copy / name).parent.mkdir(exist_ok=True)
            (copy / name).write_bytes(content)
        for name, of_file in found.items():  # what is loaded once, at the first reading, is no mutant's doing
            attempt(copy, of_file[0], contents[name], contents[name], draw_every > 0)
        for number in range(first, first + count):
            chance = Random(f"{seed}/{number}")
            case = choose(found, chance)
            damaged = case.mutation(contents[case.file], chance)
            drawn = draw_every > 0 and number % draw_every == 0
            # Drawing takes what matplotlib takes, and to count that takes longer than to draw.
            (tracemalloc.stop if drawn else tracemalloc.start)()
            try:
                try:
                    outcome = attempt(copy, case, contents[case.file], damaged, drawn)
                except MemoryFailure:  # what is loaded once, whenever that is, is no mutant's doing
                    outcome = attempt(copy, case, contents[case.file], damaged, drawn)
                outcomes[outcome] += 1
            except Failure as failure:
                outcomes["failed"] += 1
                said = " ".join(ascii(str(failure)).split())[:300]
                say(f"--first {number} --count 1 --seed {seed}: {case.file}, {case.how}: {said}")
            finally:
                tracemalloc.stop()
    counts = ", ".join(f"{outcomes[key]:,} {key}" for key in ("read", "refused", "failed"))
    say(f"{count:,} mutants of {len(found)} files: {counts}")
    return outcomes["failed"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, train a small run unless one is given, and fuzz a copy of it."""
    parser = argparse.ArgumentParser(prog="python -m trials.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many mutants (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other mutants (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant (%(default)s)")
    parser.add_argument("--draw-every", type=int, default=500, help="of so many mutants, figures of one (%(default)s)")
    parser.add_argument("--run", type=Path, help="a run directory to make mutants of (default: a small one is trained)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if options.run is None:
            train(run)
        return 1 if fuzz(options.run or run, options.count, options.seed, options.first, options.draw_every) else 0


def train(run: Path) -> None:
    """A small run: sixty weights, three rounds of three epochs."""
    settings = ("+experiment=hihello", "trainer=cpu", "pruning.rounds=2", "trainer.max_epochs=3")
    command = [sys.executable, "-m", "lt_lightning.train", *settings, f"hydra.run.dir={run}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
