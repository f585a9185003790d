"""A character language model from counts of the symbols that followed the last few, with back-off; the baseline.

After a context that was seen, each symbol seen after it gets its share of the counts, less a discount. The sum of the
discounts is shared among the other symbols according to the context without its oldest symbol, and so on down to the
empty context, and at last uniformly. So every symbol has a probability above zero.

With d the discount, N(c, w) the number of times that symbol w followed context c, N(c) its sum over w and c⁻ the
context without its oldest symbol:

    p(w | c) = (N(c, w) − d) / N(c)   if N(c, w) > 0
               α(c) p(w | c⁻)         otherwise, with α(c) such that the sum is 1; α(c) = 1 if c was never seen

See: Katz 1987, https://doi.org/10.1109/TASSP.1987.1165125, for the back-off; Ney, Essen and Kneser 1994,
https://doi.org/10.1006/csla.1994.1001, for the discount.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Int64
from torch import Tensor

Letters = Int[Tensor, " letters"]
"""The symbols of all texts, concatenated."""
Offsets = Int64[Tensor, " rows_and_1"]
"""The bounds of texts: text r is `ids[offsets[r]:offsets[r + 1]]`."""
Grams = Int64[np.ndarray, " grams"]
Shares = Float64[np.ndarray, " grams"]


@dataclass(frozen=True)
class Level:
    """The contexts of one length, and the symbols that followed them.

    A gram, that is a context and the symbol after it, is one number whose digits are its symbols, the oldest first, to
    the base of the number of symbols. A context is a number likewise.
    """

    grams: Grams  # the grams seen, ascending
    probabilities: Shares  # of each gram's last symbol after its context
    contexts: Int64[np.ndarray, " contexts"]  # the contexts seen, ascending
    backoffs: Float64[np.ndarray, " contexts"]  # α of each context


@dataclass(frozen=True)
class BackoffNgram:
    """An n-gram model with back-off, from `fit_ngram`."""

    symbols: int  # the number of symbols
    boundary: int  # the symbol before and after each text
    levels: tuple[Level, ...]  # the levels of contexts of 0, 1, 2, … symbols

    @property
    def order(self) -> int:
        """The number of symbols in a context."""
        return len(self.levels) - 1

    def probabilities(self, context: tuple[int, ...]) -> Float64[Tensor, " symbols"]:
        """Return the probability of each symbol after a context of `order` symbols, the oldest first."""
        number = 0
        for symbol in context:
            number = number * self.symbols + symbol
        grams = number * self.symbols + np.arange(self.symbols)
        return torch.from_numpy(_probabilities(self.levels, self.symbols, grams))

    def bits(self, ids: Letters, offsets: Offsets) -> float:
        """Return the bits per symbol of these texts: the mean of −log₂ p over letters and ends of texts.

        Raises:
            ValueError: there are no texts, or an id is not a symbol.
        """
        grams, counts = _count_grams(ids, offsets, self.symbols, self.boundary, self.order)
        return float(-np.log2(_probabilities(self.levels, self.symbols, grams)) @ counts / counts.sum())


def fit_ngram(ids: Letters, offsets: Offsets, symbols: int, boundary: int, order: int = 2) -> BackoffNgram:
    """Fit an n-gram model to texts, with `order` symbols in a context.

    Each text is read with `order` boundaries before it, as context only, and one after it, which is predicted too.
    Memory grows with the number of distinct grams. Symbols, the boundary among them, are the numbers 0 … `symbols` − 1.

    Raises:
        ValueError: there are no texts, an id or the boundary is not a symbol, or the order is negative or so large that
            a gram's number does not fit into 63 bits.
    """
    if order < 0 or symbols ** (order + 1) >= 2**63:
        raise ValueError(f"order {order} over {symbols} symbols; it must be ≥ 0 with symbols^(order + 1) < 2^63")
    if not 0 <= boundary < symbols:
        raise ValueError(f"boundary {boundary}; a symbol is a number in 0 … {symbols - 1}")
    counted = [_count_grams(ids, offsets, symbols, boundary, order)]
    for length in range(order, 0, -1):
        grams, counts = counted[-1]
        shorter, places = np.unique(grams % symbols**length, return_inverse=True)
        counted.append((shorter, np.bincount(places, weights=counts).astype(np.int64)))
    levels: tuple[Level, ...] = ()
    for grams, counts in reversed(counted):
        levels += (_discount(grams, counts, levels, symbols),)
    return BackoffNgram(symbols, boundary, levels)


def _count_grams(ids: Letters, offsets: Offsets, symbols: int, boundary: int, order: int) -> tuple[Grams, Grams]:
    """Return the grams that occur, ascending, and their counts."""
    if len(offsets) < 2:
        raise ValueError("no texts; n texts have n + 1 offsets")
    starts = offsets.cpu().numpy()
    letters = ids.cpu().numpy()[starts[0] : starts[-1]]
    if len(letters) and not 0 <= letters.min() <= letters.max() < symbols:
        raise ValueError(f"symbols from {letters.min()} to {letters.max()}; each must be in 0 … {symbols - 1}")
    texts = len(starts) - 1
    # All texts concatenated with their boundaries; all places but the boundaries before a text are predicted.
    row = np.full(len(letters) + texts * (order + 1), boundary, dtype=np.int64)
    row[np.arange(len(letters)) + np.repeat(np.arange(texts) * (order + 1) + order, np.diff(starts))] = letters
    predicted = np.ones(len(row), dtype=bool)
    predicted[(starts[:-1] - starts[0] + np.arange(texts) * (order + 1))[:, None] + np.arange(order)] = False
    grams = np.zeros(len(row) - order, dtype=np.int64)
    for place in range(order + 1):
        grams *= symbols
        grams += row[place : len(row) - order + place]
    return np.unique(grams[predicted[order:]], return_counts=True)


def _discount(grams: Grams, counts: Grams, below: tuple[Level, ...], symbols: int) -> Level:
    """Return the probabilities of one level from its counts and the levels of shorter contexts."""
    contexts, first, places, seen = np.unique(
        grams // symbols, return_index=True, return_inverse=True, return_counts=True
    )
    totals = np.add.reduceat(counts, first)
    # n₁ / (n₁ + 2 n₂) from the number of grams that occur once and twice. If there are none of either, that would be 0
    # or 1, and unseen grams or those seen once would have no probability.
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    discount = once / (once + 2 * twice) if once and twice else 0.5
    # A context that every symbol followed has no discount: there is no other symbol.
    discounts = np.where(seen < symbols, discount, 0.0)
    of_seen = np.add.reduceat(_probabilities(below, symbols, grams), first)
    spare = np.where(seen < symbols, 1 - of_seen, 1.0)
    return Level(grams, (counts - discounts[places]) / totals[places], contexts, discounts * seen / totals / spare)


def _probabilities(levels: tuple[Level, ...], symbols: int, grams: Grams) -> Shares:
    """Return the probability of each gram's last symbol after the rest."""
    probabilities = np.full(len(grams), 1 / symbols)
    for length, level in enumerate(levels):
        ends = grams % symbols ** (length + 1)
        place, seen = _find(ends // symbols, level.contexts)
        probabilities *= np.where(seen, level.backoffs[place], 1.0)
        place, seen = _find(ends, level.grams)
        probabilities = np.where(seen, level.probabilities[place], probabilities)
    return probabilities


def _find(
    numbers: Int64[np.ndarray, " numbers"], ascending: Int64[np.ndarray, " others"]
) -> tuple[Int64[np.ndarray, " numbers"], Bool[np.ndarray, " numbers"]]:
    """Return the position of each number in `ascending`, and whether it is there."""
    places = np.searchsorted(ascending, numbers).clip(max=len(ascending) - 1)
    return places, ascending[places] == numbers
