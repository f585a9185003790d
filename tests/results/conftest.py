"""A run directory to read and draw, written by hand rather than by a run."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.runs.csv_files import write_records
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, ExampleRecord, LayerRecord, Record

PARAMETERS = {"embedding.weight": (50, 10), "fc.weight": (4, 10), "fc.bias": (4,)}

# The full network has 0.80; rounds 1 and 3 win, round 1 is the best, round 3 the smallest winner.
ACCURACIES = (0.80, 0.85, 0.79, 0.80, 0.60)


@pytest.fixture
def description() -> dict[str, Any]:
    return {
        "format": 1,
        "command": ["+experiment=lt_agnews", "data.path=a folder"],
        "experiment": "lt_agnews",
        "config": {
            "test_on": "last", "data": {"name": "agnews", "batch_size": 64},
            "embedding": {"name": "random", "dim": 10}, "model": {"name": "multi_cnn"},
            "optimizer": {"name": "adam", "lr": 0.001}, "scheduler": {"name": "none"},
            "pruning": {"rounds": 4, "amount": 0.2, "criterion": "magnitude", "scope": "layerwise", "rewind": "init"},
            "trainer": {"max_epochs": 2},
        },
        "corpus": {
            "name": "AG News", "source": "ag_news", "rows": {"train": 84000, "valid": 36000, "test": 7600},
            "class_names": ["World", "Sports"],
        },
        "vocabulary": {"words": 50, "embedding_found": 40},
        "versions": {"torch": "2.13.0"},
        "device": "cpu (2 threads)",
        "seed": 7,
        "started": "2026-11-21T21:00:00+00:00",
        "finished": "2026-11-21T21:42:17+00:00",
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path, description: dict[str, Any]) -> Callable[..., Path]:
    """Writes a run of so many rounds, each with 0.8 of the entries of the one before, and gives its directory.

    `settings` are settings by their dotted names, such as `pruning.rewind`. With `confusion`, of 100 rows of each of
    two classes so many per cent as the accuracy says are right, and one more of the first class. `perplexities` and
    `exact` are those of the test part. The validation part's values are the test part's, but for validation accuracies
    (`valid`) and pairs of macro F1 on both (`f1`). `steps`: optimizer steps of each round. `examples`: given, expected
    and answered texts of a round.
    """

    def make(
        rounds: int | None = None,
        name: str = "run",
        changes: dict[str, Any] | None = None,
        seed: int = 7,
        settings: dict[str, Any] | None = None,
        accuracies: Sequence[float] = ACCURACIES,
        confusion: bool = False,
        perplexities: Sequence[float] | None = None,
        exact: Sequence[float] | None = None,
        valid: Sequence[float] | None = None,
        f1: Sequence[tuple[float, float]] | None = None,
        examples: Sequence[tuple[str, str, str]] = (),
        steps: Sequence[int] | None = None,
    ) -> Path:
        run = tmp_path / name
        run.mkdir(parents=True)
        rounds = len(accuracies) if rounds is None else rounds
        total = sum(math.prod(shape) for shape in PARAMETERS.values())
        records, layers, epochs, mistakes = [], [], [], []
        for round_ in range(rounds):
            kept = {name: round(math.prod(shape) * 0.8**round_) for name, shape in PARAMETERS.items()}
            alive, accuracy = sum(kept.values()), accuracies[round_]
            own = (perplexities[round_] if perplexities else None, exact[round_] if exact else None)
            records.append(
                Record(
                    round_, 1 - alive / total, alive, total, 2, 0.5,
                    math.log(perplexities[round_]) if perplexities else 0.6,
                    valid[round_] if valid else exact[round_] if exact else accuracy,
                    0.7, accuracy, 10.25, *own, None, *(f1[round_] if f1 else ()),
                    steps=steps[round_] if steps else None,
                )
            )  # fmt: skip
            layers += [
                LayerRecord(round_, name, kept[name], math.prod(shape), shape) for name, shape in PARAMETERS.items()
            ]
            epochs += [EpochRecord(round_, epoch, 0.9 / epoch, 0.8 / epoch, 0.4 * epoch) for epoch in (1, 2)]
            right = round(100 * accuracy)
            mistakes += [
                ConfusionRecord(round_, 0, 0, right + 1), ConfusionRecord(round_, 0, 1, 99 - right),
                ConfusionRecord(round_, 1, 0, 100 - right), ConfusionRecord(round_, 1, 1, right),
            ]  # fmt: skip
        write_records(run / "results.csv", records)
        write_records(run / "layers.csv", layers)
        write_records(run / "epochs.csv", epochs)
        if confusion:
            write_records(run / "confusion.csv", mistakes)
        if examples:
            write_records(
                run / "examples.csv", [ExampleRecord(round_, *one) for round_ in range(rounds) for one in examples]
            )
        described = json.loads(json.dumps(description | {"seed": seed} | (changes or {})))
        for path, value in (settings or {}).items():
            *outer, last = path.split(".")
            inside = described["config"]
            for key in outer:
                inside = inside[key]
            inside[last] = value
        (run / "run.json").write_text(json.dumps(described), encoding="utf-8")
        return run

    return make
