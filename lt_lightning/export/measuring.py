"""Measure a packed ticket on the rows of its run: how often rounded weights are right, and how sure it may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lt_lightning.config.quoting import literal
from lt_lightning.errors import SettingError
from lt_lightning.runs.reading import Run
from lt_lightning.tickets.rounding import WHOLE
from lt_lightning.tickets.scores import evaluate, fit_temperature
from lt_lightning.tickets.ticket import Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lt_lightning.config.sources import TextConfig
    from lt_lightning.export.export import Wishes
    from lt_lightning.tickets.encoder.file import PackedEncoder
    from lt_lightning.tickets.file import Packed

    AnyPacked = TypeVar("AnyPacked", Packed, PackedEncoder)

_BATCH = 256


def measured(packed: AnyPacked, run: Run, wishes: Wishes) -> tuple[AnyPacked, str]:
    """Measure a packed ticket on its run's rows, and add what is found to its header.

    `rounded_test_acc` is the accuracy of rounded weights on the test rows. `temperature` is fitted on the validation
    rows, and `calibration` has their number and, without and with it, their log loss and calibration error.

    Returns:
        The ticket, and the reason why it has no temperature; empty if it has one, or is to have none.

    Raises:
        SettingError: the weights are rounded, or the user named the corpus, and it is not the run's.
    """
    if wishes.bits < WHOLE:
        accuracy = measure_accuracy(packed, run, wishes.data)
        packed = replace(packed, about={**packed.about, "rounded_test_acc": accuracy})
    if not wishes.calibrate:
        return packed, ""
    try:
        found = calibration(packed, run, wishes.data)
    except SettingError as error:
        if wishes.data is not None:
            raise
        return packed, f"{error}; or name the run's corpus with --data"
    reason = "" if "temperature" in found else "the run has no validation rows on which the ticket makes a mistake"
    return replace(packed, about={**packed.about, **found}), reason


def calibration(packed: Packed | PackedEncoder, run: Run, data: Path | None) -> dict[str, Any]:
    """Return the header's `temperature` and `calibration`; nothing if the validation rows determine none.

    Raises:
        SettingError: the corpus cannot be read, or is not the run's.
    """
    validated = (run.description.corpus.rows or {}).get("valid")
    if not validated and data is None:
        return {}
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.data.labelled import take_split

    settings, names = replace(_data_settings(run, data), limit=None), packed.about["class_names"]
    corpus = load_corpus(settings)
    if not validated:
        return {}
    rows = take_split(corpus, "valid", settings, names, packed.about)
    logits = _logits(packed, rows.batches(_BATCH))
    temperature = fit_temperature(logits, rows.labels)
    if temperature is None:
        return {}
    both = [evaluate(logits / scale, rows.labels) for scale in (1.0, temperature)]
    rates = {key: [round(getattr(one, key), 6) for one in both] for key in ("log_loss", "calibration_error")}
    return {"temperature": temperature, "calibration": {"rows": len(logits), **rates}}


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

    corpus = load_corpus(_data_settings(run, data))
    found, then = corpus.fingerprints.get("test"), (run.description.corpus.fingerprint or {}).get("test")
    if found != then:
        raise SettingError(f"--data: the test split of {corpus.source} is not the run's; give the run's data")
    rows = corpus.splits["test"].with_format("arrow")
    logits = _logits(packed, (batch["text"].to_pylist() for batch in rows.iter(_BATCH)))  # pyright: ignore
    return evaluate(logits, rows[:]["label"].to_numpy()).accuracy  # pyright: ignore


def _logits(packed: Packed | PackedEncoder, batches: Iterable[list[str]]) -> np.ndarray:
    ticket = Ticket(packed)
    return np.concatenate([ticket.logits(batch) for batch in batches])


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
        raise SettingError(f"{path}: does not record the run's data; restore it from a copy") from None
