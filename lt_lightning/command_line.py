"""How entry points that need no Hydra read their command line."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line, without the usage of all flags."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        print(f"{' '.join(message.split())}; --help says what can be given", file=sys.stderr)
        raise SystemExit(2)
