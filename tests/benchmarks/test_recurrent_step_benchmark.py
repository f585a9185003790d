"""The benchmark of a recurrent step: that it runs, that its exact peers do the same, and what it writes."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks import recurrent_peers, step
from lt_lightning.data.batches import Batch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [f"{'good' if row % 2 else 'bad'} " * (1 + row % 5) for row in range(40)]
    for part in ("train", "test"):
        pq.write_table(pa.table({"text": texts, "label": [row % 2 for row in range(40)]}), tmp_path / f"{part}.parquet")
    return tmp_path


def options(folder: Path) -> list[str]:
    small = ["--words", "10", "--batch-size", "4", "--threads", "1", "--steps", "2", "--warm-up", "1"]
    return ["--model", "bilstm", "--data", str(folder), *small]


@pytest.mark.slow
def test_every_peers_steps_are_timed_and_kept(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step.main([*options(folder), "--sparsity", "0.5", "--json", str(tmp_path / "step.json")])
    (kept,) = json.loads((tmp_path / "step.json").read_text())["tables"]
    assert set(kept["seconds"]) == set(recurrent_peers.PEERS)
    assert all(len(numbers) == 2 and min(numbers) > 0 for numbers in kept["seconds"].values())
    assert kept["sparsity"] == pytest.approx(0.5, abs=0.01)
    printed = capsys.readouterr().out
    assert all(f"| {name} " in printed for name in recurrent_peers.PEERS)


@pytest.mark.slow
def test_ours_and_the_packed_step_give_the_same_weights(folder: Path) -> None:
    config = step.settings(folder, words=10, batch_size=4, model="bilstm")
    config.model.hidden, config.model.dropout = 8, 0.0
    torch.manual_seed(0)
    start = recurrent_peers.begin(config, 10, 2, 0.0)
    start.network.double()
    batch = Batch(torch.tensor([[2, 3, 4], [5, 0, 0]]), torch.tensor([3, 1]), torch.tensor([0, 1]), 2, 4)
    networks = {}
    for kernel in ("fast", "reference"):
        network = recurrent_peers._with_kernel(start, kernel)
        recurrent_peers._step(start, network)(batch)
        networks[kernel] = dict(network.named_parameters())
    for name, weight in networks["fast"].items():
        torch.testing.assert_close(weight, networks["reference"][name], rtol=0, atol=1e-9)
        assert not torch.equal(weight, start.network.get_parameter(name)) or name.startswith("embedding")
