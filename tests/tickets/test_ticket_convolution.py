"""The convolutional network of a ticket answers what torch's does, whatever lives, whatever the texts."""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_networks import answer, pack, prune

from lt_lightning.models import MultiCNN
from lt_lightning.tickets.numpy import answers
from lt_lightning.tickets.numpy import cnn as convolution
from lt_lightning.tickets.numpy.cnn import Convolution
from lt_lightning.tickets.numpy.sparse import SparseAnswers

WORDS, DIM = 300, 20
KEPT = (0, 5_000, 10**9)
"""Entries of answers that are kept: of no word, of some of the words of a dense network, of all."""
DENSITIES = (1.0, 0.5, 0.2, 0.05, 0.0115, 0.002, 0.0)


def network(density: float, filters: int = 12, widths: Sequence[int] = (3, 4, 5), seed: int = 0) -> MultiCNN:
    network = MultiCNN(WORDS, 4, dim=DIM, filters=filters, widths=widths, kernel="reference")
    prune(network, density, seed)
    return network


def draw(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, WORDS, length).tolist() for length in lengths]


def logits(ticket: Convolution, texts: Sequence[Sequence[int]]) -> np.ndarray:
    return ticket.logits([np.array(text, np.int32) for text in texts])


RAGGED = (0, 1, 2, 3, 4, 5, 6, 7, 30, 1, 0, 200, 2, 5)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("filters", [2, 12, 60])
@pytest.mark.parametrize("kept", KEPT)
def test_logits_are_those_of_torch(density: float, filters: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEPT", kept)
    theirs = network(density, filters)
    ours, texts = Convolution(pack(theirs, "cnn", 4)), draw(RAGGED)
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("long", [1, 4, 29])
def test_texts_that_are_read_in_parts_have_torch_s_logits(kept, long, monkeypatch):
    monkeypatch.setattr(answers, "KEPT", kept)
    monkeypatch.setattr(convolution, "LONG", long)
    theirs = network(0.2)
    ours, texts = Convolution(pack(theirs, "cnn", 4)), draw(RAGGED)
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, WORDS - 1), max_size=14), min_size=1, max_size=8),
    st.sampled_from(DENSITIES),
    st.sampled_from([(3, 4, 5), (1,), (2, 7), (5, 3, 3), (6,)]),
    st.integers(0, 3),
)
def test_logits_are_those_of_torch_for_any_texts_and_widths(texts, density, widths, seed):
    theirs = network(density, 4, widths, seed)
    ours = Convolution(pack(theirs, "cnn", 4))
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kept", KEPT)
def test_pieces_and_blocks_change_nothing(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, texts = network(0.5), draw([4, 900, 0, 3, 700, 2, 2, 256, 1])
    monkeypatch.setattr(answers, "KEPT", kept)
    monkeypatch.setattr(convolution, "PIECE", 300)
    monkeypatch.setattr(convolution, "BLOCK", 1)  # the smallest block is taken
    ours = Convolution(pack(theirs, "cnn", 4))
    np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)
    alone = np.concatenate([logits(ours, [text]) for text in texts])
    np.testing.assert_allclose(alone, answer(theirs, texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("windows", [1, 131_072])
def test_few_answers_and_whole_rows_of_them_give_torch_s_logits(density, windows, monkeypatch):
    theirs, texts = network(density), draw([*RAGGED, 300])
    monkeypatch.setattr(convolution, "WINDOWS", windows)
    for few in (True, False):
        monkeypatch.setattr(SparseAnswers, "suit", lambda *_, few=few: few)
        ours = Convolution(pack(theirs, "cnn", 4))
        np.testing.assert_allclose(logits(ours, texts), answer(theirs, texts), rtol=0, atol=1e-5)
        alone = np.concatenate([logits(ours, [text]) for text in texts])
        np.testing.assert_array_equal(logits(ours, texts), alone)


def test_a_ticket_of_a_hundredth_has_few_answers() -> None:
    vectors, weight = np.zeros((500, 100), np.float32), np.zeros((100, 1200), np.float32)
    vectors[:, ::50], weight[::3, ::70] = 1, 1
    assert SparseAnswers.suit(vectors, weight)
    assert not SparseAnswers.suit(np.ones((500, 100), np.float32), weight)


def test_half_precision_is_read_as_the_numbers_that_it_holds() -> None:
    theirs, texts = network(0.4), draw(RAGGED)
    ticket = pack(theirs, "cnn", 4, half=True)
    theirs.half().float()
    np.testing.assert_allclose(logits(Convolution(ticket), texts), answer(theirs, texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("density", "megabytes"), [(0.0115, 8), (1.0, 45)])
def test_a_very_long_text_takes_little_more_memory_than_its_words(density: float, megabytes: int) -> None:
    ours = Convolution(pack(network(density, 100), "cnn", 4))
    words = np.random.default_rng(0).integers(0, WORDS, 300_000).astype(np.int32)
    tracemalloc.start()
    ours.logits([words])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < megabytes * 1e6  # all windows' values would be 360 MB


@pytest.mark.parametrize("kept", KEPT)
def test_threads_that_share_a_new_ticket_get_the_same_bits(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEPT", kept)
    packed, texts = pack(network(0.5), "cnn", 4), draw([40] * 30)
    alone = np.concatenate([logits(Convolution(packed), [text]) for text in texts])
    ours = Convolution(packed)
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda text: logits(ours, [text]), texts)]
    np.testing.assert_array_equal(np.concatenate(found), alone)


DIFFERENT = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from packing import make_packed
from lt_lightning.tickets.numpy import answers
from lt_lightning.tickets.numpy.cnn import Convolution

rng = np.random.default_rng(0)
texts = [rng.integers(200, size=length) for length in (*range(12), *rng.integers(1, 60, 90))]
for density, filters, classes in ((1.0, 100, 4), (0.3, 87, 2), (0.1, 34, 60), (0.02, 100, 3)):
    model = {"name": "cnn", "filters": filters, "widths": [3, 4, 5]}
    packed = make_packed(model, words=200, dim=50, classes=classes, density=density, unknown=True)
    for kept in (0, 40_000, 4_000_000):
        answers.KEPT = kept
        network = Convolution(packed)
        alone = np.concatenate([Convolution(packed).logits([text]) for text in texts])
        for size in (2, 3, 7, 16, 33, len(texts)):
            batches = [network.logits(texts[start : start + size]) for start in range(0, len(texts), size)]
            print(int((np.concatenate(batches) != alone).any(axis=1).sum()))
"""


@pytest.mark.parametrize("processor", [None, *(pytest.param(name, marks=pytest.mark.slow) for name in (
    "Haswell", "Nehalem", "Prescott",
))])  # fmt: skip
def test_a_text_has_the_same_bits_in_every_batch(processor: str | None) -> None:
    # OpenBLAS takes the kernels of another processor; other libraries pass over the variable.
    environment = {**os.environ, **({} if processor is None else {"OPENBLAS_CORETYPE": processor})}
    command = [sys.executable, "-c", DIFFERENT, str(Path(__file__).parent)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.split() == ["0"] * 72
