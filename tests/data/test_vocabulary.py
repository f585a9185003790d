"""Words: how texts fall into them, which are known, in what order, and that special words cannot be written."""

import sys
from collections import Counter

import pytest
from building import build_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import PADDING, UNKNOWN, spacy_words


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def words_of(text: str, tokenizer: Tokenizer | None = None) -> list[str]:
    tokenizer = tokenizer or build_tokenizer([[text]], Splitter.words, 1000)
    return [vocabulary(tokenizer)[number] for number in tokenizer.encode(text).ids]


@pytest.mark.parametrize(("text", "words"), [
    ("The cat SAT.", ["the", "cat", "sat", "."]),
    ("don't (really) stop!?", ["don", "'", "t", "(", "really", ")", "stop", "!", "?"]),
    ("$3.50 — 10%", ["$", "3", ".", "50", "—", "10", "%"]),
    ("Ünïcode\u3000漢字 😀 a_b", ["ünïcode", "漢字", "😀", "a", "_", "b"]),
    ("tabs\tand\nlines\r\n  gaps ", ["tabs", "and", "lines", "gaps"]),
    ("", []),
])  # fmt: skip
def test_texts_fall_into_lower_cased_words_and_single_punctuation_marks(text, words):
    assert words_of(text) == words


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=9).map(" ".join), min_size=1), st.integers(1, 9))
def test_the_most_frequent_words_are_kept_and_no_more(texts, most):
    counts = Counter(word for text in texts for word in text.split())
    expected = [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
    assert vocabulary(build_tokenizer([texts], Splitter.words, most)) == ["<unk>", "<pad>", *expected]


def test_a_word_that_the_texts_lack_is_unknown():
    tokenizer = build_tokenizer([["a b"]], Splitter.words, 1000)
    assert tokenizer.encode("b zebra A").ids == [3, UNKNOWN, 2]


@pytest.mark.parametrize("text", ["a <pad> b <unk>", "<PAD><unk>a", "<pad>"])
def test_a_text_that_spells_the_special_words_has_none_of_them(text):
    tokenizer = build_tokenizer([[text]], Splitter.words, 1000)
    assert not {UNKNOWN, PADDING} & set(tokenizer.encode(text).ids)
    assert vocabulary(tokenizer).count("<pad>") == 1


@given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
def test_no_text_that_was_counted_has_a_special_word(texts):
    tokenizer = build_tokenizer([texts], Splitter.words, 10_000)
    for text in texts:
        assert all(number > PADDING for number in tokenizer.encode(text).ids)
        assert bool(tokenizer.encode(text).ids) == bool(text.translate(dict.fromkeys(range(28, 32), "x")).strip())


@pytest.mark.parametrize(
    ("splitter", "text"),
    [(Splitter.words, "a b c <pad> ünï, 😀"), (Splitter.letters, "A <pad>\n\r\ntab\t \0é漢😀")],
)
def test_a_tokenizer_survives_being_written(splitter, text):
    tokenizer = build_tokenizer([[text]], splitter, 1000)
    again = Tokenizer.from_str(tokenizer.to_str())
    assert vocabulary(again) == vocabulary(tokenizer)
    assert again.encode(f"zebra {text}").ids == tokenizer.encode(f"zebra {text}").ids
    assert again.to_str() == tokenizer.to_str()


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    "text",
    ["Aa  a", "<pad>", "<unk> <PAD>", "one\ntwo\r\n\n\tthree", "e\u0301 漢字 👩\u200d👧 \0\u2028\u2029\x85\x1c", ""],
)
def test_every_character_of_a_text_is_a_letter_as_it_stands(text):
    tokenizer = build_tokenizer([[text]], Splitter.letters, 1000)
    assert words_of(text, tokenizer) == list(text)


@pytest.mark.slow
@given(st.lists(any_text, min_size=1, max_size=20), st.integers(1, 30))
def test_letters_are_ordered_by_frequency_then_by_code_point_and_no_more_are_kept(texts, most):
    counts = Counter("".join(texts))
    expected = [letter for letter, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
    for order in (texts, texts[::-1]):
        tokenizer = build_tokenizer([order], Splitter.letters, most)
        assert vocabulary(tokenizer) == ["<unk>", "<pad>", *expected]
    numbers = {letter: number for number, letter in enumerate(expected, start=2)}
    for text in texts:
        assert tokenizer.encode(text).ids == [numbers.get(letter, UNKNOWN) for letter in text]


def test_spacy_that_is_not_installed_is_named_with_the_remedy(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with refused("data.tokenizer", "spacy is not installed", "lt-lightning[spacy]", "data.tokenizer=words"):
        build_tokenizer([["a"]], Splitter.spacy, 10)


def test_spacy_cuts_as_its_blank_english_tokenizer_does():
    spacy = pytest.importorskip("spacy")
    text = "Don't  stop\n\nthe U.S. <pad>, e.g. $3.50!"
    cut = spacy_words()
    tokenizer = build_tokenizer([[text, "the end"]], Splitter.spacy, 1000)
    encoding = tokenizer.encode(cut(text), is_pretokenized=True)
    words = [vocabulary(tokenizer)[number] for number in encoding.ids]
    assert words == [str(token).lower() for token in spacy.blank("en")(text) if not str(token).isspace()]
    assert words[:6] == ["do", "n't", "stop", "the", "u.s.", "<"]
    assert vocabulary(tokenizer)[2] == "the"
