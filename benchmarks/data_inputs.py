"""Write the inputs of `benchmarks.data`: articles like AG News' and vectors like GloVe's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHANGED = 2
"""Number of words that are replaced in a repeated article."""
LETTERS = "etaoinshrdlcum"
KNOWN = 0.9
"""The share of the articles' words in the file of vectors, about GloVe's share of AG News'."""
DISTINCT = 20_000
"""Number of distinct rows of numbers in a file of vectors; the words are all distinct."""


def write_articles(folder: Path, source: Path | None, articles: int, seed: int = 0) -> str:
    """Write `train.parquet` and `test.parquet`, and return a description.

    Args:
        folder: the folder to write to.
        source: a folder of real articles, which are repeated with small changes; None to draw all words.
        articles: the number of training articles; there are a sixteenth as many for the test, as in AG News.
        seed: determines the articles.
    """
    chance = random.Random(seed)
    tests = max(8, articles // 16)
    if source is None:
        rows, about = _drawn(articles + tests, seed), "drawn from 100,000 words by Zipf's law, as long as AG News'"
        train, test = rows[:articles], rows[articles:]
    else:
        train, test = (_read(source / f"{split}.parquet") for split in ("train", "test"))
        about = f"{min(len(train), articles):,} of {source.name}, then again with {CHANGED} words changed in each"
        test = test[:tests]
        originals = len(train)
        train = train[:articles] + [_changed(*train[n % originals], chance) for n in range(originals, articles)]
    for name, rows in (("train", train), ("test", test)):
        texts, labels = zip(*rows, strict=True)
        pq.write_table(
            pa.table({"text": pa.array(texts), "label": pa.array(labels, pa.int64())}), folder / f"{name}.parquet"
        )
    return about


def write_vectors(path: Path, words: Sequence[str], lines: int, dim: int, seed: int = 0) -> None:
    """Write a file in GloVe's format: a word and its numbers per line.

    Args:
        path: the file.
        words: a vocabulary; `KNOWN` of its words are in the file, at random lines.
        lines: the number of lines.
        dim: the number of numbers per line.
        seed: determines the file.
    """
    generator = np.random.default_rng(seed)
    names = [f"other{line}" for line in range(lines)]
    known = [word for word in words if generator.random() < KNOWN][:lines]
    for line, word in zip(generator.permutation(lines)[: len(known)].tolist(), known, strict=True):
        names[line] = word
    numbers = generator.normal(0, 0.4, (min(DISTINCT, lines), dim))
    rows = [" ".join([f"{number:.5g}" for number in row]) for row in numbers.tolist()]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{name} {rows[line % len(rows)]}\n" for line, name in enumerate(names))


def _read(path: Path) -> list[tuple[str, int]]:
    table = pq.read_table(path)
    return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


def _changed(text: str, label: int, chance: random.Random) -> tuple[str, int]:
    words = text.split(" ")
    for _ in range(CHANGED):
        words[chance.randrange(len(words))] = f"w{chance.randrange(60_000)}"
    return " ".join(words), label


def _drawn(rows: int, seed: int) -> list[tuple[str, int]]:
    generator = np.random.default_rng(seed)
    # The number at the end makes words distinct.
    spelled = generator.integers(len(LETTERS), size=(100_000, 6)).tolist()
    words = [
        "".join([LETTERS[letter] for letter in word[: 1 + place % 6]]) + str(place)
        for place, word in enumerate(spelled)
    ]
    weights = 1 / np.arange(1, len(words) + 1)
    lengths = generator.gamma(12, 3.5, rows).astype(int) + 5
    places = generator.choice(len(words), size=int(lengths.sum()), p=weights / weights.sum()).tolist()
    ends = lengths.cumsum().tolist()
    marks = [", ", ". ", " ", " ", " ", " ", " "]
    return [
        ("".join([words[place] + marks[place % 7] for place in places[end - length : end]]), row % 4)
        for row, (end, length) in enumerate(zip(ends, lengths.tolist(), strict=True))
    ]
