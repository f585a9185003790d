"""`benchmarks.bert`, run with a small encoder: all peers learn the same, and the tables come out."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from benchmarks import bert, bert_peers
from lt_lightning.errors import SettingError
from trials.encoders import WORDS, write_encoder

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*but have no `val_dataloader`"),
]

WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of 3 to 12 words, in two classes."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    for split in ("train", "test"):
        rows = [{"text": " ".join(rng.choices(WORDS, k=rng.randint(3, 12))), "label": row % 2} for row in range(40)]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def start(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> bert_peers.Start:
    encoder = write_encoder(tmp_path_factory.mktemp("encoder"), **WITHOUT_DROPOUT)
    options = ["--data", str(texts), "--encoder", str(encoder), "--rows=32", "--batch-size=8", "--max-length=20"]
    config = bert.settings(bert.parse(options))
    config.model.dropout = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    # Some gradients are zero but for rounding (of the keys' biases): with a small epsilon Adam would enlarge it.
    config.optimizer.lr, config.optimizer.eps = 0.01, 1e-3  # pyright: ignore[reportAttributeAccessIssue]
    return bert_peers.begin(config, bert.load(config), 0.4)


def test_ours_and_transformers_trainer_take_the_same_steps(start: bert_peers.Start) -> None:
    batches = list(islice(iter(start.data.train_dataloader()), 4))
    first = {name: value.clone() for name, value in start.learner.network.state_dict().items()}
    ours, theirs = (peer(start, batches) for peer in (bert_peers.ours, bert_peers.theirs))
    assert set(ours.weights) == set(theirs.weights) == set(first)
    assert len(ours.steps) == len(theirs.steps) == len(batches)
    for name, value in ours.weights.items():
        torch.testing.assert_close(value, theirs.weights[name], atol=1e-4, rtol=1e-3)
    moved = [name for name, value in first.items() if not torch.equal(value, ours.weights[name])]
    assert {"head.bias", "encoder.embeddings.word_embeddings.weight", "encoder.pooler.dense.weight"} <= set(moved)
    assert all(torch.equal(value, first[name]) for name, value in start.learner.network.state_dict().items())


def test_the_pruned_round_trains_the_share_of_the_matrices_that_was_asked_for(start: bert_peers.Start) -> None:
    pruned = bert_peers.pruned(start, None)
    matrices = [value for name, value in pruned.weights.items() if ".layer." in name and value.dim() == 2]
    alive, total = sum(int(one.count_nonzero()) for one in matrices), sum(one.numel() for one in matrices)
    assert alive == total - round(0.6 * total)
    assert pruned.pruning is not None
    assert 0 < pruned.beginning < pruned.pruning


def test_an_epoch_of_each_peer_has_each_row_once(start: bert_peers.Start) -> None:
    rows = bert_peers._rows(start.data)
    part = start.data.part("train")
    assert len(rows) == len(part) == 32
    assert [len(row["input_ids"]) for row in rows] == part.lengths.tolist()
    longest = bert_peers._collator(start)(rows[:5])
    assert longest["input_ids"].shape == (5, int(part.lengths[:5].max()))
    assert longest["attention_mask"].sum(1).tolist() == part.lengths[:5].tolist()
    for peer in bert_peers.PEERS.values():
        assert len(peer(start, None).steps) == 4


def test_a_stopwatch_counts_functions_that_call_each_other_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(bert_peers, "perf_counter", lambda: next(now))
    watch = bert_peers.Stopwatch()
    inner = watch.timed(lambda: None)
    watch.timed(inner)()  # reads the time at 0, 1, 2: outer, inner, outer
    assert watch.seconds == 2


@pytest.mark.slow
def test_the_benchmark_prints_its_tables_and_keeps_its_numbers(texts, tmp_path, capsys):
    kept = tmp_path / "bert.json"
    encoder = write_encoder(tmp_path / "encoder")
    small = ["--rows=24", "--batch-size=8", "--max-length=20", "--steps=4", "--turns=2", "--threads=1"]
    bert.main(["--data", str(texts), "--encoder", str(encoder), *small, f"--json={kept}"])
    said, numbers = capsys.readouterr().out, json.loads(kept.read_text())
    assert set(numbers["epochs"]) == set(numbers["steps"]) == set(bert_peers.PEERS)
    for name in bert_peers.PEERS:
        assert [len(numbers[key][name]) for key in ("epochs", "steps")] == [2, 2 * (4 - bert.WARM_UP)]
        assert min(numbers["epochs"][name] + numbers["steps"][name]) > 0
        assert said.count(f"| {name} ") == 2
    assert numbers["speedup"]["step"][bert_peers.THEIRS] == {"low": 1, "median": 1, "high": 1}
    assert len(numbers["freezing_and_pruning"]) == 2
    assert "% of an epoch" in said


@pytest.mark.parametrize("missing", ["transformers", "accelerate"])
def test_a_missing_package_is_one_line(texts, monkeypatch, missing):
    monkeypatch.setattr(bert, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(
        SettingError,
        match=rf"^benchmarks\.bert: .* needs {missing}; pip install .*{'bert' * (missing != 'accelerate')}",
    ):
        bert.parse(["--data", str(texts)])


def test_options_out_of_range_and_other_encoders_are_refused(texts, tmp_path):
    for option in ("--density=1", "--turns=1", "--rows=3"):
        with pytest.raises(SettingError, match=option.split("=")[0]):
            bert.parse(["--data", str(texts), option])
    with pytest.raises(SettingError, match="--data: there is no folder"):
        bert.parse(["--data", str(tmp_path / "none")])
    config = bert.settings(
        bert.parse(
            ["--data", str(texts), "--encoder", str(write_encoder(tmp_path / "e", "roberta")), "--max-length=20"]
        )
    )
    with pytest.raises(SettingError, match="--encoder: e is of roberta"):
        bert_peers.begin(config, bert.load(config), 0.5)
