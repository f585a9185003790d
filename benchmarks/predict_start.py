"""Time whole processes that predict, from the start to the first answer, and their memory."""

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
"""The minimum with torch: import it and load the dense weights, without a vocabulary, a network or an answer."""
OURS = "import sys; from lt_lightning.predict import main; main(sys.argv[1:])"
_MOST = """
try:
    lines = open("/proc/self/status").readlines()
except OSError:
    lines = []
print(*(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


class Start(NamedTuple):
    """The measurements of some processes.

    Attributes:
        seconds: from their start to their end, just after the first answer.
        megabytes: their peak memory; None if the system does not report it.
    """

    seconds: Spread
    megabytes: float | None


def measure_start(ticket: Path, times: int) -> Start:
    """Measure a ticket's first answer."""
    words = ["-m", "lt_lightning.predict", str(ticket), TEXT]
    return Start(_times(words, times), _memory(["-c", OURS + _MOST, str(ticket), TEXT]))


def measure_torch(weights: Path, times: int) -> Start:
    """Measure a lower bound of torch's first answer."""
    return Start(_times(["-c", TORCH, str(weights)], times), _memory(["-c", TORCH + _MOST, str(weights)]))


def _times(words: list[str], times: int) -> Spread:
    _run(words)  # fills the caches of bytecode and of the disk
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
        raise SettingError(f"{' '.join(words[:2])}: failed with exit code {ran.returncode}: {said}")
    return ran.stderr
