"""One step of recurrent cells in NumPy, in place; `lt_lightning.models.rnn.cells` has the equations.

Matrices have a column per text; gates are stacked as in torch, in blocks of `hidden` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]
"""Multiply a weight by a matrix: (inputs, texts) to (outputs, texts)."""
Step = Callable[[np.ndarray, np.ndarray, Sequence[Product], np.ndarray], None]
"""Takes the inputs' part of the gates (overwritten), the states (states, hidden, texts; overwritten with the new ones),
the products with the hidden weights' parts, and the part of their bias that cannot be added beforehand."""


@dataclass(frozen=True)
class Cell:
    """A kind of cell."""

    step: Step  # computes the states after a word
    states: int  # the number of state vectors
    parts: tuple[int, ...]  # the number of blocks in each part of the hidden weights
    late: int  # the first block whose hidden bias is not added to the inputs' beforehand


def _rnn(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    gates += hidden[0](states[0])
    np.tanh(gates, out=states[0])


def _gru(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], late: np.ndarray) -> None:
    h = states[0]
    size, past = len(h), hidden[0](h)
    past[2 * size :] += late
    gates[: 2 * size] += past[: 2 * size]
    r, z = _sigmoid(gates[: 2 * size]).reshape(2, size, -1)
    n = past[2 * size :]
    n *= r
    n += gates[2 * size :]
    np.tanh(n, out=n)
    h -= n
    h *= z
    h += n


def _gru_chung(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    h = states[0]
    size = len(h)
    gates[: 2 * size] += hidden[0](h)
    r, z = _sigmoid(gates[: 2 * size]).reshape(2, size, -1)
    n = gates[2 * size :]
    n += hidden[1](r * h)
    np.tanh(n, out=n)
    n -= h
    n *= z
    h += n


def _lstm(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    h, c = states
    size = len(h)
    gates += hidden[0](h)
    i, f = _sigmoid(gates[: 2 * size]).reshape(2, size, -1)
    g = np.tanh(gates[2 * size : 3 * size])
    c *= f
    g *= i
    c += g
    np.tanh(c, out=h)
    h *= _sigmoid(gates[3 * size :])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(−x)), computed without overflow."""
    result = values * np.float32(0.5)
    np.tanh(result, out=result)
    result *= np.float32(0.5)
    result += np.float32(0.5)
    return result


CELLS: Mapping[str, Cell] = MappingProxyType({
    "rnn": Cell(_rnn, states=1, parts=(1,), late=1),
    "gru": Cell(_gru, states=1, parts=(3,), late=2),
    "gru_chung": Cell(_gru_chung, states=1, parts=(2, 1), late=3),
    "lstm": Cell(_lstm, states=2, parts=(4,), late=4),
})  # fmt: skip
"""Cells by their names in the settings."""
