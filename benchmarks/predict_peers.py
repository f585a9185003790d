"""Predict with a ticket in NumPy, and with torch's dense network with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lt_lightning.config.models import BiRNN, packed_kind
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS
from lt_lightning.models import BinaryCNN, MultiCNN, RecurrentClassifier
from lt_lightning.models.cnn import Kernel
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.numpy import build_network
from lt_lightning.tickets.parameters import Parameter

OURS, REFERENCE, FAST = "ticket", "torch, reference", "torch, fast"
LENGTHS = (25, 65)
"""The minimum and maximum number of words, about AG News's."""

_MODELS: Mapping[str, Mapping[str, Any]] = {
    "cnn": {"name": "cnn", "filters": 100, "widths": [3, 4, 5]},
    "birnn": {"name": "birnn", "cell": "lstm", "hidden": 256, "layers": 2, "bidirectional": True},
}


class Texts(NamedTuple):
    """The same texts for all peers.

    Attributes:
        arrays: the word ids of each, int32.
        ids: (texts, longest) int64, padded.
        lengths: (texts,) int64.
    """

    arrays: list[np.ndarray]
    ids: Tensor
    lengths: Tensor


Answer = Callable[[Texts], np.ndarray]


def draw_texts(words: int, count: int, seed: int) -> Texts:
    """Return texts with words by Zipf's law (Mandelbrot's form, 1 / (rank + 2.7)), the most frequent first."""
    rng = np.random.default_rng(seed)
    known = words - len(SPECIAL_WORDS)
    weights = 1 / (np.arange(known) + 2.7)
    shares = weights.cumsum() / weights.sum()
    lengths = rng.integers(*LENGTHS, count, endpoint=True)
    ranks = np.searchsorted(shares, rng.random(lengths.sum())).clip(max=known - 1)
    arrays = np.split((ranks + len(SPECIAL_WORDS)).astype(np.int32), lengths.cumsum()[:-1])
    ids = torch.full((count, int(lengths.max())), PADDING)
    for row, array in enumerate(arrays):
        ids[row, : len(array)] = torch.from_numpy(array)
    return Texts(arrays, ids, torch.from_numpy(lengths))


def make_random(model: str, words: int, density: float) -> Packed:
    """Return a ticket of a network of four classes, pruned at random to a density."""
    classes = [f"class {number}" for number in range(4)]
    about: dict[str, Any] = {
        "model": dict(_MODELS[model]), "embedding_dim": 100, "words": words, "class_names": classes,
        "splitter": "words", "max_length": None,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    parameters = {}
    for name, shape in expected_shapes(about).items():
        places = np.sort(rng.choice(prod(shape), max(1, round(density * prod(shape))), replace=False))
        scale = 1.0 if name == "embedding.weight" else 0.1
        values = rng.normal(scale=scale, size=len(places)).astype(np.float32)
        parameters[name] = Parameter(shape, values, None if density == 1 else places, True)
    rows = parameters["embedding.weight"].dense()
    rows[: len(SPECIAL_WORDS)] = 0
    living = np.flatnonzero(rows.any(axis=1))
    places = None if density == 1 else np.flatnonzero(rows)
    values = rows.reshape(-1) if places is None else rows.reshape(-1)[places]
    parameters["embedding.weight"] = Parameter(rows.shape, values, places, True)
    return Packed(parameters, tuple(f"word{number}" for number in living), living, None, about)


def make_dense(packed: Packed, kernel: Kernel) -> nn.Module:
    """Return torch's network with the weights of a ticket, in eval mode."""
    about, model = packed.about, packed.about["model"]
    classes, dim = len(about["class_names"]), about["embedding_dim"]
    if packed_kind(model["name"]) == BiRNN.packs:
        settings = {key: model[key] for key in ("cell", "hidden", "layers", "bidirectional")}
        backend = "equations" if model["cell"] == "gru_chung" else "torch"
        network = RecurrentClassifier(
            about["words"], classes if classes > 2 else None, dim=dim, kernel=kernel, backend=backend, **settings
        )
    else:
        settings = {"dim": dim, "filters": model["filters"], "widths": model["widths"], "kernel": kernel}
        network = (
            MultiCNN(about["words"], classes, **settings) if classes > 2 else BinaryCNN(about["words"], **settings)
        )
    network.load_state_dict(
        {name: torch.from_numpy(parameter.dense()) for name, parameter in packed.parameters.items()}
    )
    return network.eval()


def peers(packed: Packed) -> dict[str, Answer]:
    """Return the peers by name, functions that return logits (texts, logits)."""
    network = build_network(packed)

    def ours(texts: Texts) -> np.ndarray:
        return network.logits(texts.arrays)

    return {OURS: ours, REFERENCE: _torch(packed, "reference"), FAST: _torch(packed, "fast")}


def dense_bytes(packed: Packed) -> int:
    """Return the size of the network's dense float32 state dict."""
    return 4 * sum(prod(parameter.shape) for parameter in packed.parameters.values())


def _torch(packed: Packed, kernel: Kernel) -> Answer:
    network = make_dense(packed, kernel)

    def theirs(texts: Texts) -> np.ndarray:
        with torch.inference_mode():
            return network(texts.ids, texts.lengths).numpy().reshape(len(texts.arrays), -1)

    return theirs
