"""Whole processes that predict: seconds from the start to the first answer, and the memory that they come to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from benchmarks.measuring import Spread, spread
from lt_lightning.errors import SettingError

TEXT = "word7 word42, word100 word2000 and a word that nobody knows"
TORCH = "import sys, torch; from safetensors.torch import load_file; load_file(sys.argv[1])"
"""The least that torch needs: itself, and the dense weights; without a vocabulary, a network and an answer."""
OURS = "import sys; from lt_lightning.predict import main; main(sys.argv[1:])"
_MOST = """
try:
    lines = open("/proc/self/status").readlines()
except OSError:
    lines = []
print(*(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


class Start(NamedTuple):
    """Some processes.

    Attributes:
        seconds: from their start to their end, which the first answer comes just before.
        megabytes: the most memory that they held; None where the system does not tell.
    """

    seconds: Spread
    megabytes: float | None


def measure_start(ticket: Path, times: int) -> Start:
    """A ticket's first answer."""
    words = ["-m", "lt_lightning.predict", str(ticket), TEXT]
    return Start(_times(words, times), _memory(["-c", OURS + _MOST, str(ticket), TEXT]))


def measure_torch(weights: Path, times: int) -> Start:
    """What comes before torch's first answer, at the least."""
    return Start(_times(["-c", TORCH, str(weights)], times), _memory(["-c", TORCH + _MOST, str(weights)]))


def _times(words: list[str], times: int) -> Spread:
    _run(words)  # caches of bytecode and of the disk fill
    seconds = []
    for _ in range(times):
        began = perf_counter()
        _run(words)
        seconds.append(perf_counter() - began)
    return spread(seconds)


def _memory(words: list[str]) -> float | None:
    said = _run(words).split()
    return int(said[-1]) / 1024 if said else None


def _run(words: list[str]) -> str:
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SettingError(f"{' '.join(words[:2])}: ended with {ran.returncode}, and said: {said}")
    return ran.stderr
