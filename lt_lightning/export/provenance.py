"""Where a ticket comes from: what a run's records say of it that the round's own file does not."""

from __future__ import annotations

from typing import Any

from lt_lightning.runs.notes import measured_rows
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record

_OF_ORIGIN = ("corpus", "experiment", "run", "round", "rewind", "sparsity", "seal")


def describe_origin(run: Run, record: Record) -> dict[str, Any]:
    """What a packed ticket says of its run, as plain values; None for what `run.json` does not say.

    The folder's name alone says which run it was: where it lies is nobody's business.
    """
    said = run.description
    folder = run.folder.resolve()
    in_sweep = folder.name.isdigit()
    origin = said.ticket
    kept = ("amount", "criterion", "scope", "threshold", "rewind")
    pruning = {key: getattr(said.config.pruning, key) for key in kept}
    return {
        "run": f"{folder.parent.name}/{folder.name}" if in_sweep else folder.name,
        "started": said.started,
        "network": said.network,
        "rows": said.corpus.rows,
        # Of test_acc and full_test_acc; None where they are of the whole test split.
        "tested_on": measured_rows(said, "test") or None,
        "fingerprint": said.corpus.fingerprint,
        "embedding": said.config.embedding.name,
        "pruning": None if set(pruning.values()) == {None} else pruning,
        "versions": {name: (said.versions or {}).get(name) for name in ("lt-lightning", "torch")},
        # A run that began with a ticket has no whole network.
        "full_test_acc": run.records[0].test_acc if origin is None else None,
        "ticket": None if origin is None else {key: getattr(origin, key) for key in _OF_ORIGIN},
        "density": record.density,
    }
