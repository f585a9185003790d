"""One step of recurrent cells in NumPy; `lt_lightning.models.rnn.cells` has the equations.

Matrices have a column per text. Gates are stacked in blocks of `hidden` rows, those with the logistic function first.
Their weights and biases are halved beforehand: as σ(x) = (1 + tanh(x / 2)) / 2, one tanh then computes all gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]
"""Multiply a weight by a matrix: (inputs, texts) to (outputs, texts)."""
Step = Callable[[np.ndarray, np.ndarray, Sequence[Product], np.ndarray], None]
"""Takes the inputs' part of the gates, the states (states, hidden, texts; overwritten with the new ones),
the products with the hidden weights' parts, and the part of their bias that cannot be added beforehand."""


@dataclass(frozen=True)
class Cell:
    """A kind of cell."""

    step: Step  # computes the states after a word
    states: int  # the number of state vectors
    order: tuple[int, ...]  # torch's blocks in the order of the steps here
    logistic: int  # how many of them, the first ones, have the logistic function
    parts: tuple[int, ...]  # the number of blocks in each part of the hidden weights
    late: int  # the first block whose hidden bias is not added to the inputs' beforehand


def _rnn(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    now = hidden[0](states[0])
    now += gates
    np.tanh(now, out=states[0])


def _gru(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], late: np.ndarray) -> None:
    h = states[0]
    size, now = len(h), hidden[0](h)
    n = now[2 * size :]
    n += late
    now[: 2 * size] += gates[: 2 * size]
    r, z = _logistic(np.tanh(now[: 2 * size], out=now[: 2 * size]), 2)
    n *= r
    n += gates[2 * size :]
    np.tanh(n, out=n)
    h -= n
    h *= z
    h += n


def _gru_chung(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    h = states[0]
    size, now = len(h), hidden[0](h)
    now += gates[: 2 * size]
    r, z = _logistic(np.tanh(now, out=now), 2)
    r *= h
    n = hidden[1](r)
    n += gates[2 * size :]
    np.tanh(n, out=n)
    n -= h
    n *= z
    h += n


def _lstm(gates: np.ndarray, states: np.ndarray, hidden: Sequence[Product], _late: np.ndarray) -> None:
    h, c = states
    size, now = len(h), hidden[0](h)
    now += gates
    np.tanh(now, out=now)
    i, f, o = _logistic(now[: 3 * size], 3)
    g = now[3 * size :]
    g *= i
    c *= f
    c += g
    np.tanh(c, out=h)
    h *= o


def _logistic(tanhs: np.ndarray, blocks: int) -> np.ndarray:
    """Compute the logistic function of x in place from tanh(x / 2), and return it by block, (blocks, hidden, texts)."""
    tanhs *= np.float32(0.5)
    tanhs += np.float32(0.5)
    return tanhs.reshape(blocks, -1, tanhs.shape[1])


CELLS: Mapping[str, Cell] = MappingProxyType({
    "rnn": Cell(_rnn, states=1, order=(0,), logistic=0, parts=(1,), late=1),
    "gru": Cell(_gru, states=1, order=(0, 1, 2), logistic=2, parts=(3,), late=2),
    "gru_chung": Cell(_gru_chung, states=1, order=(0, 1, 2), logistic=2, parts=(2, 1), late=3),
    "lstm": Cell(_lstm, states=2, order=(0, 1, 3, 2), logistic=3, parts=(4,), late=4),
})  # fmt: skip
"""Cells by their names in the settings."""
