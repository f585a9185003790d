"""`benchmarks.scoring`, run tiny: it times each criterion, the training and synflow, and keeps the numbers."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import scoring


@pytest.mark.slow
def test_criteria_training_and_synflow_are_timed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "test"):
        texts = [f"{'good' if row % 2 else 'bad'} film number {row}" for row in range(40)]
        pq.write_table(pa.table({"text": texts, "label": [row % 4 for row in range(40)]}), tmp_path / f"{part}.parquet")
    small = ["--words", "50", "--threads", "1", "--batches", "2", "--turns", "2", "--iterations", "3"]
    scoring.main(["--data", str(tmp_path), *small, "--json", str(tmp_path / "scoring.json")])
    kept = json.loads((tmp_path / "scoring.json").read_text())
    assert {name: len(seconds) for name, seconds in kept["seconds"].items()} == {
        "training": 4, "magnitude": 2, "snip": 2
    }  # fmt: skip
    assert all(min(seconds) > 0 for seconds in (*kept["seconds"].values(), kept["synflow"]))
    assert "pruning by snip: " in capsys.readouterr().out
