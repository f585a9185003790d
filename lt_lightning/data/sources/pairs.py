"""Load pairs of strings, given in the settings or drawn at random. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lt_lightning.config.sources import Pairs, Reversal
from lt_lightning.data.alphabet import check_alphabet, is_surrogate, name_letter, show
from lt_lightning.data.sources.reversal import check_reversal, draw_reversals
from lt_lightning.errors import SettingError


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
        """Return how many pairs each split lost: none."""
        return dict.fromkeys(self.splits, 0)

    @property
    def reading(self) -> dict[str, Any]:
        """Return nothing: no file was read."""
        return {}

    @property
    def notes(self) -> list[str]:
        """Return no notes: reading pairs involves no choices."""
        return []


def load_pairs(config: Pairs | Reversal, seed: int) -> PairCorpus:
    """Load the pairs of the `data` group. Pairs of the settings are the same in all splits; `seed` draws random ones.

    Raises:
        SettingError: the pairs are invalid, or too many are requested.
    """
    alphabet = find_alphabet(config)
    if isinstance(config, Pairs):
        pairs = tuple((given, expected) for given, expected in config.pairs)
        return PairCorpus(config.name, "data.pairs", alphabet, dict.fromkeys(("train", "valid", "test"), pairs))
    (shortest, longest), train_rows, test_rows = config.lengths, config.train_rows, config.test_rows
    valid_fraction = config.valid_fraction
    splits = draw_reversals(alphabet, (shortest, longest), train_rows, test_rows, seed, valid_fraction)
    recipe = f"{alphabet} {shortest} {longest} {train_rows} {valid_fraction} {test_rows}"
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
        if isinstance(pair, str) or not _are_two_strings(pair):
            raise SettingError(
                f"data.pairs: {_show_item(pair)} is not two strings; write each pair as [given, expected], and "
                "quote everything but plain words"
            )
        if "" in tuple(pair):
            raise SettingError(f"data.pairs: {_show_item(pair)} has an empty string; give it a letter, or leave it out")
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


def _are_two_strings(pair: Any) -> bool:
    return isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(string, str) for string in pair)


def _show_item(item: Any) -> str:
    """Return an item's repr, shortened."""
    shown = repr(item)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
