"""Write further files for the fuzz to damage: a packed ticket, a checkpoint, caches of words and of PyDocs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch

from lt_lightning.config.enums import Splitter
from lt_lightning.data.encoding import NumberedTexts, read_words
from lt_lightning.data.sources.built_in import load_built_in
from lt_lightning.data.sources.installed import Installed
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.parameters import Parameter

PACKED, CACHE = "packed.safetensors", "cache"
CHECKPOINT_ROUND = 90
"""A round beyond those of small runs, so that it has no other checkpoint."""
TEXTS = tuple(f"word{number % 7} and word{number % 11}, then word{number}" for number in range(40))


class Row(NamedTuple):
    """A row of the small corpus in place of PyDocs."""

    text: str
    library: str


def write_specimens(folder: Path) -> None:
    """Write one file of each kind into a folder."""
    write_packed(folder / PACKED)
    (folder / "state").mkdir(exist_ok=True)
    write_checkpoint(folder / "state")
    (folder / CACHE).mkdir()
    read_word_cache(folder / CACHE)
    read_corpus_cache(folder / CACHE)


def write_packed(path: Path) -> None:
    """Write a packed ticket of a small convolution at 12 % density, with all that a ticket may have."""
    rng = np.random.default_rng(0)
    words, dim, filters, widths, classes = 30, 6, 4, (2, 3), 3
    shapes = {"embedding.weight": (words, dim)}
    for place, width in enumerate(widths):
        shapes |= {f"convs.{place}.weight": (filters, dim, width), f"convs.{place}.bias": (filters,)}
    shapes |= {"fc.weight": (classes, filters * len(widths)), "fc.bias": (classes,)}
    parameters = {}
    for name, shape in shapes.items():
        alive = rng.random(shape) < (1.0 if "bias" in name else 0.12)
        if name == "embedding.weight":
            alive[:2] = False  # <unk> and <pad>
        places = None if alive.all() else np.flatnonzero(alive)
        values = rng.standard_normal(int(alive.sum())).astype(np.float32)
        parameters[name] = Parameter(shape, values, places, "bias" not in name)
    places = parameters["embedding.weight"].places
    assert places is not None
    ids = np.unique(places // dim)
    alive, total = sum(len(one.values) for one in parameters.values()), sum(map(np.prod, shapes.values()))
    about = {
        "model": {"name": "cnn", "filters": [filters] * len(widths), "widths": list(widths), "dropout": 0.5},
        "embedding_dim": dim, "words": words, "class_names": ["animals", "food", "tools"], "splitter": "words",
        "max_length": None, "values": "float32", "round": 1, "corpus": "a trial", "test_acc": 0.75,
        "full_test_acc": 0.8, "alive": alive, "total": int(total), "sparsity": float(1 - alive / total),
    }  # fmt: skip
    first = {name: one.values + 1 for name, one in parameters.items()}
    packed = Packed(parameters, tuple(f"word{number}" for number in ids), ids, first, about, zero_words=("is", "the"))
    packed.save(path)


def write_checkpoint(state: Path) -> None:
    """Write a checkpoint with its checksum in its name."""
    scratch = state / "scratch"
    torch.save({"epoch": 1, "state_dict": {"weight": torch.arange(12.0)}}, scratch)
    digest = sha256(scratch.read_bytes()).hexdigest()
    scratch.rename(state / f"round_{CHECKPOINT_ROUND}_epoch_001_{digest}.ckpt")


def read_word_cache(cache: Path) -> NumberedTexts:
    """Read the numbered words of a few texts from their cache, or rebuild it."""
    texts = datasets.Dataset.from_dict({"text": list(TEXTS)})
    texts._fingerprint = "0" * 16  # it names the file, so it must be the same in every process
    return read_words(texts, Splitter.words, cache)


def read_corpus_cache(cache: Path) -> Mapping[Any, datasets.Dataset]:
    """Read a corpus of a few rows from the cache of built-in corpora, or rebuild it."""

    def harvest(library: Installed) -> list[Row]:
        return [Row(f"{library.name} {text}", library.name) for text in TEXTS[:3]]

    def select(found: Iterable[Row]) -> dict[str, Sequence[Row]]:
        rows = list(found)
        return {"train": rows, "test": rows[::3]}

    return load_built_in(cache, "pydocs", "trial", harvest, select, lambda row: row.text)
