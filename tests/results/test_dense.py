"""Dense weights load into torch's network as they are, and the tokenizer gives the ids that it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.errors import SettingError
from lt_lightning.export.files import write_state_dict, write_tokenizer
from lt_lightning.lottery import Mask
from lt_lightning.models import BinaryCNN
from lt_lightning.runs.round_ticket import RoundTicket

TEXTS = ["The cat, the DOG & a naïve <pad>!", "", "  \n\t", "ΣΑΣ cat\u00a0dog", "cat" * 200]


def ticket(splitter: Splitter = Splitter.words) -> tuple[BinaryCNN, RoundTicket]:
    torch.manual_seed(0)
    network = BinaryCNN(7, dim=3, filters=2, widths=[2])
    mask = Mask({name: torch.rand_like(weight) < 0.5 for name, weight in network.named_parameters()})
    mask.apply_(dict(network.named_parameters()))
    words = ["cat", "dog", "the", ",", "σας"] if splitter is Splitter.words else list("cat \n")
    return network.eval(), RoundTicket(network.state_dict(), mask, {}, make_tokenizer(words, splitter).to_str())


def test_another_network_takes_the_weights_and_answers_alike(tmp_path: Path):
    network, found = ticket()
    write_state_dict(found, tmp_path / "dense.safetensors")
    weights = load_file(tmp_path / "dense.safetensors")
    other = BinaryCNN(7, dim=3, filters=2, widths=[2]).eval()
    assert other.load_state_dict(weights).missing_keys == []
    ids, lengths = torch.tensor([[2, 3, 4], [5, 6, 1]]), torch.tensor([3, 2])
    torch.testing.assert_close(other(ids, lengths), network(ids, lengths), rtol=0, atol=0)
    for name, alive in found.mask.items():
        assert (weights[name][~alive] == 0).all()
    with safe_open(tmp_path / "dense.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("splitter", [Splitter.words, Splitter.letters])
def test_the_tokenizer_gives_the_ids_of_training(splitter: Splitter, tmp_path: Path):
    _, found = ticket(splitter)
    write_tokenizer(found, tmp_path / "tokenizer.json")
    tokenizer, trained = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), Tokenizer.from_str(found.tokenizer)
    for text in TEXTS:
        assert tokenizer.encode(text).ids == trained.encode(text).ids
    by_hand = {"words": [4, 2, 5, 4, 3, 0, 0, 0, 0, 0, 0, 0], "letters": [0, 0, 0, 5, 2, 3, 4]}[splitter.value]
    assert tokenizer.encode(TEXTS[0]).ids[: len(by_hand)] == by_hand
    assert json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "WordLevel"


def test_where_nothing_can_be_written_the_line_names_the_file(tmp_path: Path):
    _, found = ticket()
    for write in (write_state_dict, write_tokenizer):
        with pytest.raises(SettingError, match=r"gone.*cannot be written"):
            write(found, tmp_path / "gone" / "file")
