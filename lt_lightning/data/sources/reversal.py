"""Draw random strings and their reversals, a task of any size and difficulty. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from lt_lightning.data.alphabet import check_alphabet
from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed

MOST_STRINGS = 10_000_000
"""The largest number of strings; they fit into memory easily."""


def check_reversal(
    alphabet: str, lengths: Sequence[int], train_rows: int, test_rows: int, valid_fraction: float
) -> None:
    """Check that enough different strings exist and every split gets some.

    Args:
        alphabet: the letters of the strings.
        lengths: the shortest and the longest.
        train_rows: strings to train on and to validate.
        test_rows: strings to test.
        valid_fraction: the fraction of `train_rows` that validates.

    Raises:
        SettingError: names the setting that is wrong.
    """
    check_alphabet(alphabet)
    if len(lengths) != 2 or not 1 <= lengths[0] <= lengths[1]:
        raise SettingError(
            f"data.lengths: {list(lengths)} is not a shortest and a longest, 1 ≤ shortest ≤ longest; give two, "
            "such as [3, 12]"
        )
    for key, rows, least in (("train_rows", train_rows, 2), ("test_rows", test_rows, 1)):
        if rows < least:
            raise SettingError(f"data.{key}: {rows} is too small: it must be at least {least}")
    if train_rows + test_rows > MOST_STRINGS:
        raise SettingError(
            f"data.train_rows: {train_rows:,} strings and {test_rows:,} to test (data.test_rows) are more than "
            f"{MOST_STRINGS:,}; use fewer"
        )
    if not 0 < round(valid_fraction * train_rows) < train_rows:
        part = "validate" if valid_fraction < 0.5 else "train on"
        raise SettingError(
            f"data.valid_fraction: {valid_fraction} of {train_rows:,} strings leaves none to {part}; "
            "use more data.train_rows, or another fraction"
        )
    there = 0
    for length in range(lengths[0], lengths[1] + 1):
        there += len(alphabet) ** length
        if there >= train_rows + test_rows:
            return
    raise SettingError(
        f"data.train_rows: {train_rows:,} strings and {test_rows:,} to test (data.test_rows) are more than the "
        f"{there:,} that there are of {lengths[0]} to {lengths[1]} of {len(alphabet)} letters; use fewer, or longer "
        "ones (data.lengths)"
    )


def draw_reversals(
    alphabet: str, lengths: tuple[int, int], train_rows: int, test_rows: int, seed: int, valid_fraction: float
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Draw different random strings and reverse each; the arguments have passed `check_reversal`.

    Lengths are equally likely as far as possible: if a length has too few strings, all of them are taken, and longer
    lengths share the rest equally.

    Returns:
        The splits `train`, `valid` and `test`, each of pairs of a string and its reversal.
    """
    generator = np.random.default_rng(derive_seed(seed, "reversal"))
    strings = [
        string
        for length, count in _shares(len(alphabet), lengths, train_rows + test_rows)
        for string in _draw_distinct(count, length, alphabet, generator)
    ]
    pairs = [(strings[place], strings[place][::-1]) for place in generator.permutation(len(strings))]
    valid_rows = round(valid_fraction * train_rows)
    return {
        "train": tuple(pairs[valid_rows:train_rows]),
        "valid": tuple(pairs[:valid_rows]),
        "test": tuple(pairs[train_rows:]),
    }


def _shares(letters: int, lengths: tuple[int, int], total: int) -> Iterator[tuple[int, int]]:
    """Yield each length and its number of strings."""
    shortest, longest = lengths
    for length in range(shortest, longest + 1):
        # Shortest first: lengths that cannot give an equal share are shorter than all that can.
        count = min(letters**length, total // (longest - length + 1))
        yield length, count
        total -= count


def _draw_distinct(count: int, length: int, alphabet: str, generator: np.random.Generator) -> list[str]:
    """Draw `count` different strings of one length."""
    letters = len(alphabet)
    if letters**length < 2 * count:  # most are wanted: enumerate them all
        numbers = generator.permutation(letters**length)[:count].astype(np.int64)
        return _spell(numbers[:, None] // letters ** np.arange(length) % letters, alphabet)
    strings: dict[str, None] = {}
    while len(strings) < count:
        drawn = generator.integers(letters, size=(count - len(strings), length))
        strings.update(dict.fromkeys(_spell(drawn, alphabet)))
    return list(strings)


def _spell(numbers: Int64[np.ndarray, "strings length"], alphabet: str) -> list[str]:
    return ["".join([alphabet[number] for number in row]) for row in numbers.tolist()]
