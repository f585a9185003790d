"""Wrong inputs and what comes of them: a case is made in an empty folder, given to the real program, and watched."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import jaxtyping
from hydra._internal.hydra import Hydra

_GET_MODE = Hydra.get_mode

Program = Callable[[Sequence[str]], "int | None"]
"""What is given the words of a command line; like any program it prints, and returns or exits with a code."""


@dataclass(frozen=True)
class Case:
    """A wrong input, or an odd one.

    Attributes:
        wrong: what is wrong, in a few words of Markdown.
        make: fills the folder that it is given, which is the working directory by then, and gives the arguments.
        names: what the line must hold: the setting or file, and what the remedy turns on.
        program: what is given the arguments.
        leaves: patterns of the files that may be there afterwards, beside those that `make` made.
        accepted: the input is odd, but has an answer; what is done with it, found out from what the run left behind.
            None: it is refused.
    """

    wrong: str
    make: Callable[[Path], Sequence[str]]
    names: tuple[str, ...]
    program: Program
    leaves: tuple[str, ...] = ()
    accepted: Callable[[Path], str] | None = None


@dataclass(frozen=True)
class Kind:
    """Cases that stand in one table.

    Attributes:
        place: where the table stands on the page, counted from 1.
        title: its heading.
        about: what is said above it: which command the cases are given to.
        cases: its rows.
    """

    place: int
    title: str
    about: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        code: the exit code; 1 where an error broke through.
        lines: what was printed to stderr, without notes on the design of a comparison.
        says: what the page says: the line, or what is done with an input that is odd but not wrong.
        left: the files that were not there before, by their paths in the folder.
        changed: the files of the case that are not what they were.
        log: `train.log`, where there is one.
        trace: the traceback, where an error broke through.
    """

    code: int
    lines: tuple[str, ...]
    says: str
    left: tuple[str, ...]
    changed: tuple[str, ...]
    log: str
    trace: str


def train(arguments: Sequence[str]) -> None:
    """`python -m lt_lightning.train`, of a network so small that what is not refused is trained at once."""
    from lt_lightning.experiment.hydra_main import run_hydra
    from lt_lightning.train import task

    small = ["trainer=cpu", "hydra.run.dir=run", "pruning.rounds=0", "trainer.max_epochs=1", "embedding.dim=2"]
    with patch.object(sys, "argv", ["lt_lightning.train", *small, *arguments]):
        run_hydra(task)


_made: dict[tuple[str, ...], Path] = {}
_kept = tempfile.TemporaryDirectory(prefix="lt_lightning_errors_")


def make_run(folder: Path, arguments: Sequence[str]) -> None:
    """Make the run `run` by `train`; once for all cases, which get a copy each."""
    known = _made.get(tuple(arguments))
    if known is not None:
        shutil.copytree(known, folder / "run")
        return
    train(arguments)
    kept = Path(_kept.name) / str(len(_made))
    _made[tuple(arguments)] = shutil.copytree(folder / "run", kept)


def report(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.report`."""
    from lt_lightning.report.__main__ import main

    return main(arguments)


def load_ticket(arguments: Sequence[str]) -> int:
    """A program that reads a ticket by `RoundTicket.load`, and says what that raises."""
    from lt_lightning.errors import SettingError
    from lt_lightning.runs.round_ticket import RoundTicket

    try:
        RoundTicket.load(Path(arguments[0]))
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def observe(case: Case, folder: Path) -> Outcome:
    """Make a case in an empty folder, give it to its program in this process, and look at what came of it."""
    with _alone(folder):
        arguments = case.make(folder)
        before = _files(folder)
        code, trace, stderr = 0, "", io.StringIO()
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = case.program(arguments) or 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException as error:
                code, trace = 1, "".join(traceback.format_exception(error))
        after = _files(folder)
        lines = tuple(line for line in stderr.getvalue().splitlines() if not line.startswith("note: "))
        says = case.accepted(folder) if case.accepted and code == 0 else "\n".join(lines)
        return Outcome(
            code, lines, says,
            left=tuple(sorted(path for path in after if path not in before and not path.startswith("cache/"))),
            changed=tuple(sorted(path for path, state in before.items() if after.get(path) != state)),
            log="".join(path.read_text(encoding="utf-8") for path in folder.rglob("train.log")),
            trace=trace,
        )  # fmt: skip


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files, and links, in a folder."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in found
    }  # fmt: skip


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within it this process is like one that was started in the folder, with caches of its own and no network.

    Warnings are shown as Python shows them, whatever whoever watches does with them.
    """
    import huggingface_hub.constants

    import lt_lightning.data.corpus
    import lt_lightning.experiment.experiment  # noqa: F401 (is patched)

    before, logger = Path.cwd(), logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ))
        os.environ.pop("HYDRA_FULL_ERROR", None)  # `run_hydra` sets it, and would hand errors on when called again
        stack.enter_context(patch("lt_lightning.data.corpus.HF_DATASETS_CACHE", "cache"))
        stack.enter_context(patch.object(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "cache")))
        stack.enter_context(patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True))
        stack.enter_context(patch("hydra._internal.hydra.Hydra.get_mode", _get_mode))
        # Figures take longer than all else, and no case is about them.
        stack.enter_context(patch("lt_lightning.experiment.experiment.draw_report", lambda run: run))
        stack.enter_context(patch("lt_lightning.report.run.save_figure", _save_blank))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(patch.object(jaxtyping.config, "jaxtyping_disable", True))  # no case is about shapes
        warnings.simplefilter("default")
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        stack.enter_context(patch.object(warnings, "showwarning", _show_warning))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            for handler in [one for one in logger.handlers if one not in handlers]:
                handler.close()
            logger.handlers[:] = handlers
            logger.setLevel(level)


def _get_mode(hydra: Hydra, config_name: str | None, overrides: list[str]) -> object:
    """Answer as Hydra does, which composes everything to learn whether a file asks for a sweep."""
    may_ask = any("hydra" in one.replace("hydra.run.dir=", "") or "experiment" in one for one in overrides)
    return _GET_MODE(hydra, config_name, overrides) if may_ask else None


def _save_blank(figure: object, stem: Path) -> tuple[Path, Path]:
    """A figure's two files, without the figure."""
    png, svg = (stem.with_name(f"{stem.name}{ending}") for ending in (".png", ".svg"))
    png.write_bytes(b"")
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>', encoding="utf-8")
    return png, svg


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    print(warnings.formatwarning(message, category, filename, lineno), file=sys.stderr)
