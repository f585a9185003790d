"""How programs start, read their command line where they need no Hydra for it, and end."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lt_lightning import __version__
from lt_lightning.errors import SettingError
from lt_lightning.runtime.fast_import import prefer_installed
from lt_lightning.runtime.terminal import complain, give_up, prepare_streams

INTERRUPTED, BROKEN_PIPE = 130, 141
"""The exit codes of programs that Ctrl-C and SIGPIPE ended."""


VERSION = f"lt-lightning {__version__}"
"""The answer to `--version`."""


def start_program(main: Callable[[], Any]) -> Any:
    """Run the entry point of a process of its own: any locale, any backend of figures, any reader of its output.

    Args:
        main: the entry point; it returns an exit code, or None for 0.

    Returns:
        The exit code; 141 where the reader of the output has closed it, as `head` does.
    """
    _use_utf_8()
    # Figures go into files. A notebook hands down its own backend, which may not even be installed here.
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
    """Start the process anew in Python's UTF-8 mode if its locale knows ASCII alone.

    Otherwise, paths and texts of the command line arrive as surrogates, and libraries open text files as ASCII.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        arguments = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONUTF8": "1"})


class Parser(argparse.ArgumentParser):
    """Refuses a command line in one line, without the usage of all flags. Answers `--version`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_argument("--version", action="version", version=VERSION, help="print the version and exit")

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        complain(f"{message}; --help says what can be given")
        raise SystemExit(2)


def exit_code(work: Callable[[], None]) -> int:
    """Do what a program is for, and say in one line what is wrong, if anything is.

    Args:
        work: what it does; it writes by `terminal.write`.

    Returns:
        0; 2 after a `SettingError`; 130 after Ctrl-C; 141 where nobody reads any further, without a word.
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


def require_working_directory() -> None:
    """Raise if the working directory is gone: neither torch nor Hydra can be loaded there.

    Raises:
        SettingError: it has been removed.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise SettingError("the working directory no longer exists; cd to one that does, and start again") from None
