"""A packed ticket holds what lives of a round's ticket, and the words that still make a difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.export.packing import pack_ticket
from lt_lightning.lottery import Mask
from lt_lightning.models import MultiCNN
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
    packed = pack_ticket(ticket, {}, half=True)
    for name, parameter in packed.parameters.items():
        rounded = ticket.weights[name].half().float().numpy()
        np.testing.assert_array_equal(parameter.dense(), rounded)
    assert packed.about["values"] == "float16"


def test_a_weight_that_float16_cannot_hold_is_named() -> None:
    ticket = make_ticket()
    weights = {**ticket.weights, "fc.bias": torch.full((3,), 1e6)}
    whole = RoundTicket(weights, Mask.ones(weights), ticket.about, ticket.tokenizer)
    pack_ticket(whole, {})
    with pytest.raises(ValueError, match=r"fc\.bias is too large for float16"):
        pack_ticket(whole, {}, half=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("half", [False, True])
def test_weights_that_are_not_finite_are_not_packed(value: float, half: bool) -> None:
    ticket = make_ticket()
    weights = {**ticket.weights, "fc.bias": torch.tensor([0.0, value, 0.0])}
    whole = RoundTicket(weights, Mask.ones(weights), ticket.about, ticket.tokenizer)
    with pytest.raises(ValueError, match="not all finite"):
        pack_ticket(whole, {}, half=half)


def test_an_accuracy_that_was_not_measured_is_null() -> None:
    packed = pack_ticket(make_ticket(test_acc=float("nan")), {"full_test_acc": float("nan"), "run": "r"})
    assert (packed.about["test_acc"], packed.about["full_test_acc"], packed.about["run"]) == (None, None, "r")


def test_first_weights_are_kept_at_the_living_places() -> None:
    ticket = make_ticket()
    first: dict[str, Tensor] = {name: torch.randn_like(weight) for name, weight in ticket.weights.items()}
    packed = pack_ticket(ticket, {}, first=first, half=True)
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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": {"name": "char_lm"}}, "not a text classifier"),
        ({"model": {"name": "cnn", "filters": 4, "widths": [2, 3]}}, "not those of its settings"),
        ({"class_names": ["a", "b", "c", "d"]}, "not those of its settings"),
    ],
)
def test_a_ticket_of_another_network_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        pack_ticket(make_ticket(**wrong), {})
