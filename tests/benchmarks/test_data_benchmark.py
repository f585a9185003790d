"""The benchmark of the data: it measures all that it names, and its peers do the work that they are measured at."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks import data as benchmark
from benchmarks.data_inputs import write_articles, write_vectors
from benchmarks.data_peers import collate_rows, count_in_python, load_text, read_every_line, train_tokenizer
from lt_lightning.config.enums import Splitter
from lt_lightning.data.encoding import EncodedTexts, choose_words, number_of_each, number_words
from lt_lightning.data.sources import pydocs
from lt_lightning.errors import SettingError

TEXTS = ["The cat, the dog.", "A dog and a cat_tail", "no <other> words", "the end"]


@pytest.mark.slow
def test_all_that_is_asked_for_is_measured_and_kept(tmp_path, capsys):
    small = ["--articles", "200", "--lines", "400", "--batches", "2", "--turns", "2", "--threads", "1"]
    benchmark.main([*small, "--only", "texts", "batches", "vectors", "--json", str(tmp_path / "data.json")])
    result = json.loads((tmp_path / "data.json").read_text())
    assert result["machine"]["versions"]["torch"] == torch.__version__
    shown = capsys.readouterr().out
    titles = [table["title"] for table in result["tables"]]
    assert [title.split()[0] for title in titles] == ["Texts", "A", "Word"]
    for table in result["tables"]:
        assert all(len(numbers) == 2 and min(numbers) > 0 for numbers in table["numbers"].values())
        assert set(table["bars"]) <= set(table["numbers"])
        for said in (*table["numbers"], *table["notes"]):
            assert said in shown


@pytest.mark.slow
def test_pydocs_is_measured_too(capsys, monkeypatch):
    parse_all = pydocs.parsed_files
    monkeypatch.setattr(pydocs, "parsed_files", lambda library: islice(parse_all(library), 60))
    benchmark.main(["--articles", "100", "--turns", "2", "--only", "pydocs"])
    assert "harvested" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--articles", "3"], ["--turns", "1"], ["--data", "."], ["--json", "no/such/x"]])
def test_what_cannot_be_measured_is_named(wrong):
    with pytest.raises(SettingError, match=wrong[0]):
        benchmark.parse(wrong)


def ours(train: list[str], others: list[str], most: int) -> list[list[int]]:
    numbered = number_words([[*train, *others]], Splitter.words)
    counts = np.bincount(numbered.ids[: numbered.offsets[len(train)]], minlength=len(numbered.words))
    ids = number_of_each(numbered.words, choose_words(numbered.words, counts, most))[numbered.ids]
    return [row.tolist() for row in np.split(ids, numbered.offsets[1:-1])]


def test_the_tokenizers_library_gives_the_ids_that_we_give():
    parts = [datasets.Dataset.from_dict({"text": texts}) for texts in (TEXTS[:3], TEXTS[3:])]
    assert train_tokenizer(*parts, max_words=1000) == ours(TEXTS[:3], TEXTS[3:], 1000)


def test_the_notebook_s_way_counts_the_same_words_and_orders_ties_as_it_met_them():
    rows = count_in_python(["b a", "c b"], ["a z"], 2)
    assert rows == [[2, 3], [0, 2], [3, 0]]


def test_rows_are_collated_each_once():
    texts = EncodedTexts(torch.arange(2, 12, dtype=torch.int32), torch.tensor([0, 3, 4, 10]), torch.tensor([0, 1, 2]))
    seen = [tuple(row[row != 1].tolist()) for ids, _ in collate_rows(texts, 2) for row in ids]
    assert sorted(seen) == [(2, 3, 4), (5,), (6, 7, 8, 9, 10, 11)]


def test_vectors_are_in_glove_s_format_and_hold_most_words(tmp_path):
    words = [f"known{number}" for number in range(200)]
    write_vectors(tmp_path / "vectors.txt", words, 1000, 5)
    vectors = read_every_line(tmp_path / "vectors.txt", 1000)
    assert len(vectors) == 1000
    assert 160 <= len(set(words) & set(vectors)) < 200
    assert np.array_equal(load_text(tmp_path / "vectors.txt", 1000, 5), np.stack(list(vectors.values())))
    assert 0.3 < np.std(list(vectors.values())) < 0.5


@pytest.mark.parametrize("source", [True, False])
def test_articles_are_as_many_as_asked_for_and_no_two_alike(tmp_path, source):
    real: Path | None = None
    if source:
        real = tmp_path / "real"
        real.mkdir()
        assert "drawn" in write_articles(real, None, 100)
    about = write_articles(tmp_path, real, 1000)
    assert ("100 of real" if source else "Zipf") in about
    rows = pq.read_table(tmp_path / "train.parquet")
    texts = rows["text"].to_pylist()
    assert len(set(texts)) == len(texts) == 1000
    assert set(rows["label"].to_pylist()) == {0, 1, 2, 3}
    words = [text.split() for text in texts]
    assert 35 < np.mean([*map(len, words)]) < 60
    most = Counter(word for row in words for word in row).most_common(1)[0][1]
    assert most > 0.03 * sum(map(len, words))  # one word in thirty is the most frequent
