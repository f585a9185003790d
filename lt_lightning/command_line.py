"""How entry points that need no Hydra read their command line, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

INTERRUPTED, BROKEN_PIPE = 130, 141
"""The exit codes of programs that Ctrl-C and SIGPIPE ended."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line, without the usage of all flags."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        print(f"{' '.join(message.split())}; --help says what can be given", file=sys.stderr)
        raise SystemExit(2)


def drop_stdout() -> None:
    """What cannot be written is given up; or Python, as it ends, would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
