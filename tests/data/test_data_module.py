"""The DataModule: splits, vocabulary, ids and loaders fit together, and hold what each of them promises."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lt_lightning.config.enums import Splitter
from lt_lightning.data.corpus import load_corpus, make_corpus
from lt_lightning.data.module import TextDataModule, check_longest
from lt_lightning.data.tokenizer import PADDING, UNKNOWN

ROWS = 200

CPU = SimpleNamespace(root_device=torch.device("cpu"))


@pytest.fixture
def corpus(data_config, rows_of):
    """Each text has a word of its own, beside some that all have, and between one and nine words."""
    texts = [f"own{number} the " + "of " * (number % 8) for number in range(ROWS)]
    tests = [f"test{number} the the" for number in range(30)]
    splits = {"train": rows_of(texts, ["a", "b", "b", "c"] * (ROWS // 4)), "test": rows_of(tests, ["a", "b", "c"] * 10)}
    return make_corpus(data_config(), "here", splits)


@pytest.fixture
def module_of(corpus, data_config, embedding_config, own_cache):
    def module_of(seed=0, embedding=None, **changes):
        return TextDataModule(corpus, data_config(**changes), embedding or embedding_config(name="random"), seed)

    return module_of


def rows_of_part(data: TextDataModule, part: str) -> list[list[int]]:
    texts = data.texts[part]
    return [texts.ids[start:end].tolist() for start, end in zip(texts.offsets[:-1], texts.offsets[1:], strict=True)]


def test_parts_have_the_sizes_that_were_asked_for(module_of):
    assert module_of().rows == {"train": 140, "valid": 60, "test": 30}
    assert module_of(limit=100, valid_fraction=0.1).rows == {"train": 90, "valid": 10, "test": 30}
    assert module_of(limit=10_000).rows == {"train": 140, "valid": 60, "test": 30}


def test_a_limit_that_leaves_too_little_is_refused(module_of, refused):
    for limit in (1, 2, 4):
        with refused("data.valid_fraction", f"data.limit={limit}"):
            module_of(limit=limit)


def test_the_vocabulary_is_the_training_part_s(module_of):
    data = module_of()
    assert data.words[:4] == ["<unk>", "<pad>", "of", "the"]
    own = [word for word in data.words if word.startswith("own")]
    assert len(own) == data.rows["train"]
    assert not [word for word in data.words if word.startswith("test")]
    for part, known in (("train", True), ("valid", False), ("test", False)):
        first_words = [ids[0] for ids in rows_of_part(data, part)]
        assert {word != UNKNOWN for word in first_words} == {known}
    assert len({ids[0] for ids in rows_of_part(data, "train")}) == data.rows["train"]


def test_letters_have_the_same_numbers_whatever_rows_are_drawn(module_of, corpus):
    counts = Counter("".join(corpus.splits["train"]["text"]))
    expected = ["<unk>", "<pad>", *sorted(counts, key=lambda letter: (-counts[letter], letter))]
    for changes in ({}, {"seed": 1}, {"limit": 30}, {"valid_fraction": 0.6}):
        assert module_of(tokenizer=Splitter.letters, **changes).words == expected


def test_letters_that_only_the_test_split_has_are_unknown(module_of, corpus):
    data = module_of(tokenizer=Splitter.letters)
    assert "s" not in data.words  # of "test"
    for ids, text in zip(rows_of_part(data, "test"), corpus.splits["test"]["text"], strict=True):
        assert [data.words[number] for number in ids] == [letter if letter != "s" else "<unk>" for letter in text]


def test_ids_are_the_words_of_the_texts(module_of, corpus):
    data = module_of()
    for ids, text in zip(rows_of_part(data, "test"), corpus.splits["test"]["text"], strict=True):
        assert [data.words[number] for number in ids] == ["<unk>", *text.split()[1:]]
    trained = {data.words[ids[0]]: ids for ids in rows_of_part(data, "train")}
    for word, ids in trained.items():
        number = int(word.removeprefix("own"))
        assert [data.words[number] for number in ids] == [word, "the", *["of"] * (number % 8)]


def test_words_and_lengths_are_limited(module_of):
    data = module_of(max_vocab=1, max_length=1)
    assert data.words == ["<unk>", "<pad>", "of"]
    assert all(set(texts.lengths.tolist()) == {1} for texts in data.texts.values())
    assert set(data.texts["test"].ids.tolist()) == {UNKNOWN}


def test_the_seed_draws_the_validation_part_and_the_order(module_of):
    one, again, other = module_of(seed=1), module_of(seed=1), module_of(seed=2)
    assert one.words == again.words != other.words
    for part in ("train", "valid", "test"):
        assert rows_of_part(one, part) == rows_of_part(again, part)
    orders = [[batch.ids.tolist() for batch in data.train_dataloader()] for data in (one, again, other)]
    assert orders[0] == orders[1] != orders[2]


def test_the_round_is_another_order_of_the_same_rows(module_of):
    data = module_of()
    first = [batch.ids[:, 0].tolist() for batch in data.train_dataloader()]
    data.round = 1
    second = [batch.ids[:, 0].tolist() for batch in data.train_dataloader()]
    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_loaders_hand_out_every_row_once(module_of, part):
    data = module_of()
    texts = data.texts[{"val": "valid"}.get(part, part)]
    loader = getattr(data, f"{part}_dataloader")()
    batches = list(loader)
    assert len(loader) == len(batches) == -(-len(texts.labels) // 4)
    seen = Counter()
    for batch in batches:
        assert batch.global_rows == len(batch.labels) <= 4
        assert batch.global_words == int((batch.ids != PADDING).sum())
        assert batch.ids.dtype == torch.int64
        for row, length, label in zip(batch.ids.tolist(), batch.lengths.tolist(), batch.labels.tolist(), strict=True):
            assert row[length:] == [PADDING] * (len(row) - length)
            assert PADDING not in row[:length]
            seen[(*row[:length], label)] += 1
    data_rows = zip(rows_of_part(data, {"val": "valid"}.get(part, part)), texts.labels.tolist(), strict=True)
    assert seen == Counter((*ids, label) for ids, label in data_rows)


def test_only_training_is_shuffled(module_of):
    data = module_of()
    for loader in (data.val_dataloader, data.test_dataloader):
        lengths = [length for batch in loader() for length in batch.lengths.tolist()]
        assert lengths == sorted(lengths)
    data.round = 5
    assert [batch.ids.tolist() for batch in data.test_dataloader()] == [
        batch.ids.tolist() for batch in module_of().test_dataloader()
    ]


def test_processes_share_every_step(module_of):
    data = module_of()
    seen: list[int] = []
    for rank in range(2):
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank, strategy=CPU)  # pyright: ignore
        seen += [int(row[0]) for batch in data.train_dataloader() for row in batch.ids]
    data.trainer = None  # pyright: ignore
    alone = [int(row[0]) for batch in data.train_dataloader() for row in batch.ids]
    assert sorted(seen) == sorted(alone)
    assert len(seen) == data.rows["train"]


def test_vectors_are_the_vocabulary_s(module_of, embedding_config, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 1 2 3\nother 4 5 6\nof 7 8 9\n")
    data = module_of(embedding=embedding_config(path=str(path)))
    assert data.words_found == 2
    assert data.vectors is not None
    assert data.vectors.shape == (len(data.words), 3)
    assert data.vectors[data.words.index("the")].tolist() == [1, 2, 3]
    assert data.vectors[data.words.index("of")].tolist() == [7, 8, 9]
    assert int(data.vectors.isnan().all(dim=1).sum()) == len(data.words) - 2


def test_without_vectors_nothing_is_found_or_missed(module_of):
    data = module_of()
    assert data.vectors is None
    assert data.words_found is None


def test_other_seeds_and_limits_cut_nothing_anew(module_of, own_cache, monkeypatch):
    changes = [{"seed": 3}, {"limit": 50}, {"valid_fraction": 0.5}, {"max_vocab": 7}, {"max_length": 2}]
    alone = []
    for change in changes:
        alone.append(module_of(**change))
        for path in own_cache.iterdir():
            path.unlink()
    module_of()
    monkeypatch.setattr("lt_lightning.data.encoding.number_words", lambda *_: pytest.fail("cut again"))
    for change, expected in zip(changes, alone, strict=True):
        data = module_of(**change)
        assert data.words == expected.words
        assert data.tokenizer.to_str() == expected.tokenizer.to_str()
        for part in ("train", "valid", "test"):
            assert rows_of_part(data, part) == rows_of_part(expected, part)


CODE = """
import sys
from pathlib import Path
from lt_lightning.config.models import RandomVectors
from lt_lightning.config.sources import Texts
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule, check_longest
config = Texts(path=sys.argv[1], max_vocab=100, batch_size=4)
data = TextDataModule(load_corpus(config), config, RandomVectors(dim=3), 0)
print([batch.ids.tolist() for batch in data.train_dataloader()])
"""


@pytest.mark.slow
def test_another_process_finds_the_ids_in_the_cache_and_has_the_same_batches(corpus, module_of, own_cache, tmp_path):
    for split, rows in corpus.splits.items():
        rows.to_csv(tmp_path / f"{split}.csv")
    here = [batch.ids.tolist() for batch in module_of(max_vocab=100).train_dataloader()]
    files = {path: path.stat().st_mtime_ns for path in own_cache.iterdir()}
    environment = {"HF_DATASETS_CACHE": str(own_cache.parent), "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{here}\n"
    assert {path: path.stat().st_mtime_ns for path in own_cache.iterdir()} == files


def test_spacy_s_words_are_encoded_as_they_are_counted(module_of):
    pytest.importorskip("spacy")
    data = module_of(tokenizer=Splitter.spacy)
    assert data.words[:4] == ["<unk>", "<pad>", "of", "the"]
    assert all(word != UNKNOWN for ids in rows_of_part(data, "train") for word in ids)


def test_real_articles_are_batched_with_little_padding(ag_news, data_config, embedding_config, own_cache):
    config = data_config(path=str(ag_news), limit=3000, batch_size=64, max_vocab=50_000)
    corpus = load_corpus(config)
    some = replace(corpus, splits={**corpus.splits, "test": corpus.splits["test"].select(range(500))})
    data = TextDataModule(some, config, embedding_config(name="random"), 0)
    assert data.rows == {"train": 2100, "valid": 900, "test": 500}
    words = data.texts["train"].lengths.double()
    assert 35 < words.mean() < 50
    batches = list(data.train_dataloader())
    assert sum(batch.ids.numel() for batch in batches) < 1.15 * words.sum()
    assert {len(batch.labels) for batch in batches} == {64, 2100 % 64}
    unknown = (data.texts["test"].ids == UNKNOWN).double().mean()
    assert 0 < unknown < 0.15
    assert (data.texts["train"].ids != UNKNOWN).all()
    counts = np.bincount(data.texts["train"].ids.numpy())[2:]
    assert (np.diff(counts) <= 0).all()  # the most frequent words first


def test_a_text_that_no_memory_holds_in_training_is_refused(refused):
    check_longest(1_000_000, batch_size=64, dim=100, memory=8 << 30)
    with refused("data.max_length", "40,000,000 words", "76 GiB", "data.max_length=1000"):
        check_longest(40_000_000, batch_size=64, dim=100, memory=64 << 30)
