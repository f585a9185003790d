"""How entry points that need no Hydra read their command line, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from lt_lightning.errors import SettingError
from lt_lightning.imports import prefer_installed

INTERRUPTED, BROKEN_PIPE = 130, 141
"""The exit codes of programs that Ctrl-C and SIGPIPE ended."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line, without the usage of all flags."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        print(f"{' '.join(message.split())}; --help says what can be given", file=sys.stderr)
        raise SystemExit(2)


def exit_code(work: Callable[[], None]) -> int:
    """Do what a program is for, and say in one line what is wrong, if anything is.

    Args:
        work: what it does; it writes by `write`.

    Returns:
        0; 2 after a `SettingError`; 130 after Ctrl-C; 141 where nobody reads any further, without a word.
    """
    prefer_installed()
    try:
        if sys.stdout is None:
            raise SettingError("stdout: closed; send it to a file, or to /dev/null")
        work()
    except SettingError as error:
        if sys.stderr is not None:  # or it would go to stdout
            print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    return 0


def write(*lines: str) -> None:
    """Print lines, and let them out.

    Raises:
        SettingError: stdout cannot be written.
        BrokenPipeError: nobody reads it any further.
    """
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except OSError as error:
        # What is left is given up; or Python, as it ends, would try once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise SettingError(f"stdout: cannot be written ({error.strerror}); send it elsewhere") from None
