"""Tickets of networks that torch has, pruned at random, without a file or a run."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.parameters import Parameter


@torch.no_grad()
def prune(network: nn.Module, density: float, seed: int = 0) -> None:
    """Draw all weights and biases, `<unk>`'s and `<pad>`'s too, then zero all but that share of the entries."""
    generator = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        weight.normal_(std=0.4 if weight.dim() > 1 else 0.1, generator=generator)
        weight.mul_(torch.rand(weight.shape, generator=generator) < density)


def pack(
    network: nn.Module,
    model: str,
    classes: int,
    words: Sequence[str] = (),
    *,
    splitter: str = "words",
    max_length: int | None = None,
    half: bool = False,
    **settings: object,
) -> Packed:
    parameters = {name: _parameter(weight, half) for name, weight in network.state_dict().items()}
    count, dim = parameters["embedding.weight"].shape
    names = words or [f"word{number}" for number in range(2, count)]
    about = {
        "model": {"name": model, **settings}, "embedding_dim": dim, "words": count,
        "class_names": [f"class {number}" for number in range(classes)], "splitter": splitter,
        "max_length": max_length, "values": "float16" if half else "float32",
    }  # fmt: skip
    return Packed(parameters, tuple(names), np.arange(2, 2 + len(names)), None, about)


def answer(network: nn.Module, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """What torch says of these texts, (texts, logits)."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.full((len(texts), max(1, int(lengths.max()))), PADDING)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    with torch.inference_mode():
        return network.eval()(ids, lengths).reshape(len(texts), -1).numpy()


def _parameter(weight: Tensor, half: bool) -> Parameter:
    dense = weight.numpy().reshape(-1)
    places = np.flatnonzero(dense)
    values = dense[places].astype(np.float16 if half else np.float32)
    if len(places) == len(dense):
        return Parameter(tuple(weight.shape), values, None, True)
    return Parameter(tuple(weight.shape), values, places, True)
