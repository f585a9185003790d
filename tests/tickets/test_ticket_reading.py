"""A ticket reads texts as training did, however long they are and however odd."""

import sys
import tracemalloc
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lt_lightning.config.enums import Splitter
from lt_lightning.data import tokenizer as cutting
from lt_lightning.data.tokenizer import make_tokenizer, spacy_words
from lt_lightning.errors import SettingError
from lt_lightning.tickets import reading
from lt_lightning.tickets.reading import Reader

WORDS = ("the", "a", ",", "-", "i̇", "don", "'", "t", "z", "é", "word", "。", "\n", " ", "A")
TOKENIZERS = {splitter: make_tokenizer(WORDS, splitter) for splitter in (Splitter.words, Splitter.letters)}

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
odd_text = st.lists(st.sampled_from([*WORDS, "İ", "A", "\t", "\x1f", "\x85", "\u3000", "x$y", "Don't"]), max_size=30)
texts_of_all_kinds = st.lists(any_text | odd_text.map("".join) | odd_text.map(" ".join), max_size=6)


def reader(splitter: Splitter = Splitter.words, max_length: int | None = None) -> Reader:
    return Reader(WORDS, np.arange(2, 2 + len(WORDS)), splitter, max_length)


@settings(max_examples=200, deadline=None)
@given(
    texts_of_all_kinds,
    st.sampled_from([Splitter.words, Splitter.letters]),
    st.none() | st.integers(1, 9),
    st.sampled_from([1, 3, 10, 1 << 16]),
)
def test_ids_are_the_tokenizers(texts: list[str], splitter: Splitter, max_length: int | None, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (reading, cutting):
            patch.setattr(module, "PIECE", piece)
        found = reader(splitter, max_length).read(texts)
    assert [ids.tolist() for ids in found] == [TOKENIZERS[splitter].encode(text).ids[:max_length] for text in texts]
    assert all(ids.dtype == np.int32 for ids in found)


def test_words_that_are_not_listed_are_unknown_and_ids_may_have_gaps() -> None:
    ids = Reader(["red", "blue"], np.array([7, 40]), Splitter.words, None).read(["Red, white, BLUE", "", "<pad> <unk>"])
    assert [text.tolist() for text in ids] == [[7, 0, 0, 0, 40], [], [0] * 6]


def test_half_a_surrogate_pair_is_read_as_a_replacement_character() -> None:
    half = "\ud800"
    words = Reader(["a\ufffd", "b"], np.array([2, 3]), Splitter.words, None)
    assert [ids.tolist() for ids in words.read(["b", f"a{half} b"])] == [[3], [2, 3]]
    letters = Reader(["\ufffd", "😀"], np.array([2, 3]), Splitter.letters, 2)
    assert letters.read([half, "\ud83d\ude00ab"])[0].tolist() == [2]
    assert letters.read(["\ud83d\ude00ab"])[0].tolist() == [3, 0]  # both halves are one character


def test_a_very_long_text_takes_little_more_memory_than_its_ids() -> None:
    text = "the word, a word; " * 60_000
    read = reader().read
    read([text[:1000]])
    tracemalloc.start()
    (ids,) = read([text])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ids) == 360_000
    assert peak < 2 * ids.nbytes + 4_000_000  # as words it would be 20 MB and more


def test_spacy_s_words_are_those_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def tokens(text: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(text=word, is_space=not word.strip()) for word in text.replace(",", " ,").split(" ")]

    spacy = ModuleType("spacy")
    monkeypatch.setattr(spacy, "blank", lambda language: SimpleNamespace(tokenizer=tokens), raising=False)
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    for module in (reading, cutting):
        monkeypatch.setattr(module, "PIECE", 7)
    texts = ["The word, a WORD", "", "don ' t \n the"]
    expected = [[WORDS.index(word.lower()) + 2 for word in spacy_words()(text)] for text in texts]
    assert [ids.tolist() for ids in reader(Splitter.spacy).read(texts)] == expected


def test_spacy_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(SettingError, match=r"spaCy, which is not installed; pip install"):
        reader(Splitter.spacy)
