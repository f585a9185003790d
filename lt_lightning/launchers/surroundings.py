"""Give a worker process the surroundings of the process that started the sweep.

Numbers depend on the number of threads, data on where caches are, and imports on the working directory. joblib and Ray
give their workers one thread, and a worker of Ray starts in another folder.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_THREADS = re.compile(r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|VECLIB|NUMEXPR|NUMBA)_\w+")
_CARRIED = re.compile(
    rf"{_THREADS.pattern}|(HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|TORCH|PYTORCH|CUBLAS|CUDNN|LT_LIGHTNING|WANDB|MLFLOW)_\w+"
    "|XDG_CACHE_HOME|MPLBACKEND|TRACKIO_\\w+"
)
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def known_threads() -> int | None:
    """Return the number of threads that the environment sets, or None.

    >>> os.environ["OMP_NUM_THREADS"] = "1"
    >>> known_threads()
    1
    """
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(text) if text.isdecimal() and int(text) else None


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def simultaneous(threads: int | None) -> int:
    """Return how many jobs of so many threads the cores are enough for; None for as many threads as cores."""
    return max(1, count_cores() // (threads or count_cores()))


@dataclass(frozen=True)
class Surroundings:
    """The working directory, the folders of modules and the variables that matter to a run."""

    folder: str
    path: tuple[str, ...]
    variables: Mapping[str, str]

    @staticmethod
    def of_this_process(threads: int | None = None, **variables: str | None) -> Surroundings:
        """Return those of this process.

        Args:
            threads: the number of threads of a job; None leaves it to the environment.
            variables: further variables of the environment; None leaves one out.
        """
        carried = {name: value for name, value in os.environ.items() if _CARRIED.fullmatch(name)}
        if threads is not None:
            carried |= dict.fromkeys(_COUNTS, str(threads))
        carried |= {name: value for name, value in variables.items() if value is not None}
        return Surroundings(os.getcwd(), tuple(filter(None, sys.path)), carried)  # noqa: PTH109 (as text)

    def enter(self) -> None:
        """Give this process these surroundings; torch must not be imported yet for threads to count."""
        for name in [name for name in os.environ if _THREADS.fullmatch(name) and name not in self.variables]:
            del os.environ[name]
        os.environ.update(self.variables)
        os.chdir(self.folder)
        sys.path[:0] = [folder for folder in self.path if folder not in sys.path]
