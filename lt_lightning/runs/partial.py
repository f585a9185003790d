"""Numbers that were measured on some rows of a part alone, as `trainer.limit_test_batches` asks for.

Batches are tested from short rows to long ones: a limit keeps the shortest, which are no fair sample.
"""

from __future__ import annotations

from lt_lightning.runs.description import Description

_LIMITS = {"test": "limit_test_batches", "valid": "limit_val_batches"}


def measured_rows(description: Description, part: str) -> str:
    """Return which rows of a part the numbers of a run are of, in words; nothing where they are of all.

    Args:
        description: the run. In runs of 0.4 it does not say how many rows were measured.
        part: `test` or `valid`.

    >>> run = Description.from_json({"measured": {"test": 64}, "corpus": {"rows": {"test": 7600}}})
    >>> measured_rows(run, "test")
    'the 64 shortest of 7,600 test rows'
    >>> older = [Description.from_json({"config": {"trainer": {"limit_test_batches": limit}}}) for limit in (0.1, 1.0)]
    >>> [measured_rows(run, "test") for run in older]
    ['a part of the test rows, the shortest', '']
    """
    some, every = (description.measured or {}).get(part), (description.corpus.rows or {}).get(part)
    if some is not None and every is not None:
        return f"the {some:,} shortest of {every:,} {part} rows" if some < every else ""
    trainer = description.config.trainer
    limit = getattr(trainer, _LIMITS[part])
    is_all = limit is None or (isinstance(limit, float) and limit == 1)  # 1 is one batch, 1.0 are all
    return f"a part of the {part} rows, the shortest" if not is_all or trainer.fast_dev_run else ""


def partial_note(description: Description) -> str:
    """Return a sentence that says which numbers of a run are of some rows alone; nothing where none are.

    >>> partial_note(Description.from_json({"config": {"trainer": {"limit_test_batches": 5}}}))
    'Test numbers are of a part of the test rows, the shortest (trainer.limit_test_batches).'
    """
    said = [
        f"{name} numbers are of {rows} (trainer.{_LIMITS[part]})."
        for part, name in (("test", "Test"), ("valid", "Validation"))
        if (rows := measured_rows(description, part))
    ]
    return " ".join(said)
