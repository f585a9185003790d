"""Where a ticket comes from: what a run's records say of it that the round's own file does not."""

from __future__ import annotations

from typing import Any

from lt_lightning.report.facts import look_up
from lt_lightning.runs.origins import origin_of
from lt_lightning.runs.partial import measured_rows
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
    pruning, origin = look_up(said, "config.pruning"), origin_of(said)
    kept = ("amount", "criterion", "scope", "threshold", "rewind")
    return {
        "run": f"{folder.parent.name}/{folder.name}" if in_sweep else folder.name,
        "started": said.get("started"),
        "network": said.get("network"),
        "rows": look_up(said, "corpus.rows"),
        # Of test_acc and full_test_acc; None where they are of the whole test split.
        "tested_on": measured_rows(said, "test") or None,
        "fingerprint": look_up(said, "corpus.fingerprint"),
        "embedding": look_up(said, "config.embedding.name"),
        "pruning": {key: pruning.get(key) for key in kept} if isinstance(pruning, dict) else None,
        "versions": {name: look_up(said, f"versions.{name}") for name in ("lt-lightning", "torch")},
        # A run that began with a ticket has no whole network.
        "full_test_acc": run.records[0].test_acc if origin is None else None,
        "ticket": None if origin is None else {key: origin.get(key) for key in _OF_ORIGIN},
        "density": record.density,
    }
