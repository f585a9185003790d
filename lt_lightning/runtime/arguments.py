"""Start and end programs; parse command lines that do not need Hydra."""

from __future__ import annotations

import argparse
import codecs
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lt_lightning import __version__
from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.runtime.fast_import import prefer_installed
from lt_lightning.runtime.signals import interruption, listen
from lt_lightning.runtime.terminal import complain, give_up, prepare_streams, write

INTERRUPTED, BROKEN_PIPE = 130, 141
"""The exit codes of programs that Ctrl-C and SIGPIPE ended."""


VERSION = f"lt-lightning {__version__}"
"""The answer to `--version`."""


def start_program(main: Callable[[], Any]) -> Any:
    """Run the entry point of a process and return its exit code; 141 if the reader closed the output, as `head` does.

    `main` returns an exit code, or None for 0. Output works in any locale; figures use Matplotlib's `agg` backend.
    """
    _use_utf_8()
    # A notebook passes its own backend down, which may not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    prepare_streams()
    try:
        code = main() or 0
    except SystemExit as stopped:
        code = stopped.code
    except BrokenPipeError:
        code = BROKEN_PIPE
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        give_up()
        if not isinstance(error, BrokenPipeError):
            complain(f"stdout: cannot be written ({error.strerror}); send it elsewhere")
        code = code or (BROKEN_PIPE if isinstance(error, BrokenPipeError) else 2)
    return code


def _use_utf_8() -> None:
    """Restart the process in Python's UTF-8 mode if its locale is ASCII, so that paths and files are read as UTF-8."""
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        arguments = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONUTF8": "1"})


def start_training(module: str, command: str) -> None:
    """Check that the packages for training are installed, before a command's own imports fail.

    Args:
        module: the `__name__` of the calling module. As `__main__` it ends the process with one line and exit code 2,
            or answers `--version`.
        command: the name of the command.

    Raises:
        NotInstalledError: a package is missing, and the module is imported.
    """
    try:
        require_training(command)
    except SettingError as error:
        if module != "__main__":
            raise
        if "--version" in sys.argv[1:]:
            write(VERSION)
            raise SystemExit(0) from None
        complain(f"error: {error}")
        raise SystemExit(2) from None


class Parser(argparse.ArgumentParser):
    """Argument parser with one-line errors (exit code 2) and `--version`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_argument("--version", action="version", version=VERSION, help="print the version and exit")

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and exit with code 2."""
        complain(f"{message}; see --help")
        raise SystemExit(2)


def whole_number(least: int) -> Callable[[str], int]:
    """Return a type for `add_argument`: a whole number from `least` to a billion."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= 1_000_000_000):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} must be a whole number >= {least}")
        return int(text)

    return parse


def number_to(most: int, unit: str, example: str) -> Callable[[str], float]:
    """Return a type for `add_argument`: a number from 0 to `most`, of this unit, such as `example`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            reason = f"is not a number{unit} between 0 and {most}, such as {example}"
            raise argparse.ArgumentTypeError(f"{text[:40]!r} {reason}")
        return value

    return parse


def exit_code(work: Callable[[], None]) -> int:
    """Run `work` and return the exit code; print a `SettingError` as one line.

    Returns:
        0; 2 after a `SettingError`; 130 after Ctrl-C; 141 if the reader closed the output.
    """
    prefer_installed()
    try:
        if sys.stdout is None:
            raise SettingError("stdout: closed; send it to a file, or to /dev/null")
        work()
    except SettingError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    return 0


def run_advised(main: Callable[[], int], advice: str) -> int:
    """Run a command's `main` and return its exit code; if a signal stops it, print how to go on."""
    listen()
    try:
        return main()
    except BaseException as error:
        stopped = interruption(error)
        if stopped is None or isinstance(error, SystemExit):  # what has exited has printed its line
            raise
        stopped.advice = advice
        complain(str(stopped))
        return stopped.code


def require_working_directory() -> None:
    """Raise a `SettingError` if the working directory was removed: torch and Hydra cannot be imported there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise SettingError("the working directory no longer exists; cd to one that does, and start again") from None
