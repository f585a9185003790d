"""Numbers that were measured on some rows of a part alone, as `trainer.limit_test_batches` asks for.

Batches are tested from short rows to long ones: a limit keeps the shortest, which are no fair sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lt_lightning.runs.saying import look_up

_LIMITS = {"test": "limit_test_batches", "valid": "limit_val_batches"}


def measured_rows(description: Mapping[str, Any], part: str) -> str:
    """Return which rows of a part the numbers of a run are of, in words; nothing where they are of all.

    Args:
        description: `run.json`. In runs of 0.4 it does not say how many rows were measured.
        part: `test` or `valid`.

    >>> measured_rows({"measured": {"test": 64}, "corpus": {"rows": {"test": 7600}}}, "test")
    'the 64 shortest of 7,600 test rows'
    >>> measured_rows({"config": {"trainer": {"limit_test_batches": 0.1}}}, "test")
    'a part of the test rows, the shortest'
    >>> measured_rows({"config": {"trainer": {"limit_test_batches": 1.0}}}, "test")
    ''
    """
    some, every = look_up(description, f"measured.{part}"), look_up(description, f"corpus.rows.{part}")
    if isinstance(some, int) and isinstance(every, int):
        return f"the {some:,} shortest of {every:,} {part} rows" if some < every else ""
    trainer = look_up(description, "config.trainer")
    if not isinstance(trainer, Mapping):
        return ""
    limit = trainer.get(_LIMITS[part])
    is_all = limit is None or (isinstance(limit, float) and limit == 1)  # 1 is one batch, 1.0 are all
    return f"a part of the {part} rows, the shortest" if not is_all or trainer.get("fast_dev_run") else ""


def partial_note(description: Mapping[str, Any]) -> str:
    """Return a sentence that says which numbers of a run are of some rows alone; nothing where none are.

    >>> partial_note({"config": {"trainer": {"limit_test_batches": 5, "limit_val_batches": None}}})
    'Test numbers are of a part of the test rows, the shortest (trainer.limit_test_batches).'
    """
    said = [
        f"{name} numbers are of {rows} (trainer.{_LIMITS[part]})."
        for part, name in (("test", "Test"), ("valid", "Validation"))
        if (rows := measured_rows(description, part))
    ]
    return " ".join(said)
