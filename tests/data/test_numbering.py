"""Words cut in one pass are those that the tokenizers library cuts one text after another, and as often."""

import string
import tracemalloc
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from lt_lightning.config.enums import Splitter
from lt_lightning.data import encoding
from lt_lightning.data import tokenizer as cutting
from lt_lightning.data.encoding import NumberedTexts, choose_words, number_words
from lt_lightning.data.tokenizer import make_tokenizer

WORDS = make_tokenizer([], Splitter.words)
SURROGATES = range(0xD800, 0xE000)


def words_of(texts: NumberedTexts) -> list[list[str]]:
    words = texts.words.to_pylist()
    bounds = zip(texts.offsets[:-1], texts.offsets[1:], strict=True)
    return [[words[number] for number in texts.ids[start:end]] for start, end in bounds]


def library_s_words(text: str) -> list[str]:
    assert WORDS.normalizer is not None
    assert WORDS.pre_tokenizer is not None
    return [piece for piece, _ in WORDS.pre_tokenizer.pre_tokenize_str(WORDS.normalizer.normalize_str(text))]


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
odd_text = st.text(
    st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000.,-_'$+aZİΣςßǅ—«»¿、।\0\x7f"), max_size=40
)
batches_of_texts = st.lists(st.lists(any_text | odd_text, max_size=6), max_size=4)


@pytest.mark.slow
@settings(max_examples=300)
@given(batches_of_texts)
@example([["ΟΔΟΣ Σ. İstanbul ǅ"], [], ["", "\n", "a\nb\x1fc\x85d"]])
def test_words_are_the_library_s(batches):
    numbered = number_words(batches, Splitter.words)
    assert words_of(numbered) == [library_s_words(text) for texts in batches for text in texts]
    words = numbered.words.to_pylist()
    assert words == sorted({word for texts in batches for text in texts for word in library_s_words(text)})
    assert numbered.ids.dtype == np.int32
    assert numbered.offsets.dtype == np.int64


def around(code: int) -> str:
    """A character between others, alone, twice, and before and after letters whose lower case depends on neighbours."""
    letter = chr(code)
    return f"x{letter}Y {letter} {letter}{letter} AΣ{letter} {letter}Σ.{letter}İ"


def check(codes: list[int]) -> None:
    texts = [around(code) for code in codes]
    batches = [texts[start : start + 1000] for start in range(0, len(texts), 1000)]
    for text, words in zip(texts, words_of(number_words(batches, Splitter.words)), strict=True):
        assert words == library_s_words(text), ascii(text)


def test_every_character_that_is_lowered_or_stands_apart_does_as_in_the_library():
    """All of the first scripts, and of the rest a third of those that Python calls no plain letters."""
    special = [c for c in range(0x30000) if unicodedata.category(chr(c))[0] in "PSZ" or chr(c).lower() != chr(c)]
    assert len(special) > 9000
    check([*range(0x600), *special[::3]])


@pytest.mark.slow
def test_every_character_of_unicode_does_as_in_the_library():
    """All of the planes with scripts, and a sixteenth of the others: ideographs, private or not assigned."""
    check([code for code in (*range(0x20000), *range(0x20000, 0x110000, 16)) if code not in SURROGATES])


@given(batches_of_texts)
def test_letters_are_all_characters(batches):
    numbered = number_words(batches, Splitter.letters)
    assert words_of(numbered) == [list(text) for texts in batches for text in texts]
    assert numbered.words.to_pylist() == sorted(set("".join("".join(texts) for texts in batches)))


def test_spacy_s_words_are_lowered():
    spacy = pytest.importorskip("spacy")
    text = "Don't  STOP\n\nthe U.S. <pad>, Σ"
    expected = [str(token).lower() for token in spacy.blank("en")(text) if not str(token).isspace()]
    assert words_of(number_words([[text, ""]], Splitter.spacy)) == [expected, []]


@given(st.lists(any_text | odd_text, min_size=1, max_size=20), st.integers(1, 30))
def test_the_words_that_are_chosen_are_those_that_the_library_s_trainer_chooses(texts, most):
    reference = Tokenizer(models.WordLevel({}, unk_token="<unk>"))
    reference.normalizer = normalizers.Lowercase()
    reference.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    trainer = trainers.WordLevelTrainer(vocab_size=most, special_tokens=[], show_progress=False)
    reference.train_from_iterator(texts, trainer)
    numbered = number_words([texts], Splitter.words)
    chosen = choose_words(numbered.words, np.bincount(numbered.ids, minlength=len(numbered.words)), most)
    assert {word: number for number, word in enumerate(chosen.to_pylist())} == reference.get_vocab()


def test_what_was_not_counted_is_not_chosen():
    numbered = number_words([[string.ascii_lowercase.replace("", " ")]], Splitter.words)
    counts = np.zeros(26, dtype=np.int64)
    counts[[3, 7]] = 2, 5
    assert choose_words(numbered.words, counts, 10).to_pylist() == ["h", "d"]


@pytest.mark.slow
@settings(max_examples=100)
@given(batches_of_texts, st.integers(1, 20), st.integers(1, 20))
def test_texts_that_are_cut_in_pieces_have_the_same_words(batches, portion, piece):
    whole = {splitter: number_words(batches, splitter) for splitter in (Splitter.words, Splitter.letters)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PORTION", portion)
        patch.setattr(cutting, "PIECE", piece)
        for splitter, expected in whole.items():
            found = number_words(batches, splitter)
            assert words_of(found) == words_of(expected)
            assert found.words.equals(expected.words)


@pytest.mark.slow
@pytest.mark.parametrize(("splitter", "ids"), [(Splitter.words, 1_000_000), (Splitter.letters, 3_600_000)])
def test_a_long_text_takes_little_more_memory_than_its_ids(splitter, ids, monkeypatch):
    monkeypatch.setattr(encoding, "PORTION", 1 << 16)
    text = "some words, of a text that goes on. " * 100_000
    tracemalloc.start()
    try:
        numbered = number_words([["a", text, "b"]], splitter)
        assert tracemalloc.get_traced_memory()[1] < 2 * 4 * ids + 12e6
    finally:
        tracemalloc.stop()
    assert np.diff(numbered.offsets).tolist() == [1, ids, 1]
