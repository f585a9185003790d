"""Measure a packed ticket on the rows that its run tested on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lt_lightning.config.quoting import literal
from lt_lightning.errors import SettingError
from lt_lightning.runs.reading import Run

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig
    from lt_lightning.tickets.encoder.file import PackedEncoder
    from lt_lightning.tickets.file import Packed

_BATCH = 256


def measure_accuracy(packed: Packed | PackedEncoder, run: Run, data: Path | None) -> float:
    """Return a packed ticket's accuracy on the run's test rows.

    Args:
        packed: the ticket.
        run: its run.
        data: the folder of the run's corpus, if it was moved.

    Raises:
        SettingError: the rows are not those of the run.
    """
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.tickets import Ticket
    from lt_lightning.tickets.scores import evaluate

    corpus = load_corpus(_data_settings(run, data))
    found, then = corpus.fingerprints.get("test"), (run.description.corpus.fingerprint or {}).get("test")
    if found != then:
        raise SettingError(f"--data: the test split of {corpus.source} is not the run's; give the run's data")
    ticket, rows = Ticket(packed), corpus.splits["test"].with_format("arrow")
    logits = np.concatenate([ticket.logits(batch["text"].to_pylist()) for batch in rows.iter(_BATCH)])  # pyright: ignore
    return evaluate(logits, rows[:]["label"].to_numpy()).accuracy  # pyright: ignore


def _data_settings(run: Run, data: Path | None) -> TextConfig:
    """Return the recorded settings of the run's data."""
    from lt_lightning.config.validation import read_group

    settings = literal(dict(run.description.config.group("data") or {}))
    if data is not None:
        settings["path"] = str(data)
    try:
        return read_group("data", settings)
    except SettingError:
        path = run.folder / "run.json"
        raise SettingError(f"{path}: does not record the run's data; restore it, or leave out --half") from None
