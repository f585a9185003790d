"""A packed ticket holds the living weights and the words that count; dense weights load into torch as they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.errors import SettingError
from lt_lightning.export.files import write_state_dict, write_tokenizer
from lt_lightning.lottery import Mask
from lt_lightning.models import BinaryCNN, MultiCNN
from lt_lightning.runs.packing import pack_ticket
from lt_lightning.runs.round_ticket import RoundTicket

WORDS = ["cat", "dog", "cow", "hen", "fox", "owl"]
ABOUT = {
    "model": {"name": "cnn", "filters": 3, "widths": [2, 3]}, "embedding_dim": 4, "class_names": ["a", "b", "c"],
    "splitter": "words", "max_length": None, "round": 1, "test_acc": 0.5,
}  # fmt: skip


def make_ticket(*, unknown: float = 0.0, dead: tuple[int, ...] = (), **about: Any) -> RoundTicket:
    """A ticket of a network with eight words, half of its other entries dead."""
    torch.manual_seed(0)
    network = MultiCNN(8, 3, dim=4, filters=3, widths=[2, 3])
    with torch.no_grad():
        network.embedding.weight[0] = unknown
    mask = {name: torch.rand_like(weight) > 0.5 for name, weight in network.named_parameters()}
    mask["embedding.weight"][[0, *dead]] = False
    mask["embedding.weight"][0, 1] = True
    mask["embedding.weight"][[row for row in range(2, 8) if row not in dead], 0] = True
    Mask(mask).apply_(dict(network.named_parameters()))
    tokenizer = make_tokenizer(WORDS, Splitter.words).to_str()
    return RoundTicket(network.state_dict(), Mask(mask), {**ABOUT, **about}, tokenizer)


def test_every_weight_comes_back_bit_for_bit() -> None:
    ticket = make_ticket()
    packed = pack_ticket(ticket, {"run": "r"})
    assert packed.parameters.keys() == ticket.weights.keys()
    for name, parameter in packed.parameters.items():
        np.testing.assert_array_equal(parameter.dense(), ticket.weights[name].numpy())
        assert len(parameter.values) == int(ticket.mask[name].sum())
        assert parameter.prunable
    assert (packed.about["run"], packed.about["words"], packed.about["values"]) == ("r", 8, "float32")


def test_a_dead_word_is_not_listed_where_an_unknown_one_is_the_same() -> None:
    packed = pack_ticket(make_ticket(dead=(3, 6)), {})
    assert packed.words == ("cat", "cow", "hen", "owl")
    assert packed.word_ids.tolist() == [2, 4, 5, 7]


def test_all_words_are_listed_where_unknown_ones_have_a_vector() -> None:
    packed = pack_ticket(make_ticket(unknown=0.5, dead=(3, 6)), {})
    assert packed.words == tuple(WORDS)


def test_rounded_weights_are_the_nearest_of_float16() -> None:
    ticket = make_ticket()
    packed = pack_ticket(ticket, {}, bits=16)
    for name, parameter in packed.parameters.items():
        rounded = ticket.weights[name].half().float().numpy()
        np.testing.assert_array_equal(parameter.dense(), rounded)
    assert packed.about["values"] == "float16"


def test_a_weight_that_float16_cannot_hold_is_named() -> None:
    ticket = make_ticket()
    weights = {**ticket.weights, "fc.bias": torch.full((3,), 1e6)}
    whole = RoundTicket(weights, Mask.ones(weights), ticket.about, ticket.tokenizer)
    pack_ticket(whole, {})
    with pytest.raises(ValueError, match=r"fc\.bias: a weight is too large for float16"):
        pack_ticket(whole, {}, bits=16)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("bits", [32, 16, 4])
def test_weights_that_are_not_finite_are_not_packed(value: float, bits: int) -> None:
    ticket = make_ticket()
    weights = {**ticket.weights, "fc.bias": torch.tensor([0.0, value, 0.0])}
    whole = RoundTicket(weights, Mask.ones(weights), ticket.about, ticket.tokenizer)
    with pytest.raises(ValueError, match="not all finite"):
        pack_ticket(whole, {}, bits=bits)


def test_an_accuracy_that_was_not_measured_is_null() -> None:
    packed = pack_ticket(make_ticket(test_acc=float("nan")), {"full_test_acc": float("nan"), "run": "r"})
    assert (packed.about["test_acc"], packed.about["full_test_acc"], packed.about["run"]) == (None, None, "r")


def test_first_weights_are_kept_at_the_living_places() -> None:
    ticket = make_ticket()
    first: dict[str, Tensor] = {name: torch.randn_like(weight) for name, weight in ticket.weights.items()}
    packed = pack_ticket(ticket, {}, first=first, bits=16)
    assert packed.first is not None
    for name, values in packed.first.items():
        np.testing.assert_array_equal(values, first[name][ticket.mask[name]].numpy())


def test_what_no_mask_covers_is_kept_whole() -> None:
    ticket = make_ticket()
    mask = Mask({name: alive for name, alive in ticket.mask.items() if name != "fc.weight"})
    packed = pack_ticket(RoundTicket(ticket.weights, mask, ticket.about, ticket.tokenizer), {})
    parameter = packed.parameters["fc.weight"]
    assert not parameter.prunable
    assert parameter.places is None
    np.testing.assert_array_equal(parameter.dense(), ticket.weights["fc.weight"].numpy())


@pytest.mark.parametrize(("wrong", "said"), [
    ({"model": {"name": "char_lm"}}, "is not a text classifier"),
    ({"model": {"name": "cnn", "filters": 4, "widths": [2, 3]}}, "not those of its settings"),
    ({"class_names": ["a", "b", "c", "d"]}, "not those of its settings"),
])  # fmt: skip
def test_a_ticket_of_another_network_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        pack_ticket(make_ticket(**wrong), {})


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
