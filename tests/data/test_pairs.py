"""Pairs of strings: what they may be, which letters make an alphabet, and that refusing them loads nothing."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.config.sources import Pairs, Reversal
from lt_lightning.data.sources.pairs import (
    PairCorpus,
    check_alphabet,
    check_equal_lengths,
    check_pairs,
    is_surrogate,
    load_pairs,
    name_letter,
    show,
)

strings = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@pytest.fixture(scope="session")
def pairs_config():
    def pairs_config(**changes):
        return replace(Pairs(pairs=[["hihell", "ihello"]]), **changes)

    return pairs_config


@pytest.fixture(scope="session")
def reversal_config():
    def reversal_config(**changes):
        small = {"alphabet": "abcd", "lengths": [2, 5], "train_rows": 50, "valid_fraction": 0.2, "test_rows": 20}
        return replace(Reversal(**small), **changes)

    return reversal_config


def test_letters_are_in_the_order_of_their_first_appearance():
    assert check_pairs([["hihell", "ihello"]], None) == "hielo"
    assert check_pairs([("ba", "c"), ("d", "ae")], None) == "bacde"


def test_an_alphabet_that_is_given_is_kept_in_its_order():
    assert check_pairs([["hihell", "ihello"]], "olleh i".replace("l", "", 1)) == "oleh i"


@given(
    st.lists(st.tuples(strings, strings), min_size=1, max_size=9).filter(lambda p: len(set("".join(sum(p, ())))) > 1)
)
def test_any_strings_are_pairs_and_every_letter_of_theirs_is_known_once(pairs):
    alphabet = check_pairs(pairs, None)
    assert sorted(alphabet) == sorted({letter for pair in pairs for string in pair for letter in string})
    assert check_pairs(pairs, alphabet[::-1]) == alphabet[::-1]


@pytest.mark.parametrize(("pairs", "alphabet", "words"), [
    (None, None, ["data.pairs: ", "it is empty", "[[hihell, ihello]]"]), ([], None, ["data.pairs: ", "it is empty"]),
    ([["ab", "ba"], ["ab"]], None, ["data.pairs: ['ab'] is not two strings", "[given, expected]"]),
    ([["a", "b", "c"]], None, ["data.pairs: ['a', 'b', 'c'] is not two strings"]),
    (["ab"], None, ["data.pairs: 'ab' is not two strings"]),
    ([["ab", 1]], None, ["data.pairs: ['ab', 1] is not two strings"]),
    ([None], None, ["data.pairs: None is not two strings"]),
    ([["ab", ""]], None, ["data.pairs: ['ab', ''] has an empty string"]),
    ([["ab", "abx"]], "ab", ["data.pairs: 'x' in 'abx'", "data.alphabet ('ab')", "data.alphabet=null"]),
    ([["a\x1b\n", "b"]], "ab", [r"data.pairs: '\x1b' in 'a\x1b\n'"]),
    ([["aa", "a"]], None, ["data.pairs: 'a' is their only letter"]),
    ([["a", "b\udc80"]], None, [r"data.pairs: '\udc80' in 'b\udc80' is half a character"]),
    ([["a", "b"]], "aba", ["data.alphabet: 'a'", "twice"]),
    ([["a" * 500, "b" * 500 + "\n"]], "ab", ["data.pairs: ", "…"]), ([["ab"] * 500], None, ["data.pairs: ", "…"]),
])  # fmt: skip
def test_what_is_no_pair_is_refused_with_the_remedy(pairs, alphabet, words, refused):
    with refused(*words) as raised:
        check_pairs(pairs, alphabet)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 250


def test_strings_of_unequal_lengths_are_named_with_these(refused):
    check_equal_lengths([("ab", "ba"), ("abc", "xyz")])
    with refused("data.pairs: 'hihell' has 6 letters and 'ihell' 5", "another model"):
        check_equal_lengths([("ab", "ba"), ("hihell", "ihell")])


def test_pairs_are_learned_by_heart_all_splits_hold_them(pairs_config):
    corpus = load_pairs(pairs_config(), seed=0)
    assert (corpus.name, corpus.source, corpus.alphabet) == ("pairs", "data.pairs", "hielo")
    assert corpus.splits == dict.fromkeys(("train", "valid", "test"), (("hihell", "ihello"),))
    assert load_pairs(pairs_config(alphabet="oleih"), seed=0).alphabet == "oleih"


def test_reversals_are_drawn_with_the_seed(reversal_config):
    corpus = load_pairs(reversal_config(), seed=3)
    assert (corpus.name, corpus.source, corpus.alphabet) == ("reversal", "random strings, drawn with the seed", "abcd")
    assert {split: len(pairs) for split, pairs in corpus.splits.items()} == {"train": 40, "valid": 10, "test": 20}
    assert corpus == load_pairs(reversal_config(), seed=3) != load_pairs(reversal_config(), seed=4)


def test_letters_have_names_that_can_be_seen():
    corpus = PairCorpus("x", "here", "a \n漢", {})
    assert corpus.class_names == ("a", "space", "U+000A", "漢")


def test_fingerprints_tell_contents_apart_and_nothing_else():
    def fingerprint(*pairs):
        corpus = PairCorpus("x", "here", "ab", {"train": pairs, "test": (("a", "b"),)})
        assert corpus.dropped == {"train": 0, "test": 0}
        assert list(corpus.fingerprints) == ["train", "test"]
        return corpus.fingerprints["train"]

    some = [(), (("ab", "a"),), (("a", "ba"),), (("ab", "a"), ("a", "b")), (("a", "b"), ("ab", "a")), (("a,b", "a"),)]
    assert len({fingerprint(*pairs) for pairs in some}) == len(some)
    assert fingerprint(("a", "b")) == fingerprint(("a", "b"))
    assert int(fingerprint(("a", "b")), 16) >= 0


CODE = """
import sys
from lt_lightning.data.sources.pairs import check_equal_lengths, check_pairs, check_reversal, draw_reversals, load_pairs
check_pairs([["hihell", "ihello"]], None)
check_reversal("ab", [1, 3], 6, 4, 0.5)
draw_reversals("ab", (1, 3), 6, 4, 0, 0.5)
print(*{"torch", "pytorch_lightning", "lightning", "datasets", "tokenizers", "pyarrow"} & set(sys.modules))
"""


def test_the_checks_load_neither_torch_nor_lightning_nor_datasets():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@given(st.sets(st.characters(), min_size=2).map("".join))
def test_different_letters_make_an_alphabet_but_for_halves_of_characters(alphabet):
    if any("\ud800" <= letter <= "\udfff" for letter in alphabet):
        with pytest.raises(ValueError, match=r"data.alphabet: .*half a character"):
            check_alphabet(alphabet)
    else:
        check_alphabet(alphabet)


@pytest.mark.parametrize(("alphabet", "words"), [
    ("", ["it is empty"]), ("a", ["'a' is a single letter"]), ("aba", ["'a' is in 'aba' twice"]),
    ("a\n\n", [r"'\n' is in 'a\n\n' twice"]), ("a\udc80", [r"'\udc80' is half a character"]),
])  # fmt: skip
def test_what_is_no_alphabet_is_refused_with_the_remedy(alphabet, words, refused):
    with refused("data.alphabet: ", *words):
        check_alphabet(alphabet)


@given(st.text(max_size=200))
def test_a_string_is_shown_on_one_line_that_can_be_printed(text):
    shown = show(text)
    assert shown.isprintable()
    assert shown.encode()
    assert len(shown) <= 10 * 40 + 3  # each of forty characters takes ten at most


def test_every_character_has_a_name_of_its_own_that_can_be_seen():
    letters = [chr(code) for code in range(0x10000) if not is_surrogate(chr(code))]  # of the first plane: it is quick
    names = list(map(name_letter, letters))
    assert len(set(names)) == len(names)
    assert all(name.isprintable() and name.strip() for name in names)
    assert names[ord("a")] == "a"
    assert names[ord(" ")] == "space"
