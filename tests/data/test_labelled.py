"""Texts to evaluate a ticket on: a class is found by its name, or its number, and rows are what training had."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from lt_lightning.config.models import RandomVectors
from lt_lightning.config.sources import TextConfig
from lt_lightning.data.corpus import Corpus, load_corpus, make_corpus
from lt_lightning.data.labelled import read_labelled_file, take_split
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.sources.files import read_parquet

NAMES = ("World", "Sports", "Business")


def write(path: Path, labels: list[Any]) -> Path:
    rows = [{"text": f"text {place}", "label": label} for place, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("labels", "names", "codes"), [
    (["Sports", "World", "Business"], NAMES, [1, 0, 2]),
    (["Sports", "Sports"], NAMES, [1, 1]),  # one class is enough to evaluate on
    ([2, 0], NAMES, [2, 0]),
    (["2", "0"], NAMES, [2, 0]),  # a .csv has no other numbers
    ([1, 2], ("1", "2"), [0, 1]),  # classes that are called by numbers
    ([0, 1], ("0", "1"), [0, 1]),
    ([-1, 1], ("-1", "1"), [0, 1]),
])  # fmt: skip
def test_labels_are_names_of_the_tickets_classes_or_their_numbers(labels, names, codes, tmp_path, data_config):
    found = read_labelled_file(write(tmp_path / "rows.jsonl", labels), data_config(), names)
    assert found.labels.tolist() == codes
    assert found.texts([len(labels) - 1]) == [f"text {len(labels) - 1}"]
    assert next(iter(found.batches(2))) == ["text 0", "text 1"]


def test_numbers_whose_names_are_given_are_found_by_these(tmp_path, data_config):
    path = write(tmp_path / "rows.jsonl", [0, 1, 0])
    found = read_labelled_file(path, data_config(class_names=["Sports", "World"]), NAMES)
    assert found.labels.tolist() == [1, 0, 1]


def test_numbers_that_a_file_has_names_for_are_found_by_these(tmp_path, data_config):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["Sports", "World"])}
    )
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features=features).to_parquet(path)
    assert read_parquet([path]).features["label"].names == ["Sports", "World"]
    assert read_labelled_file(path, data_config(), NAMES).labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize(("labels", "words"), [
    (["World", "Weather"], ("'Weather'", "none of the ticket's classes", "World, Sports, Business")),
    ([0, 3], ("'3'",)), ([0, -1], ("'-1'",)), (["World", "x" * 99], ("xxx…'",)),
])  # fmt: skip
def test_a_label_that_the_ticket_does_not_know_is_refused(labels, words, tmp_path, data_config, refused):
    with refused("rows.jsonl", *words):
        read_labelled_file(write(tmp_path / "rows.jsonl", labels), data_config(), NAMES)


def test_a_number_beyond_the_names_that_are_given_is_refused(tmp_path, data_config, refused):
    with refused("rows.jsonl", "label 2", "Sports, World"):
        read_labelled_file(write(tmp_path / "rows.jsonl", [0, 2]), data_config(class_names=["Sports", "World"]), NAMES)


def test_a_limit_takes_rows_from_all_of_the_file(tmp_path, data_config):
    path = write(tmp_path / "rows.jsonl", [0] * 50 + [1] * 50)
    found = read_labelled_file(path, data_config(limit=10), NAMES)
    assert found.labels.tolist() == [0] * 5 + [1] * 5
    assert found.numbers.tolist() == [*range(1, 100, 10)]
    assert found.texts([9]) == ["text 90"]


@pytest.fixture
def corpus(rows_of: Callable[..., datasets.Dataset], data_config: Callable[..., TextConfig]) -> Corpus:
    labels = [("Business", "Sports", "World")[place * place % 3] for place in range(60)]
    train = rows_of([f"train {place}" for place in range(60)], labels)
    test = rows_of([f"test {place}" for place in range(9)], labels[:9])
    return make_corpus(data_config(), "here", {"train": train, "test": test})


def test_a_corpus_s_classes_are_found_by_name(corpus, data_config):
    found = take_split(corpus, "test", data_config(), NAMES, {})
    assert [NAMES[code] for code in found.labels] == [
        ("Business", "Sports", "World")[place * place % 3] for place in range(9)
    ]
    assert found.texts([8]) == ["test 8"]
    with_own = take_split(corpus, "test", data_config(), corpus.class_names, {})
    assert with_own.fingerprint == corpus.fingerprints["test"] != found.fingerprint


def test_a_file_has_the_fingerprint_of_the_split_that_it_is(corpus, tmp_path, data_config):
    path = tmp_path / "test.parquet"
    corpus.splits["test"].to_parquet(path)
    assert read_labelled_file(path, data_config(), corpus.class_names).fingerprint == corpus.fingerprints["test"]


def test_a_part_of_a_single_file_is_the_one_that_training_drew(tmp_path, data_config):
    path = write(tmp_path / "rows.jsonl", list(NAMES) * 20)
    config = data_config(path=str(path), test_fraction=0.2)
    corpus = load_corpus(config)
    module = TextDataModule(corpus, config, RandomVectors(dim=3, max_vocab=99), seed=7)
    about = {"seed": 7, "rows": module.rows, "fingerprint": corpus.fingerprints}
    parts = {part: take_split(load_corpus(config), part, config, NAMES, about) for part in ("test", "train", "valid")}
    assert {part: len(found.labels) for part, found in parts.items()} == {"test": 12, "train": 48, "valid": 14}
    for found in parts.values():  # rows are counted in the whole file
        assert [f"text {number - 1}" for number in found.numbers] == found.texts(range(len(found.numbers)))
        assert found.labels.tolist() == [NAMES.index(NAMES[(number - 1) % 3]) for number in found.numbers]
    assert not {*parts["test"].numbers} & {*parts["train"].numbers}
    assert {*parts["valid"].numbers} < {*parts["train"].numbers}


def test_a_file_with_semicolons_is_read_as_in_training(tmp_path, data_config):
    (tmp_path / "rows.csv").write_text("text;label\nGut, danke;Sports\nx;World\n")
    found = read_labelled_file(tmp_path / "rows.csv", data_config(), NAMES)
    assert found.texts([0, 1]) == ["Gut, danke", "x"]
    assert found.labels.tolist() == [1, 0]


@pytest.mark.parametrize("label", [float("nan"), "NaN", "", None])
def test_a_label_that_is_missing_is_missing_in_any_file(label, tmp_path, data_config):
    found = read_labelled_file(write(tmp_path / "rows.jsonl", [*["World"] * 39, label]), data_config(), NAMES)
    assert (len(found.labels), found.dropped) == (39, 1)


def test_numbers_without_names_are_the_tickets_numbers(rows_of, data_config):
    rows = rows_of(list("abcd"), [0, 1, 0, 1])
    corpus = make_corpus(data_config(), "here", {"train": rows, "test": rows})
    assert take_split(corpus, "train", data_config(), NAMES, {}).labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("limit", [None, 31])
def test_what_validated_is_drawn_again(limit, corpus, data_config):
    config = data_config(limit=limit)
    module = TextDataModule(corpus, config, RandomVectors(dim=3, max_vocab=99), seed=7)
    about = {"seed": 7, "rows": module.rows, "fingerprint": corpus.fingerprints}
    found = take_split(corpus, "valid", data_config(), corpus.class_names, about)
    encoded = module.texts["valid"]
    rows = np.split(encoded.ids.numpy(), encoded.offsets[1:-1])
    words = [" ".join(module.words[word] for word in row) for row in rows]
    assert len(found.labels) == module.rows["valid"]
    assert found.labels.tolist() == encoded.labels.tolist()
    # Words that the training part lacks, numbers nearly all, are unknown to the module.
    for text, known in zip(found.texts(range(len(words))), words, strict=True):
        assert known in (text, "train <unk>")
    assert found.numbers.tolist() == [int(text.split()[1]) + 1 for text in found.texts(range(len(words)))]


def test_what_validated_is_unknown_of_another_corpus_or_another_tickets(corpus, data_config, refused):
    about = {"seed": 7, "rows": {"train": 42, "valid": 18}, "fingerprint": {"train": "another"}}
    with refused("split", "here has other rows", "split=test"):
        take_split(corpus, "valid", data_config(), corpus.class_names, about)
    for wrong in ({"seed": None}, {"rows": None}, {"rows": {"train": 0, "valid": 0}}, {"rows": {"train": "a"}}):
        with refused("split", "does not record", "split=test"):
            take_split(corpus, "valid", data_config(), corpus.class_names, {**about, **wrong})
