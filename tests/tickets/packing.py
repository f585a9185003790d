"""Packed tickets for tests, made without a run."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from lt_lightning.storage.sealed import seal
from lt_lightning.tickets.file import FORMAT, Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.parameters import Parameter

CNN = {"name": "cnn", "filters": 3, "widths": [2, 3], "dropout": 0.5}
RNN = {"name": "birnn", "cell": "gru", "hidden": 4, "layers": 2, "bidirectional": True}


def make_packed(
    model: dict[str, Any] = CNN,
    *,
    words: int = 9,
    dim: int = 5,
    classes: int = 3,
    density: float = 0.4,
    unknown: bool = False,
    first: bool = False,
    seed: int = 0,
    **about: Any,
) -> Packed:
    """A packed ticket with random living weights.

    Args:
        model: the network's settings.
        words: the size of the vocabulary, with `<unk>` and `<pad>`; its words are w2, w3, ….
        dim: the length of a word's vector.
        classes: the number of classes.
        density: the share of the entries that live; of biases all do.
        unknown: whether `<unk>` has a vector, so that all words are listed.
        first: whether it has first weights.
        seed: of the weights.
        about: what else it says of itself.
    """
    rng = np.random.default_rng(seed)
    said: dict[str, Any] = {
        "model": model, "embedding_dim": dim, "words": words, "class_names": [f"class {n}" for n in range(classes)],
        "splitter": "words", "max_length": None, "values": "float32", "round": 1, "corpus": "a test",
    }  # fmt: skip
    parameters = {}
    for name, shape in expected_shapes(said | about).items():
        alive = rng.random(shape) < (1.0 if "bias" in name else density)
        if name == "embedding.weight":
            alive[0], alive[1] = unknown, False
        places = None if alive.all() else np.flatnonzero(alive)
        values = rng.standard_normal(int(alive.sum())).astype(np.float32)
        parameters[name] = Parameter(shape, values, places, "bias" not in name)
    rows = np.unique(np.arange(words * dim)[parameters["embedding.weight"].places] // dim)
    ids = np.arange(2, words) if unknown else rows[rows > 1]
    weights = {name: one.values + 1 for name, one in parameters.items()} if first else None
    alive = sum(len(one.values) for one in parameters.values())
    total = sum(int(np.prod(one.shape)) for one in parameters.values())
    said |= {"alive": alive, "total": total, "sparsity": 1 - alive / total}
    return Packed(parameters, tuple(f"w{number}" for number in ids), ids, weights, said | about)


def leb128(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + leb128(rest) if rest else bytes([low])


def write_version_1(packed: Packed, path: Path) -> None:
    """Write a ticket as version 0.4 did: gaps in LEB128, words in full."""
    arrays = {"words": np.frombuffer(zlib.compress(json.dumps(packed.words).encode()), np.uint8)}
    for name, places in [("words", packed.word_ids - 2), *((n, p.places) for n, p in packed.parameters.items())]:
        if places is not None:
            gaps = np.diff(places, prepend=-1) - 1
            arrays[f"{name}/gaps"] = np.frombuffer(b"".join(leb128(int(gap)) for gap in gaps), np.uint8)
    for name, one in packed.parameters.items():
        arrays[name] = one.values.reshape(one.shape if one.places is None else -1)
    stated = {name: {"shape": list(one.shape), "prunable": one.prunable} for name, one in packed.parameters.items()}
    content = {"format": FORMAT, "version": "1", **packed.about, "half_test_acc": 0.5, "parameters": stated}
    seal(path, save(arrays), arrays, content)
