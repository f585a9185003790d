"""A character language model without a network: counts of the symbols that followed the last few, with back-off.

What a network has to beat. Where a context was seen, each symbol seen after it gets its share of the counts, less a
discount; what the discounts leave is shared among the other symbols as the context without its oldest symbol would,
and so on down to no context at all, and at last to all symbols alike. So every symbol has a probability above zero.

With d the discount, N(c, w) how often symbol w followed context c, N(c) its sum and c⁻ the context less its oldest:

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


@dataclass(frozen=True)
class Level:
    """What followed the contexts of one length.

    A gram, that is a context and the symbol after it, is one number: its symbols are the digits, the oldest first, to
    the base of the number of symbols. A context is its digits' number.

    Attributes:
        grams: those seen, in ascending order.
        probabilities: that of each gram's last symbol after its context.
        contexts: those seen, in ascending order.
        backoffs: α of each context.
    """

    grams: Int64[np.ndarray, " grams"]
    probabilities: Float64[np.ndarray, " grams"]
    contexts: Int64[np.ndarray, " contexts"]
    backoffs: Float64[np.ndarray, " contexts"]


@dataclass(frozen=True)
class BackoffNgram:
    """An n-gram model with back-off, as `fit_ngram` makes it.

    Attributes:
        symbols: the number of symbols.
        boundary: the symbol that stands before and after each text.
        levels: what followed no context, contexts of one symbol, of two, …
    """

    symbols: int
    boundary: int
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        """The number of symbols in a context."""
        return len(self.levels) - 1

    def probabilities(self, context: tuple[int, ...]) -> Float64[Tensor, " symbols"]:
        """The probability of each symbol after a context of `order` symbols, the oldest first.

        Raises:
            ValueError: the context has another length, or holds what is no symbol.
        """
        if len(context) != self.order:
            raise ValueError(f"a context of {len(context)} symbols; this model reads {self.order}")
        if not all(0 <= symbol < self.symbols for symbol in context):
            raise ValueError(f"context {context}; a symbol is a number in 0 … {self.symbols - 1}")
        number = 0
        for symbol in context:
            number = number * self.symbols + symbol
        grams = number * self.symbols + np.arange(self.symbols)
        return torch.from_numpy(_probabilities(self.levels, self.symbols, grams))

    def bits(self, ids: Int[Tensor, " letters"], offsets: Int64[Tensor, " rows_and_1"]) -> float:
        """Bits per symbol that it takes to tell these texts: the mean of −log₂ p over letters and ends of texts.

        Args:
            ids: the symbols of all texts, one after another.
            offsets: text r is `ids[offsets[r]:offsets[r + 1]]`.

        Raises:
            ValueError: there are no texts, or they hold what is no symbol.
        """
        grams, counts = _count_grams(ids, offsets, self.symbols, self.boundary, self.order)
        return float(-np.log2(_probabilities(self.levels, self.symbols, grams)) @ counts / counts.sum())


def fit_ngram(
    ids: Int[Tensor, " letters"], offsets: Int64[Tensor, " rows_and_1"], symbols: int, boundary: int, order: int = 2
) -> BackoffNgram:
    """Count which symbol follows which, and turn the counts into probabilities.

    Each text is read with `order` boundaries before it, as context only, and one after it, which is predicted too.
    Only what occurs takes memory.

    Args:
        ids: the symbols of all texts, one after another.
        offsets: text r is `ids[offsets[r]:offsets[r + 1]]`.
        symbols: the number of symbols; each is a number in 0 … `symbols` − 1.
        boundary: the one that stands before and after a text.
        order: how many symbols before a symbol it is predicted from.

    Raises:
        ValueError: there are no texts, they or the boundary are no symbols, the order is negative, or so large that a
            gram's number does not fit into 63 bits.
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


def _count_grams(
    ids: Int[Tensor, " letters"], offsets: Int64[Tensor, " rows_and_1"], symbols: int, boundary: int, order: int
) -> tuple[Int64[np.ndarray, " grams"], Int64[np.ndarray, " grams"]]:
    """The grams that occur, in ascending order, and how often each does."""
    if len(offsets) < 2:
        raise ValueError("no texts: of n texts there are n + 1 offsets")
    starts = offsets.cpu().numpy()
    letters = ids.cpu().numpy()[starts[0] : starts[-1]]
    if len(letters) and not 0 <= letters.min() <= letters.max() < symbols:
        raise ValueError(f"symbols from {letters.min()} to {letters.max()}; each must be in 0 … {symbols - 1}")
    texts = len(starts) - 1
    # All texts in a row, each between its boundaries; then the predicted places are those without the ones before.
    row = np.full(len(letters) + texts * (order + 1), boundary, dtype=np.int64)
    row[np.arange(len(letters)) + np.repeat(np.arange(texts) * (order + 1) + order, np.diff(starts))] = letters
    predicted = np.ones(len(row), dtype=bool)
    predicted[(starts[:-1] - starts[0] + np.arange(texts) * (order + 1))[:, None] + np.arange(order)] = False
    grams = np.zeros(len(row) - order, dtype=np.int64)
    for place in range(order + 1):
        grams *= symbols
        grams += row[place : len(row) - order + place]
    return np.unique(grams[predicted[order:]], return_counts=True)


def _discount(
    grams: Int64[np.ndarray, " grams"], counts: Int64[np.ndarray, " grams"], below: tuple[Level, ...], symbols: int
) -> Level:
    """Probabilities from counts, over the levels of shorter contexts."""
    contexts, first, places, seen = np.unique(
        grams // symbols, return_index=True, return_inverse=True, return_counts=True
    )
    totals = np.add.reduceat(counts, first)
    # A context that every symbol followed has none to give to.
    discounts = np.where(seen < symbols, _absolute_discount(counts), 0.0)
    of_seen = np.add.reduceat(_probabilities(below, symbols, grams), first)
    spare = np.where(seen < symbols, 1 - of_seen, 1.0)
    return Level(grams, (counts - discounts[places]) / totals[places], contexts, discounts * seen / totals / spare)


def _absolute_discount(counts: Int64[np.ndarray, " grams"]) -> float:
    """n₁ / (n₁ + 2 n₂), from the number of grams that occur once and twice; ½ where either is none.

    Without grams of one of the two that would be 0 or 1, and leave the unseen or those seen once no probability.
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else 0.5


def _probabilities(
    levels: tuple[Level, ...], symbols: int, grams: Int64[np.ndarray, " grams"]
) -> Float64[np.ndarray, " grams"]:
    """The probability of each gram's last symbol after the rest of it."""
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
    """Where each number is in the others, and whether it is there at all."""
    places = np.searchsorted(ascending, numbers).clip(max=len(ascending) - 1)
    return places, ascending[places] == numbers
