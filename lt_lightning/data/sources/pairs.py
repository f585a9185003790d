"""Load pairs of strings, given in the settings or drawn at random. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int64

from lt_lightning.config.sources import Pairs, Reversal
from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed

SHOWN = 40
"""The largest number of characters of a string in an error message."""


def check_alphabet(alphabet: str) -> None:
    """Raise a `SettingError` unless the alphabet has two or more different letters."""
    for place, letter in enumerate(alphabet):
        if letter in alphabet[:place]:
            raise SettingError(f"data.alphabet: {show(letter)} is in {show(alphabet)} twice; give each letter once")
        if is_surrogate(letter):
            raise SettingError(f"data.alphabet: {show(letter)} is half a character; write it in UTF-8, or leave it out")
    if len(alphabet) < 2:
        held = f"{show(alphabet)} is a single letter" if alphabet else "it is empty"
        raise SettingError(f"data.alphabet: {held}; give two or more, such as abc")


def is_surrogate(letter: str) -> bool:
    """Return whether a character is half of one, as a command line that is not UTF-8 gives; it cannot be encoded."""
    return "\ud800" <= letter <= "\udfff"


def show(text: str) -> str:
    """Return a string in quotes, on one line, shortened."""
    return repr(text) if len(text) <= SHOWN else f"{text[: SHOWN - 1]!r}…"


def name_letter(letter: str) -> str:
    """Return a letter, or a unique name for an invisible one.

    >>> name_letter("a"), name_letter(" "), name_letter(chr(10))
    ('a', 'space', 'U+000A')
    """
    if letter.isprintable() and letter != " ":
        return letter
    name = unicodedata.name(letter, None)
    return name.lower() if name else f"U+{ord(letter):04X}"


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
    """Draw different random strings and reverse each; `check_reversal` has accepted the arguments.

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


@dataclass(frozen=True)
class PairCorpus:
    """Pairs of strings.

    Attributes:
        name: a short name.
        source: where the pairs come from.
        alphabet: the letters, in the order of their ids.
        splits: `train`, `valid` and `test`, each of (given, expected) pairs.
        recipe: how random pairs are drawn, without the seed; empty for others.
    """

    reading: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    notes: ClassVar[tuple[str, ...]] = ()
    name: str
    source: str
    alphabet: str
    splits: Mapping[str, tuple[tuple[str, str], ...]]
    recipe: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return a name for each letter, in the order of the ids."""
        return tuple(map(name_letter, self.alphabet))

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each split's content, or of the recipe of random pairs, which all seeds share."""
        return {
            split: hashlib.blake2b(json.dumps(self.recipe or pairs).encode(), digest_size=8).hexdigest()
            for split, pairs in self.splits.items()
        }

    @property
    def dropped(self) -> dict[str, int]:
        """Return the number of pairs that each split lost: 0."""
        return dict.fromkeys(self.splits, 0)


def load_pairs(config: Pairs | Reversal, seed: int) -> PairCorpus:
    """Load the pairs of the `data` group. Pairs of the settings are the same in all splits; `seed` draws random ones.

    Raises:
        SettingError: the pairs are invalid, or too many are requested.
    """
    alphabet = find_alphabet(config)
    if isinstance(config, Pairs):
        pairs = tuple((given, expected) for given, expected in config.pairs)
        return PairCorpus(config.name, "data.pairs", alphabet, dict.fromkeys(("train", "valid", "test"), pairs))
    shortest, longest = config.lengths
    sizes = config.train_rows, config.test_rows
    splits = draw_reversals(alphabet, (shortest, longest), *sizes, seed, config.valid_fraction)
    recipe = f"{alphabet} {shortest} {longest} {config.train_rows} {config.valid_fraction} {config.test_rows}"
    return PairCorpus(config.name, "random strings, drawn with the seed", alphabet, splits, recipe)


def find_alphabet(config: Pairs | Reversal) -> str:
    """Check the settings of pairs and return the alphabet; raise a `SettingError` if they are invalid."""
    if isinstance(config, Pairs):
        return check_pairs(config.pairs, config.alphabet)
    check_reversal(config.alphabet, config.lengths, config.train_rows, config.test_rows, config.valid_fraction)
    return config.alphabet


def check_pairs(pairs: Any, alphabet: str | None) -> str:
    """Check that pairs are two strings of known letters, and return the alphabet.

    Args:
        pairs: (given, expected) pairs.
        alphabet: the letters, in the order of their ids; None for those of the pairs, as they first occur.

    Raises:
        SettingError: names the first invalid pair or unknown letter.
    """
    if not isinstance(pairs, Sequence) or not pairs:
        raise SettingError("data.pairs: it is empty; give some, such as [[hihell, ihello]]")
    for pair in pairs:
        shown = repr(pair) if len(repr(pair)) <= 80 else f"{repr(pair)[:79]}…"
        are_two = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        if isinstance(pair, str) or not are_two:
            raise SettingError(
                f"data.pairs: {shown} is not two strings; write each pair as [given, expected], and "
                "quote everything but plain words"
            )
        if "" in tuple(pair):
            raise SettingError(f"data.pairs: {shown} has an empty string; give it a letter, or leave it out")
    if alphabet is not None:
        check_alphabet(alphabet)
    letters = alphabet or "".join(dict.fromkeys(letter for pair in pairs for string in pair for letter in string))
    known = set(letters)
    for string in (string for pair in pairs for string in pair):
        for letter in string:
            if letter not in known:
                raise SettingError(
                    f"data.pairs: {show(letter)} in {show(string)} is not in data.alphabet ({show(letters)}); add it "
                    "there, or leave data.alphabet=null"
                )
            if is_surrogate(letter):
                raise SettingError(
                    f"data.pairs: {show(letter)} in {show(string)} is half a character; write it in UTF-8, or leave it "
                    "out"
                )
    if len(letters) < 2:
        raise SettingError(f"data.pairs: {show(letters)} is their only letter; use two or more, or give data.alphabet")
    return letters


def check_equal_lengths(pairs: Iterable[Sequence[str]]) -> None:
    """Raise a `SettingError` unless both strings of each pair have the same length."""
    for given, expected in pairs:
        if len(given) != len(expected):
            raise SettingError(
                f"data.pairs: {show(given)} has {len(given)} letters and {show(expected)} {len(expected)}; this model "
                "gives a letter for each letter: make them equally long, or choose another model"
            )
