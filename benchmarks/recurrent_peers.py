"""Take one training step of a bidirectional LSTM over texts of different lengths, by this project and by torch.

Like `peers` for the CNN: a peer takes the common start and returns its step, with its own copy of the weights. All
train the same network with the same optimizer, and differ in how the recurrent layers read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from benchmarks.peers import Start, Step, prune_at_once, training_step
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import Batch
from lt_lightning.lottery import Freezer
from lt_lightning.models import RecurrentClassifier
from lt_lightning.models.build import build_optimizer
from lt_lightning.models.learner import cross_entropy
from lt_lightning.models.rnn.classifier import Kernel

PACKED, OURS = "packed (model.kernel=reference)", "ours"
"""The peer that others are compared with, and this project's."""


def begin(config: Config, words: int, classes: int, sparsity: float, device: str = "cpu") -> Start[RecurrentClassifier]:
    """Return a network on a device with its first weights, of which the smallest of each parameter are pruned."""
    model = config.model
    assert model.hidden is not None and model.layers is not None and model.dropout is not None
    network = RecurrentClassifier(
        words,
        None if classes == 2 else classes,
        dim=config.embedding.dim,
        hidden=model.hidden,
        layers=model.layers,
        dropout=model.dropout,
    ).to(device)
    return Start(config, network, prune_at_once(network, sparsity), classes)


def packed(start: Start[RecurrentClassifier]) -> Step:
    """Return a step of torch's layers over packed texts, the usual exact way."""
    return _step(start, _with_kernel(start, "reference"))


def padded(start: Start[RecurrentClassifier]) -> Step:
    """Return a step of torch's layers over padding as if it were words, which is another function."""
    network = _with_kernel(start, "reference")
    network.forward = lambda ids, lengths, counts=None: _read_padding(network, ids)
    return _step(start, network)


def ours(start: Start[RecurrentClassifier]) -> Step:
    """Return this project's step without Lightning."""
    return _step(start, _with_kernel(start, "fast"))


def passes(start: Start[RecurrentClassifier], kernel: Kernel) -> Step:
    """Return forward and backward passes without an optimizer."""
    network = _with_kernel(start, kernel)

    def step(batch: Batch) -> Tensor:
        network.zero_grad()
        loss = cross_entropy(network(batch.ids, batch.lengths), batch.labels)
        loss.backward()
        return loss.detach()

    return step


PEERS: Mapping[str, Callable[[Start[RecurrentClassifier]], Step]] = MappingProxyType(
    {
        PACKED: packed,
        OURS: ours,
        "padding read as words": padded,
        "packed, no optimizer": lambda start: passes(start, "reference"),
        "ours, no optimizer": lambda start: passes(start, "fast"),
    }
)
"""All peers by name."""


def _with_kernel(start: Start[RecurrentClassifier], kernel: Kernel) -> RecurrentClassifier:
    network = copy.deepcopy(start.network)
    network.kernel = kernel
    network.embedding.sparse = kernel == "fast"  # as `Learner` does where the optimizer takes sparse gradients
    return network


def _read_padding(network: RecurrentClassifier, ids: Tensor) -> Tensor:
    assert isinstance(network.rnn, nn.RNNBase)
    _, state = network.rnn(network.dropout(network.embedding(ids)))
    states = state[0] if isinstance(state, tuple) else state
    logits = network.fc(network.dropout(torch.cat([states[-2], states[-1]], dim=1)))
    return logits if network.classes else logits.squeeze(1)


def _step(start: Start[RecurrentClassifier], network: RecurrentClassifier) -> Step:
    kernel = "fast" if network.embedding.sparse else "reference"
    optimizer = build_optimizer(replace(start.config.optimizer, kernel=kernel), network.parameters())
    freezer = Freezer(dict(network.named_parameters()), start.mask)
    freezer.watch([optimizer])
    return training_step(network, optimizer, freezer)
