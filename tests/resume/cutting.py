"""What the tests of resuming share: how a run is cut off, and how long it would have been."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STEPS = 14
"""Batches an epoch, of the 105 training rows."""
EPOCHS = 3
Play = Callable[..., Path]


def train(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    command = [sys.executable, "-m", "lt_lightning.train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


class StopError(Exception):
    """What cuts a run off."""
