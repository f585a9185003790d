"""The weights that a run's rounds rewind to, in a sealed file of the run's state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lt_lightning.runs.rounds import rewind_path
from lt_lightning.storage.tensors import read_sealed, write_sealed

_FORMAT, _VERSION = "lt-lightning rewind weights", "1"


def write_rewind_weights(run: Path, weights: Mapping[str, Tensor]) -> str:
    """Keep weights, by parameter name, and give the seal of their file.

    Raises:
        OSError: if the file cannot be written.
    """
    return write_sealed(rewind_path(run), weights, {"format": _FORMAT, "version": _VERSION})


def read_rewind_weights(run: Path) -> dict[str, Tensor]:
    """The weights that were kept.

    Raises:
        SettingError: if there are none, or their file is damaged.
    """
    return read_sealed(rewind_path(run), _FORMAT, _VERSION)[0]
