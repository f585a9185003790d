"""The recurrent network of a ticket answers what the equations say, whatever lives, whatever the texts."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_networks import answer, pack, prune

from lt_lightning.models import RecurrentClassifier
from lt_lightning.models.rnn.classifier import Backend
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy import rnn as recurrence
from lt_lightning.tickets.numpy.rnn import Recurrence

WORDS, DIM, HIDDEN = 60, 7, 9
RAGGED = (3, 0, 17, 1, 1, 40, 5, 0, 12)
CELLS = ("rnn", "gru", "gru_chung", "lstm")


def make(
    cell: str, density: float, layers: int = 2, *, both: bool = True, backend: Backend = "equations", seed: int = 0
) -> RecurrentClassifier:
    network = RecurrentClassifier(
        WORDS, 3, cell=cell, backend=backend, dim=DIM, hidden=HIDDEN, layers=layers, bidirectional=both
    )
    prune(network, density, seed)
    return network


def ticket(network: RecurrentClassifier, cell: str, layers: int = 2) -> Packed:
    return pack(network, "birnn", 3, cell=cell, hidden=HIDDEN, layers=layers, bidirectional=network.bidirectional)


def draw(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, WORDS, length).tolist() for length in lengths]


def logits(network: Recurrence, texts: Sequence[Sequence[int]]) -> np.ndarray:
    return network.logits([np.array(text, np.int32) for text in texts])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("density", [1.0, 0.3, 0.02, 0.0])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_logits_are_those_of_the_equations(cell: str, density: float, both: bool, layers: int) -> None:
    theirs, texts = make(cell, density, layers, both=both), draw(RAGGED)
    ours = Recurrence(ticket(theirs, cell, layers))
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("density", [1.0, 0.0115])
def test_logits_are_those_of_torchs_layers_of_the_usual_size(cell: str, density: float) -> None:
    torch.manual_seed(0)
    theirs = RecurrentClassifier(WORDS, 3, cell=cell)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.mul_(torch.rand(weight.shape) < density)
    texts = draw(RAGGED)
    ours = Recurrence(pack(theirs, "birnn", 3, cell=cell, hidden=256, layers=2, bidirectional=True))
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, WORDS - 1), max_size=9), min_size=1, max_size=7),
    st.sampled_from(CELLS),
    st.booleans(),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_pieces_change_nothing(texts: list[list[int]], cell: str, both: bool, chunk: int, gates: int) -> None:
    theirs = make(cell, 0.6, 3, both=both)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrence, "CHUNK", chunk * HIDDEN)
        patch.setattr(recurrence, "GATES", gates * HIDDEN)
        ours = Recurrence(ticket(theirs, cell, 3))
        found = logits(ours, texts)
    np.testing.assert_allclose(found, answer(theirs, texts), rtol=0, atol=1e-5)


def test_no_texts_have_no_logits() -> None:
    assert Recurrence(ticket(make("lstm", 0.5), "lstm")).logits([]).shape == (0, 3)


def test_a_very_long_text_takes_little_more_memory_than_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "CHUNK", 1_000)
    ours = Recurrence(ticket(make("rnn", 0.5), "rnn"))
    text = draw([4_000])[0]
    tracemalloc.start()
    logits(ours, [text])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e5  # the outputs of the first layer alone would be 288 kB, as would be those of the second
