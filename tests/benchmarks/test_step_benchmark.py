"""That what is timed does what it says: all peers learn the same, and the tables come out."""

import json
import random
from pathlib import Path

import pytest
import torch

from benchmarks import peers, step
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

ROWS, LENGTH = 48, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of one length, so that nobody sees padding; three classes."""
    folder = tmp_path_factory.mktemp("texts")
    rng = random.Random(0)
    for split in ("train", "test"):
        rows = [
            {
                "text": " ".join(rng.choice(["red", "green", "blue", *"abcdefgh"]) for _ in range(LENGTH)),
                "label": row % 3,
            }
            for row in range(ROWS)
        ]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", [0.0, 0.7, 0.97])
def test_all_peers_take_the_same_steps(folder: Path, sparsity: float) -> None:
    config = step.settings(folder, words=40, batch_size=8)
    config.model.dropout = 0.0
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    torch.manual_seed(0)
    start = peers.begin(config, 40, 3, sparsity)
    steps = {name: make(start) for name, make in peers.PEERS.items()}
    for batch in data.train_dataloader():
        losses = {name: float(take(batch)) for name, take in steps.items()}
        unpruned = {name: loss for name, loss in losses.items() if name.startswith("no pruning")}
        pruned = {name: loss for name, loss in losses.items() if name not in unpruned}
        for same in (unpruned, pruned):
            assert list(same.values()) == pytest.approx([next(iter(same.values()))] * len(same), rel=1e-3, abs=1e-5)
        if sparsity == 0:
            assert unpruned.popitem()[1] == pytest.approx(losses[peers.OURS], rel=1e-3)


@pytest.mark.slow
def test_the_benchmark_prints_its_table_and_keeps_its_numbers(folder, tmp_path, capsys):
    kept = tmp_path / "step.json"
    step.main(["--data", str(folder), "--words=40", "--batch-size=8", "--steps=3", "--threads=1", f"--json={kept}"])
    said = capsys.readouterr().out
    tables = json.loads(kept.read_text())["tables"]
    assert len(tables) == 2
    for table in tables:
        assert set(table["seconds"]) == {*peers.PEERS, peers.LIGHTNING}
        for name, seconds in table["seconds"].items():
            assert len(seconds) == 3
            assert min(seconds) > 0
            assert f"| {name}" in said
