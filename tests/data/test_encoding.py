"""Ids: each text's words as the tokenizer numbers them, worked out once, and worked out anew when anything changed."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lt_lightning.config import Splitter
from lt_lightning.data import encoding
from lt_lightning.data.encoding import EncodedTexts, encode
from lt_lightning.data.vocabulary import build_tokenizer, cutter, vocabulary

TEXTS = [f"text {number} of many, " + "word " * (number % 7) for number in range(2500)]


def dataset(texts: list[str]) -> datasets.Dataset:
    names = datasets.ClassLabel(names=["a", "b"])
    return datasets.Dataset.from_dict(
        {"text": texts, "label": [number % 2 for number in range(len(texts))]},
        features=datasets.Features({"text": datasets.Value("large_string"), "label": names}),
    )


def rows_of(texts: EncodedTexts) -> list[list[int]]:
    return [texts.ids[start:end].tolist() for start, end in zip(texts.offsets[:-1], texts.offsets[1:], strict=True)]


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """How many texts each tokenisation was given."""
    counts = []

    def counting(splitter: Splitter):
        def cut(texts):
            counts.append(len(texts))
            return cutter(splitter)(texts)

        return cut

    monkeypatch.setattr(encoding, "cutter", counting)
    return counts


@pytest.fixture
def tokenizer():
    return build_tokenizer([TEXTS], Splitter.words, 1000)


def cache_of(tmp_path: Path) -> Path:
    (tmp_path / "ids").mkdir(exist_ok=True)
    return tmp_path / "ids"


def test_texts_become_one_flat_tensor_with_offsets(tmp_path):
    tokenizer = build_tokenizer([["b a", "a"]], Splitter.words, 1000)
    texts = encode(dataset(["a b", "", "zebra a", "b"]), tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert texts.ids.tolist() == [2, 3, 0, 2, 3]
    assert texts.offsets.tolist() == [0, 2, 2, 4, 5]
    assert texts.lengths.tolist() == [2, 0, 2, 1]
    assert texts.labels.tolist() == [0, 1, 0, 1]
    assert [tensor.dtype for tensor in texts] == [torch.int32, torch.int64, torch.int64]


@pytest.mark.parametrize("max_length", [None, 1, 4, 1000])
def test_ids_are_the_tokenizer_s_cut_to_the_length(tmp_path, tokenizer, max_length):
    texts = encode(dataset(TEXTS), tokenizer, Splitter.words, max_length, cache_of(tmp_path))
    assert rows_of(texts) == [tokenizer.encode(text).ids[:max_length] for text in TEXTS]


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=30))
def test_any_texts_are_encoded(tmp_path_factory, texts):
    tokenizer = build_tokenizer([texts[::2]], Splitter.words, 20)
    encoded = encode(dataset(texts), tokenizer, Splitter.words, None, tmp_path_factory.mktemp("ids"))
    assert rows_of(encoded) == [tokenizer.encode(text).ids for text in texts]


@pytest.mark.parametrize("max_length", [None, 4])
def test_letters_are_encoded_letter_by_letter(tmp_path, max_length):
    texts = ["Two words\n", "<pad>", "", " a"]
    tokenizer = build_tokenizer([texts], Splitter.letters, 1000)
    encoded = encode(dataset(texts), tokenizer, Splitter.letters, max_length, cache_of(tmp_path))
    letters = vocabulary(tokenizer)
    assert ["".join(letters[number] for number in ids) for ids in rows_of(encoded)] == [t[:max_length] for t in texts]


def test_a_selection_of_rows_is_encoded_as_selected(tmp_path, tokenizer):
    rows = np.array([7, 3, 2000, 3])
    texts = encode(dataset(TEXTS).select(rows), tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert rows_of(texts) == [tokenizer.encode(TEXTS[row]).ids for row in rows]
    assert texts.labels.tolist() == [row % 2 for row in rows]


def test_the_second_time_nothing_is_tokenised(tmp_path, tokenizer, counted):
    first = encode(dataset(TEXTS), tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert sum(counted) == len(TEXTS)
    again = encode(dataset(TEXTS), tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert sum(counted) == len(TEXTS)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_what_is_changed_is_tokenised_anew(tmp_path, tokenizer, counted):
    rows, cache = dataset(TEXTS), cache_of(tmp_path)
    other_words = build_tokenizer([TEXTS], Splitter.words, 5)
    encode(rows, tokenizer, Splitter.words, None, cache)
    for texts, words, max_length in [
        (rows, tokenizer, 3),
        (rows, other_words, None),
        (dataset([*TEXTS[:-1], "other"]), tokenizer, None),
        (rows.select(range(2500)), tokenizer, 2),
    ]:
        counted.clear()
        encoded = encode(texts, words, Splitter.words, max_length, cache)
        assert sum(counted) == len(TEXTS)
        assert rows_of(encoded) == [words.encode(text).ids[:max_length] for text in texts["text"]]


def test_labels_are_never_the_cache_s(tmp_path, tokenizer, counted):
    rows = dataset(TEXTS)
    encode(rows, tokenizer, Splitter.words, None, cache_of(tmp_path))
    swapped = datasets.Dataset(
        rows.data.table.set_column(1, "label", [[1 - label for label in rows["label"]]]), fingerprint=rows._fingerprint
    )
    texts = encode(swapped, tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert sum(counted) == len(TEXTS)
    assert texts.labels.tolist() == [1 - number % 2 for number in range(len(TEXTS))]


@pytest.mark.parametrize("damage", ["empty", "junk", "cut short", "cut at a batch"])
def test_a_damaged_cache_is_replaced(tmp_path, tokenizer, counted, caplog, damage):
    cache = cache_of(tmp_path)
    whole = encode(dataset(TEXTS), tokenizer, Splitter.words, None, cache)
    [file] = cache.iterdir()
    content = file.read_bytes()
    shorter = encode(dataset(TEXTS[:1000]), tokenizer, Splitter.words, 1, tmp_path)  # another valid file, of fewer rows
    assert len(shorter.labels) == 1000
    [other] = tmp_path.glob("*.arrow")
    file.write_bytes(
        {
            "empty": b"",
            "junk": b"junk" * 100,
            "cut short": content[: len(content) // 2],
            "cut at a batch": other.read_bytes(),
        }[damage]
    )
    for tokenised in (len(TEXTS), 0):  # once, and then the cache is good again
        counted.clear()
        with caplog.at_level(logging.WARNING):
            again = encode(dataset(TEXTS), tokenizer, Splitter.words, None, cache)
        assert sum(counted) == tokenised
        assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))
    assert [message.split(" (")[0] for message in caplog.messages] == ["the cache of word ids is damaged"]


@pytest.mark.slow
def test_two_processes_at_once_get_the_same_ids_and_leave_one_file(tmp_path, tokenizer):
    (tmp_path / "texts").write_text("\n".join(TEXTS))
    (tmp_path / "tokenizer").write_text(tokenizer.to_str())
    code = """
import sys
from pathlib import Path
import datasets
from tokenizers import Tokenizer
from lt_lightning.config import Splitter
from lt_lightning.data.encoding import encode
folder = Path(sys.argv[1])
names = datasets.ClassLabel(names=["a", "b"])
texts = (folder / "texts").read_text().split("\\n")
rows = datasets.Dataset.from_dict(
    {"text": texts, "label": [number % 2 for number in range(len(texts))]},
    features=datasets.Features({"text": datasets.Value("large_string"), "label": names}),
)
encoded = encode(rows, Tokenizer.from_file(str(folder / "tokenizer")), Splitter.words, None, folder / "ids")
print(encoded.ids.sum().item(), encoded.offsets.sum().item())
"""
    cache_of(tmp_path)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    said = {process.communicate()[0] for process in processes}
    here = encode(dataset(TEXTS), tokenizer, Splitter.words, None, cache_of(tmp_path))
    assert said == {f"{here.ids.sum()} {here.offsets.sum()}\n"}
    assert len(list((tmp_path / "ids").iterdir())) == 1
