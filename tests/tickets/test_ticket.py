"""A ticket's logits and probabilities are those of the trained network, text for text."""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from packing import make_packed
from ticket_networks import answer, pack, prune

from lt_lightning import Ticket
from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.tickets import ticket as module

WORDS = ("the", "stocks", "team", "won", "fell", ",", ".", "moon")
TEXTS = ("", "The team won.", "stocks fell , the moon", "unheard of", "word " * 40 + "won", "fell")
CNN = {"filters": 6, "widths": [3, 4, 5]}
BIRNN = {"cell": "gru", "hidden": 5, "layers": 2, "bidirectional": True}


def save(path: Path, network: torch.nn.Module, model: str, classes: int, **settings: object) -> Ticket:
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


@pytest.mark.parametrize("recurrent", [False, True])
def test_batches_change_nothing(recurrent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = make(recurrent)
    whole = ticket.logits(TEXTS)
    monkeypatch.setattr(module, "BATCH", 2)
    np.testing.assert_allclose(ticket.logits(TEXTS), whole, rtol=0, atol=1e-6 if recurrent else 0)


def test_no_texts_have_no_probabilities() -> None:
    network = MultiCNN(10, 3, dim=8, filters=6)
    assert Ticket(pack(network, "multi_cnn", 3, WORDS, **CNN)).predict([]).shape == (0, 3)


def make(recurrent: bool = False, classes: int = 3) -> Ticket:
    network = (
        RecurrentClassifier(10, classes, cell="gru", dim=8, hidden=5, layers=2)
        if recurrent
        else MultiCNN(10, classes, dim=8, filters=6)
    )
    prune(network, 0.6)
    model, settings = ("birnn", BIRNN) if recurrent else ("multi_cnn", CNN)
    return Ticket(pack(network, model, classes, WORDS, **settings))


FRAME = pd.DataFrame({"text": ["the team", "won"], "label": ["a", "b"]})


@pytest.mark.parametrize(("texts", "said"), [
    ("the team won", r"a single str; give a list of str, such as \[text\]"), (b"the team won", "a single bytes"),
    (None, "NoneType is not a list of str"), (3, "int is not a list of str"),
    (FRAME, r"DataFrame has columns; give the column of the texts, such as texts\['text'\]"),
    ({"text": ["the team"]}, "dict has columns"), (Dataset.from_pandas(FRAME), "Dataset has columns"),
    (np.array([["the team"]]), "ndarray has columns"),
    (["the team", None], "number 1 is of type NoneType, not str"),
    (pd.Series(["the team", float("nan")]), "number 1 is of type float"),
    (["won"] * 700 + [b"won"], "number 700 is of type bytes"),
], ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__)  # fmt: skip
def test_what_is_no_list_of_texts_is_refused(texts: Any, said: str) -> None:
    ticket = make()
    for ask in (ticket.predict, ticket.logits, ticket.ids):
        with pytest.raises(TypeError, match=f"^texts: {said}"):
            ask(texts)


@pytest.mark.parametrize("kind", [tuple, iter, pd.Series, np.array, lambda texts: Dataset.from_dict({"x": texts})["x"]])
def test_texts_may_come_in_any_column_or_iterator(kind: Callable[[list[str]], Any]) -> None:
    ticket, texts = make(), [*TEXTS] * 100
    np.testing.assert_array_equal(ticket.predict(kind(texts)), ticket.predict(texts))


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda ticket: pickle.loads(pickle.dumps(ticket))])
def test_a_copied_or_pickled_ticket_answers_alike(copied: Callable[[Ticket], Ticket], recurrent: bool) -> None:
    ticket = make(recurrent)
    other = copied(ticket)
    assert type(other) is Ticket
    assert other.class_names == ticket.class_names
    np.testing.assert_array_equal(other.logits(TEXTS), ticket.logits(TEXTS))


def test_a_ticket_shows_its_task_classes_density_and_size() -> None:
    ticket = make(classes=12)
    alive = sum(np.count_nonzero(one.dense()) for one in ticket.packed.parameters.values())
    total = sum(one.dense().size for one in ticket.packed.parameters.values())
    names = ", ".join(f"'class {number}'" for number in range(10))
    assert repr(ticket) == (
        f"<Ticket text classification, 12 classes ({names}, … 2 more), {100 * alive / total:.3g} % alive "
        f"({alive:,} of {total:,} weights), 8 words>"
    )
    odd = Ticket(replace(ticket.packed, about={**ticket.packed.about, "class_names": ["\x1b[2J", "b" * 99]}))
    assert r"('\x1b[2J', 'bbbbbbbbbbbbbbbbbbbbbbb…')" in repr(odd)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True])
def test_sixteen_threads_get_the_answers_of_one(recurrent: bool) -> None:
    ticket = make(recurrent)
    asked = [[TEXTS[(start + place) % len(TEXTS)] for place in range(1 + start % 5)] * 20 for start in range(64)]
    alone = [ticket.logits(texts) for texts in asked]
    together = threading.Barrier(16)

    def ask(thread: int) -> list[np.ndarray]:
        together.wait()
        order = np.random.default_rng(thread).permutation(len(asked))
        found = {place: ticket.logits(asked[place]) for place in order.tolist()}
        return [found[place] for place in range(len(asked))]

    with ThreadPoolExecutor(16) as pool:
        for answers in pool.map(ask, range(16)):
            for answer, expected in zip(answers, alone, strict=True):
                np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_of_logits_over_the_temperature(classes: int) -> None:
    ticket, texts = Ticket(make_packed(classes=classes, temperature=2.5)), ["w2 w3 w4", "w5 w5", ""]
    logits = ticket.logits(texts).astype(float)
    logits = np.stack([0 * logits, logits], axis=1) if classes == 2 else logits
    for raw, scale in ((False, 2.5), (True, 1.0)):
        powers = np.exp(logits / scale)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(ticket.predict(texts, raw=raw), expected, rtol=1e-5)
    assert Ticket(make_packed(classes=classes)).temperature == 1
