"""Groups of rows that stay in one part: read from a column, kept whole, on record."""

from collections.abc import Callable

import datasets
import pytest

from lt_lightning.config.models import RandomVectors
from lt_lightning.config.sources import TextConfig
from lt_lightning.data.corpus import make_corpus
from lt_lightning.data.groups import read_groups
from lt_lightning.data.labelled import take_split
from lt_lightning.data.module import TextDataModule


def rows_of_films(count: int = 20, reviews: int = 5) -> datasets.Dataset:
    """Reviews of films, in turns; one review of each film is empty."""
    numbers = [(film, review) for review in range(reviews) for film in range(count)]
    return datasets.Dataset.from_dict({
        "text": [f"review {review} of film {film}" if review + film else "" for film, review in numbers],
        "label": ["good" if film % 2 else "bad" for film, _ in numbers],
        "film": [f"film {film}" for film, _ in numbers],
    })  # fmt: skip


def film_of(text: str) -> str:
    return text.split(" of ")[1]


@pytest.mark.parametrize("values", [["b", "a", "b", "c"], [7, 3, 7, 1], [True, False, True, True]])
def test_equal_values_are_a_group(values: list[object]) -> None:
    groups = read_groups(datasets.Dataset.from_dict({"film": values}), "here", "film").tolist()
    assert groups == [[*dict.fromkeys(values)].index(value) for value in values]


@pytest.mark.parametrize(("values", "said"), [
    ([None, "a"], "column 'film' has no value in 1 of 2 rows"), ([["a"], ["b"]], "not one value a row"),
])  # fmt: skip
def test_a_column_without_a_value_for_each_row_is_refused(values: list[object], said: str, refused: Callable) -> None:
    with refused("here: ", said, "choose another data.group_column"):
        read_groups(datasets.Dataset.from_dict({"film": values}), "here", "film")


def test_a_column_that_there_is_not_is_named_with_those_there_are(refused: Callable) -> None:
    with refused("here has no column 'film'", "there is text", "data.group_column=null"):
        read_groups(datasets.Dataset.from_dict({"text": ["a"]}), "here", "film")


@pytest.mark.parametrize("seed", [0, 1])
def test_no_film_is_in_two_parts_and_what_validated_is_drawn_again(seed: int, data_config: Callable) -> None:
    config: TextConfig = data_config(group_column="film", test_fraction=0.2, label_column="label")
    corpus = make_corpus(config, "here", {"train": rows_of_films()})
    assert corpus.dropped == {"train": 1, "test": 0}
    module = TextDataModule(corpus, config, RandomVectors(dim=3, max_vocab=99), seed=seed)
    about = {"seed": seed, "rows": module.rows, "valid_fraction": 0.3, "fingerprint": corpus.fingerprints}
    test, train, valid = (
        take_split(corpus, part, config, corpus.class_names, about) for part in ("test", "train", "valid")
    )
    films = [{film_of(text) for text in part.texts(range(len(part.labels)))} for part in (test, train, valid)]
    assert not films[0] & films[1]
    assert len(films[0] | films[1]) == 20
    assert module.rows["valid"] == len(valid.labels) == module.texts["valid"].labels.shape[0]
    assert valid.labels.tolist() == module.texts["valid"].labels.tolist()
    validated = [row for row in corpus.splits["train"]["text"] if film_of(row) in films[2]]
    assert len(validated) == len(valid.labels)  # every review of its films


def test_the_fingerprints_say_how_rows_are_grouped(data_config: Callable, refused: Callable) -> None:
    rows = {"train": rows_of_films(), "test": rows_of_films().remove_columns("film")}
    plain = make_corpus(data_config(), "here", rows)
    whole = make_corpus(data_config(group_column="film"), "here", rows)
    other = make_corpus(data_config(group_column="label"), "here", rows)
    assert {**whole.fingerprints, "groups": None} == {**plain.fingerprints, "groups": None}
    assert "groups" not in plain.fingerprints
    assert len({plain.fingerprints.get("groups"), whole.fingerprints["groups"], other.fingerprints["groups"]}) == 3
    about = {"seed": 0, "rows": {"train": 70, "valid": 29}, "fingerprint": whole.fingerprints}
    for corpus in (plain, other):
        with refused("split: ", "whole groups of rows", "data.group_column="):
            take_split(corpus, "valid", data_config(), corpus.class_names, about)
    by_rows = {**about, "fingerprint": plain.fingerprints}  # a ticket of an earlier version
    found = [take_split(corpus, "valid", data_config(), corpus.class_names, by_rows) for corpus in (plain, whole)]
    assert found[0].numbers.tolist() == found[1].numbers.tolist()
