"""A ticket's logits and probabilities are those of the trained network, text for text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ticket_networks import answer, pack, prune

from lt_lightning import Ticket
from lt_lightning.data.cutting import make_tokenizer
from lt_lightning.data.splitter import Splitter
from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.tickets import ticket as module

WORDS = ("the", "stocks", "team", "won", "fell", ",", ".", "moon")
TEXTS = ("", "The team won.", "stocks fell , the moon", "unheard of", "word " * 40 + "won", "fell")
CNN = {"filters": 6, "widths": [3, 4, 5]}
BIRNN = {"cell": "gru", "hidden": 5, "layers": 2, "bidirectional": True}


def save(path: Path, network: torch.nn.Module, model: str, classes: int, **settings: object) -> Ticket:
    """Its ticket, written and read."""
    prune(network, 0.6)
    pack(network, model, classes, WORDS, **settings).save(path)  # pyright: ignore
    return Ticket.load(str(path))


def expected(network: torch.nn.Module, max_length: int | None = None) -> np.ndarray:
    tokenizer = make_tokenizer(WORDS, Splitter.words)
    return answer(network, [tokenizer.encode(text).ids[:max_length] for text in TEXTS])


@pytest.mark.parametrize("max_length", [None, 3])
def test_several_classes_have_the_softmax_of_the_network_s_logits(tmp_path: Path, max_length: int | None) -> None:
    network = MultiCNN(10, 3, dim=8, filters=6)
    ticket = save(tmp_path / "t.safetensors", network, "multi_cnn", 3, max_length=max_length, **CNN)
    logits = expected(network, max_length)
    np.testing.assert_allclose(ticket.logits(TEXTS), logits, rtol=0, atol=1e-5)
    probabilities = ticket.predict(TEXTS)
    np.testing.assert_allclose(probabilities, torch.tensor(logits).softmax(1).numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert probabilities.dtype == np.float32
    assert ticket.class_names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("recurrent", [False, True])
def test_two_classes_have_the_sigmoid_of_the_single_logit(tmp_path: Path, recurrent: bool) -> None:
    network = (
        RecurrentClassifier(10, None, cell="gru", dim=8, hidden=5) if recurrent else BinaryCNN(10, dim=8, filters=6)
    )
    model, settings = ("birnn", BIRNN) if recurrent else ("binary_cnn", CNN)
    ticket = save(tmp_path / "t.safetensors", network, model, 2, **settings)
    logits = expected(network)[:, 0]
    np.testing.assert_allclose(ticket.logits(TEXTS), logits, rtol=0, atol=1e-5)
    ones = torch.tensor(logits).sigmoid().numpy()
    np.testing.assert_allclose(ticket.predict(TEXTS), np.stack([1 - ones, ones], axis=1), rtol=0, atol=1e-5)


def test_a_logit_of_any_size_has_a_probability() -> None:
    network = BinaryCNN(10, dim=8, filters=6)
    prune(network, 0.5)
    with torch.no_grad():
        network.fc.bias.fill_(-1e4)
    assert Ticket(pack(network, "binary_cnn", 2, WORDS, **CNN)).predict(["the"]).tolist() == [[1, 0]]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MultiCNN(10, 3, dim=8, filters=6)
    prune(network, 0.6)
    ticket = Ticket(pack(network, "multi_cnn", 3, WORDS, **CNN))
    whole = ticket.logits(TEXTS)
    monkeypatch.setattr(module, "BATCH", 2)
    np.testing.assert_allclose(ticket.logits(TEXTS), whole, rtol=0, atol=1e-6)


def test_no_texts_have_no_probabilities() -> None:
    network = MultiCNN(10, 3, dim=8, filters=6)
    assert Ticket(pack(network, "multi_cnn", 3, WORDS, **CNN)).predict([]).shape == (0, 3)


def test_one_text_is_not_taken_for_its_letters() -> None:
    ticket = Ticket(pack(MultiCNN(10, 3, dim=8, filters=6), "multi_cnn", 3, WORDS, **CNN))
    with pytest.raises(TypeError, match="give"):
        ticket.predict("the team won")
