"""Runs of pre-trained encoders from settings to records: first weights, masks, resuming, branches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

pytest.importorskip("transformers")

from safetensors.torch import load_file
from tokenizers import Tokenizer

from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.compare import is_free
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from lt_lightning.runs.rounds import ticket_path
from trials.encoders import write_encoder

MATRICES = "pruning.include=[encoder.encoder.layer.*.dense.weight,encoder.encoder.layer.*.self.*.weight]"
CHEN = (
    MATRICES, "pruning.scope=global", "pruning.amount=0.1", "pruning.amount_of=all", "pruning.rounds=2",
    "optimizer=adamw", "optimizer.lr=0.001", "trainer.max_epochs=1",
)  # fmt: skip
Play = Callable[..., Path]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def play(play_small: Play) -> Play:
    """Run an encoder's settings: `play(run, source, *overrides)`."""

    def play(run: Path, source: Path, *overrides: str, resuming: bool = False) -> Path:
        return play_small(run, "model=bert", f"model.path={source}", *CHEN, *overrides, resuming=resuming)

    return play


@pytest.fixture(scope="module")
def whole(play: Play, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("runs") / "whole", source)


def results(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "results.csv").drop(columns="seconds")


def about(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


def tickets(run: Path) -> list[RoundTicket]:
    return [RoundTicket.load(ticket_path(run, number)) for number in range(len(results(run)))]


def test_survivors_restart_from_the_weights_of_the_file_to_the_bit(whole, source):
    first = load_file(source / "model.safetensors")
    kept = read_rewind_weights(whole)
    state = tickets(whole)[0].weights  # without the buffers of positions, which no file of weights holds
    names = [name.removeprefix("encoder.") for name in kept if name.startswith("encoder.") and name in state]
    assert {*names} == {name for name in first if not name.startswith("pooler.")}
    assert all(torch.equal(kept[f"encoder.{name}"], first[name]) for name in names)


def test_a_tenth_of_all_entries_of_the_matrices_goes_each_round_and_nothing_else(whole):
    rounds = tickets(whole)
    total = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    for number, ticket in enumerate(rounds):
        assert ticket.mask.total == total
        assert ticket.mask.alive == total - number * round(total / 10)
        assert len(ticket.mask) == 12
        assert not any("LayerNorm" in name or "bias" in name or "embeddings" in name for name in ticket.mask)
        assert all(not ticket.weights[name][~alive].any() for name, alive in ticket.mask.items())
    for before, after in pairwise(rounds):
        assert all((after.mask[name] <= before.mask[name]).all() for name in after.mask)


def test_the_records_say_which_encoder_it_is_and_keep_what_builds_it(whole, source):
    found = about(whole)
    assert found["encoder"]["name"] == source.name
    assert found["encoder"]["kind"] == "bert"
    assert found["encoder"]["pieces"] == 64
    assert {*found["encoder"]["digests"]} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert found["versions"]["transformers"] == version("transformers")
    assert found["config"]["embedding"] is None
    assert found["config"]["data"]["tokenizer"] == "model"
    for name in ("config.json", "tokenizer.json"):
        assert (whole / "encoder" / name).read_bytes() == (source / name).read_bytes()
    ticket = tickets(whole)[-1]
    assert (ticket.about["splitter"], ticket.about["max_length"]) == ("model", 64)
    text = "the good cat " * 40
    expected = Tokenizer.from_file(str(source / "tokenizer.json"))
    expected.enable_truncation(64)
    assert Tokenizer.from_str(ticket.tokenizer).encode(text).ids == expected.encode(text).ids


def test_a_run_goes_on_exactly_when_its_source_is_gone(play, whole, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / source.name)
    run = play(tmp_path / "run", moved, "pruning.rounds=1")
    shutil.rmtree(moved)
    play(run, moved, resuming=True)
    pd.testing.assert_frame_equal(results(run), results(whole))
    assert about(run)["encoder"]["digests"] == about(whole)["encoder"]["digests"]
    same = [torch.equal(one, tickets(whole)[-1].weights[name]) for name, one in tickets(run)[-1].weights.items()]
    assert all(same)


def test_a_run_does_not_go_on_with_other_files_or_without_the_weights_that_it_needs(play, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")
    run = play(tmp_path / "run", moved, "pruning.rounds=0")
    write_encoder(moved, seed=1)
    with pytest.raises(SettingError, match=r"model\.path: model\.safetensors of .* is not the one that .* began with"):
        play(run, moved, resuming=True)
    shutil.rmtree(moved)
    for one in (*run.glob("state/round_*"), *run.glob("tickets/*")):
        one.unlink()
    with pytest.raises(SettingError, match=r"model\.path: .* is gone, and round 0 needs the weights"):
        play(run, moved, resuming=True)


def test_frozen_parameters_are_neither_trained_nor_pruned(play, source, tmp_path):
    settings = ('model.freeze=["embeddings.*"]', "pruning.include=['*']", "optimizer.weight_decay=0.5")
    run = play(tmp_path / "run", source, *settings, "pruning.rounds=1")
    first = load_file(source / "model.safetensors")
    for ticket in tickets(run):
        assert "encoder.embeddings.word_embeddings.weight" in ticket.weights
        for name, weight in ticket.weights.items():
            if name.startswith("encoder.embeddings."):
                assert torch.equal(weight, first[name.removeprefix("encoder.")])
                assert name not in ticket.mask
    assert not pd.read_csv(run / "layers.csv")["parameter"].str.contains("embeddings").any()
    trained = sum(one.numel() for name, one in tickets(run)[0].weights.items() if ".embeddings." not in name)
    assert about(run)["parameters"] == trained


def test_a_branch_starts_from_tickets_whose_source_is_gone(play, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")
    trunk = play(tmp_path / "trunk", moved, "pruning.rounds=1")
    shutil.rmtree(moved)
    run = play(tmp_path / "run", moved, f"branch.of={trunk}", "branch.rounds=[1]", "pruning.rewind=init")
    again = RoundTicket.load(ticket_path(run, 1))
    then = RoundTicket.load(ticket_path(trunk, 1))
    assert all(torch.equal(again.mask[name], then.mask[name]) for name in then.mask)
    assert all(torch.equal(one, then.weights[name]) for name, one in again.weights.items())


def test_roberta_with_its_own_tokenizer_trains(play, tmp_path):
    run = play(tmp_path / "run", write_encoder(tmp_path / "roberta", "roberta"), "pruning.rounds=1")
    assert about(run)["encoder"]["pieces"] == 62
    assert len(results(run)) == 2


def test_only_a_folder_of_an_encoder_may_move_and_not_the_path_of_a_class_of_the_users_own():
    assert is_free("model.path", {"model.name": "bert"})
    assert not is_free("model.path", {"model._target_": "my.Net"})
