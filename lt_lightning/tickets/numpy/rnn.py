"""Recurrent layers over words in NumPy.

Texts are read together, sorted by length, word by word. Memory holds the outputs of one chunk of about `CHUNK` numbers
per layer. Of longer texts the states between chunks are kept, and outputs are computed again when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy.cells import CELLS, Cell
from lt_lightning.tickets.numpy.products import product
from lt_lightning.tickets.reaching import living_words

CHUNK = 4_000_000
"""Approximate number of outputs in memory per layer: 16 MB."""
GATES = 1_000_000
"""Number of gates that are computed from inputs at a time."""


class Embedding(NamedTuple):
    """The words' vectors; words whose entries are all pruned share one."""

    row_of: np.ndarray  # (words + 1,) the row of each word
    rows: np.ndarray  # (rows, dim)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Return the vectors of word ids, (words, dim)."""
        return self.rows.take(self.row_of.take(ids), axis=0)


class Recurrence:
    """A ticket's recurrent network, for texts of any length."""

    def __init__(self, packed: Packed) -> None:
        cell, names = CELLS[packed.about["model"]["cell"]], packed.parameters.keys()
        ways = [way for way in ("", "_reverse") if f"rnn.weight_ih_l0{way}" in names]
        layers = sum(name.startswith("rnn.weight_ih_l") for name in names) // len(ways)
        embedding = packed.parameters["embedding.weight"]
        self._embedding = Embedding(*living_words(embedding, np.arange(embedding.shape[1])))
        self._layers = [[_Way(packed, cell, f"l{layer}{way}") for way in ways] for layer in range(layers)]
        self._fc, self._fc_bias = packed.parameters["fc.weight"].dense().T, packed.parameters["fc.bias"].dense()
        self._words = max(1, CHUNK // len(self._fc))

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits, (texts, logits) float32; their last digits may depend on the other texts.

        `texts` are word ids, (words,) integers each; a text without words is read as one `<pad>`. BLAS sums in another
        order for other numbers of texts; blocks of one size would slow down single texts.
        """
        texts = [text if len(text) else np.array([PADDING], np.int32) for text in texts]
        lengths = np.array([len(text) for text in texts], np.int64)
        order = np.argsort(-lengths, kind="stable")
        last = np.zeros((len(texts), len(self._fc)), np.float32)
        for first, end in _groups(lengths[order].tolist(), self._words):
            group = order[first : end + 1]
            reading = _Reading([texts[place] for place in group], self._embedding, self._layers, self._words)
            last[group] = reading.last_states().T
        return last @ self._fc + self._fc_bias


class _Way:
    """A layer in one direction."""

    def __init__(self, packed: Packed, cell: Cell, suffix: str) -> None:
        weight_ih, weight_hh, bias_ih, bias_hh = (
            _arranged(packed.parameters[f"rnn.{name}_{suffix}"].dense(), cell)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        self.hidden = weight_hh.shape[1]
        self.backward = suffix.endswith("reverse")
        self.states = cell.states
        self._step = cell.step
        late = cell.late * self.hidden
        self._bias = (bias_ih + np.where(np.arange(len(bias_hh)) < late, bias_hh, 0))[:, None]
        self._late = bias_hh[late:, None]
        self._inputs = product(weight_ih)
        bounds = np.cumsum((0, *cell.parts)) * self.hidden
        self._hidden = [product(weight_hh[a:b]) for a, b in pairwise(bounds)]

    def run(self, inputs: np.ndarray, counts: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Read some positions of texts, and return the outputs, (hidden, words).

        Args:
            inputs: (inputs, words) position after position, each with the texts that are long enough.
            counts: (positions,) the number of these texts.
            states: (states, hidden, texts), overwritten with those after the last position.
        """
        outputs = np.empty((self.hidden, inputs.shape[1]), np.float32)
        ends = counts.cumsum()
        blocks = _groups(counts.tolist(), max(1, GATES // len(self._bias)))
        for first, last in reversed(blocks) if self.backward else blocks:
            start = int(ends[first] - counts[first])
            gates = self._inputs(inputs[:, start : ends[last]])
            gates += self._bias
            positions = range(first, last + 1)
            for position in reversed(positions) if self.backward else positions:
                count, end = int(counts[position]), int(ends[position])
                now = states[:, :, :count]
                self._step(gates[:, end - count - start : end - start], now, self._hidden, self._late)
                outputs[:, end - count : end] = now[0]
        return outputs


def _arranged(weight: np.ndarray, cell: Cell) -> np.ndarray:
    """Return a weight or a bias with its blocks in the order of the cell's step, the logistic ones halved."""
    blocks = weight.reshape(len(cell.order), -1, *weight.shape[1:])[list(cell.order)]
    blocks[: cell.logistic] *= np.float32(0.5)
    return blocks.reshape(weight.shape)


class _Reading:
    """Texts that are read together, in descending order of length."""

    def __init__(
        self, texts: Sequence[np.ndarray], embedding: Embedding, layers: Sequence[Sequence[_Way]], words: int
    ) -> None:
        self._texts, self._embedding, self._layers = texts, embedding, layers
        lengths = np.array([len(text) for text in texts], np.int64)
        # The number of texts longer than each position.
        self._counts = np.searchsorted(-lengths, -np.arange(lengths[0]), side="left")
        self._chunks = _groups(self._counts.tolist(), words)
        # By layer and direction: the states before each chunk; the last chunk and its outputs.
        self._before: dict[tuple[int, int], dict[int, np.ndarray]] = {}
        self._outputs: dict[tuple[int, int], tuple[int, np.ndarray]] = {}

    def last_states(self) -> np.ndarray:
        """Return the last layer's final states in all directions, (features, texts)."""
        last = [self._read(layer, way) for layer, ways in enumerate(self._layers) for way in range(len(ways))]
        return np.concatenate(last[-len(self._layers[-1]) :])

    def _read(self, layer: int, way: int) -> np.ndarray:
        """Run a layer over all chunks, keep its states before each, and return the final state."""
        runner = self._layers[layer][way]
        states = np.zeros((runner.states, runner.hidden, len(self._texts)), np.float32)
        before = self._before.setdefault((layer, way), {})
        chunks = range(len(self._chunks))
        for chunk in reversed(chunks) if runner.backward else chunks:
            before[chunk] = states.copy()
            self._run(layer, way, chunk, states)
        return states[0]

    def _run(self, layer: int, way: int, chunk: int, states: np.ndarray) -> np.ndarray:
        first, last = self._chunks[chunk]
        inputs = self._vectors(first, last) if layer == 0 else self._read_below(layer - 1, chunk)
        outputs = self._layers[layer][way].run(inputs, self._counts[first : last + 1], states)
        self._outputs[layer, way] = chunk, outputs
        return outputs

    def _read_below(self, layer: int, chunk: int) -> np.ndarray:
        """Return the outputs of a layer in all its directions, (features, words)."""
        found = []
        for way in range(len(self._layers[layer])):
            kept, outputs = self._outputs[layer, way]
            if kept != chunk:
                outputs = self._run(layer, way, chunk, self._before[layer, way][chunk].copy())
            found.append(outputs)
        return np.concatenate(found)

    def _vectors(self, first: int, last: int) -> np.ndarray:
        """Return the words' vectors at some positions, (dim, words)."""
        counts = self._counts[first : last + 1]
        if len(self._texts) == 1:
            ids = self._texts[0][first : last + 1]
        else:
            inside = [text[first : last + 1] for text in self._texts[: counts[0]]]
            columns = np.zeros((len(counts), len(inside)), np.int64)
            for place, text in enumerate(inside):
                columns[: len(text), place] = text
            ids = columns[np.arange(len(inside)) < counts[:, None]]
        return np.ascontiguousarray(self._embedding.of(ids).T)


def _groups(counts: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Return the first and last positions of consecutive groups whose sum is at most `most`, or of single positions."""
    groups: list[tuple[int, int]] = []
    start, total = 0, 0
    for position, count in enumerate(counts):
        if position > start and total + count > most:
            groups.append((start, position - 1))
            start, total = position, 0
        total += count
    return [*groups, (start, len(counts) - 1)] if counts else []
