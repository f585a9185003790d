"""Ids: each text's words as the tokenizer numbers them; words are cut once, and anew when texts changed."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from building import build_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lt_lightning.config.enums import Splitter
from lt_lightning.data import encoding
from lt_lightning.data.encoding import EncodedTexts, NumberedTexts, encode, number_of_each, number_words, read_words

TEXTS = [f"text {number} of many, " + "word " * (number % 7) for number in range(2500)]


def dataset(texts: list[str]) -> datasets.Dataset:
    names = datasets.ClassLabel(names=["a", "b"])
    return datasets.Dataset.from_dict(
        {"text": texts, "label": [number % 2 for number in range(len(texts))]},
        features=datasets.Features({"text": datasets.Value("large_string"), "label": names}),
    )


def encoded(
    texts: list[str],
    tokenizer: Tokenizer,
    splitter: Splitter = Splitter.words,
    max_length: int | None = None,
    rows: list[int] | None = None,
) -> EncodedTexts:
    numbered = number_words([texts], splitter)
    known = [tokenizer.id_to_token(number) for number in range(2, tokenizer.get_vocab_size())]
    labels = np.arange(len(texts)) % 2
    chosen = np.arange(len(texts)) if rows is None else np.array(rows, dtype=np.int64)
    numbers = number_of_each(numbered.words, pa.array(known, pa.large_string()))
    return encode(numbered, numbers, labels, chosen, max_length)


def rows_of(texts: EncodedTexts) -> list[list[int]]:
    return [texts.ids[start:end].tolist() for start, end in zip(texts.offsets[:-1], texts.offsets[1:], strict=True)]


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    counts = []

    def counting(texts, splitter):
        def count():
            for batch in texts:
                counts.append(len(batch))
                yield batch

        return number_words(count(), splitter)

    monkeypatch.setattr(encoding, "number_words", counting)
    return counts


@pytest.fixture
def tokenizer():
    return build_tokenizer([TEXTS], Splitter.words, 1000)


def cache_of(tmp_path: Path) -> Path:
    (tmp_path / "ids").mkdir(exist_ok=True)
    return tmp_path / "ids"


def same(one: NumberedTexts, other: NumberedTexts) -> bool:
    return (
        one.words.equals(other.words)
        and np.array_equal(one.ids, other.ids)
        and np.array_equal(one.offsets, other.offsets)
    )


def words_of(texts: NumberedTexts) -> list[list[str]]:
    words = texts.words.to_pylist()
    bounds = zip(texts.offsets[:-1], texts.offsets[1:], strict=True)
    return [[words[number] for number in texts.ids[start:end]] for start, end in bounds]


def test_texts_become_one_flat_tensor_with_offsets():
    tokenizer = build_tokenizer([["b a", "a"]], Splitter.words, 1000)
    texts = encoded(["a b", "", "zebra a", "b"], tokenizer)
    assert texts.ids.tolist() == [2, 3, 0, 2, 3]
    assert texts.offsets.tolist() == [0, 2, 2, 4, 5]
    assert texts.lengths.tolist() == [2, 0, 2, 1]
    assert texts.labels.tolist() == [0, 1, 0, 1]
    assert [tensor.dtype for tensor in texts] == [torch.int32, torch.int64, torch.int64]


@pytest.mark.slow
@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=30), st.none() | st.integers(1, 5), st.data())
def test_any_rows_of_any_texts_are_encoded(texts, max_length, data):
    rows = sorted(data.draw(st.sets(st.integers(0, len(texts) - 1))))
    tokenizer = build_tokenizer([texts[::2]], Splitter.words, 20)
    some = encoded(texts, tokenizer, max_length=max_length, rows=rows)
    assert rows_of(some) == [tokenizer.encode(texts[row]).ids[:max_length] for row in rows]
    assert some.labels.tolist() == [row % 2 for row in rows]


@pytest.mark.parametrize("max_length", [None, 4])
def test_letters_are_encoded_letter_by_letter(max_length):
    texts = ["Two words\n", "<pad>", "", " a"]
    tokenizer = build_tokenizer([texts], Splitter.letters, 1000)
    ids = rows_of(encoded(texts, tokenizer, Splitter.letters, max_length))
    assert ["".join(map(tokenizer.id_to_token, row)) for row in ids] == [text[:max_length] for text in texts]


def test_a_selection_of_rows_is_read_as_selected(tmp_path):
    rows = np.array([7, 3, 2000, 3])
    texts = read_words(dataset(TEXTS).select(rows), Splitter.words, cache_of(tmp_path))
    assert words_of(texts) == [TEXTS[row].replace(",", " ,").split() for row in rows]


@pytest.mark.parametrize("splitter", [Splitter.words, Splitter.letters])
def test_the_second_time_nothing_is_cut(tmp_path, counted, splitter):
    first = read_words(dataset(TEXTS), splitter, cache_of(tmp_path))
    assert sum(counted) == len(TEXTS)
    again = read_words(dataset(TEXTS), splitter, cache_of(tmp_path))
    assert sum(counted) == len(TEXTS)
    assert same(first, again)
    assert same(again, number_words([TEXTS], splitter))


def test_texts_without_any_word_are_kept_too(tmp_path, counted):
    for _ in range(2):
        texts = read_words(dataset([" ", ""]), Splitter.words, cache_of(tmp_path))
        assert words_of(texts) == [[], []]
        assert sum(counted) == 2


def test_what_is_changed_is_cut_anew(tmp_path, counted):
    cache = cache_of(tmp_path)
    read_words(dataset(TEXTS), Splitter.words, cache)
    for texts, splitter in [
        (TEXTS, Splitter.letters),
        ([*TEXTS[:-1], "other"], Splitter.words),
        (TEXTS[:-1], Splitter.words),
    ]:
        counted.clear()
        assert same(read_words(dataset(texts), splitter, cache), number_words([texts], splitter))
        assert sum(counted) == len(texts)


def test_another_version_of_the_tokenizers_is_asked_anew(tmp_path, counted, monkeypatch):
    read_words(dataset(TEXTS), Splitter.words, cache_of(tmp_path))
    monkeypatch.setattr(encoding, "version", lambda library: f"another {library}")
    read_words(dataset(TEXTS), Splitter.words, cache_of(tmp_path))
    assert sum(counted) == 2 * len(TEXTS)


def test_what_is_kept_is_mapped_and_not_loaded(tmp_path):
    for _ in range(2):
        texts = read_words(dataset(TEXTS), Splitter.words, cache_of(tmp_path))
    assert isinstance(texts.ids.base, np.memmap) or isinstance(texts.ids, np.memmap)
    assert not texts.ids.flags.writeable


CODE = """
import sys
from pathlib import Path
import datasets
from lt_lightning.config.enums import Splitter
from lt_lightning.data.encoding import read_words
folder = Path(sys.argv[1])
rows = datasets.Dataset.from_dict({"text": (folder / "texts").read_text().split("\\n")})
read = read_words(rows, Splitter.words, folder / "ids")
print(read.ids.sum(), read.offsets.sum(), len(read.words))
"""


@pytest.mark.slow
def test_two_processes_at_once_get_the_same_words_and_leave_one_file(tmp_path):
    (tmp_path / "texts").write_text("\n".join(TEXTS))
    cache_of(tmp_path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in "12"
    ]
    said = {process.communicate()[0] for process in processes}
    here = number_words([TEXTS], Splitter.words)
    assert said == {f"{here.ids.sum()} {here.offsets.sum()} {len(here.words)}\n"}
    assert len(list((tmp_path / "ids").iterdir())) == 1
