"""Take one training step of the same network, by this project and by others.

A peer takes the common start and returns its step; to add one, write it and list it in `PEERS`. Each has its own copy
of the weights. Reading a step's numbers (progress, records) is not timed, except in the notebook's step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.prune import custom_from_mask

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import Batch
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.lottery import Freezer, Mask, prune
from lt_lightning.models import Learner, MultiCNN
from lt_lightning.models.build import build_optimizer
from lt_lightning.models.learner import cross_entropy

Step = Callable[[Batch], float | Tensor]
"""Takes a step and returns the loss before it, as a number if the peer reads it at each step."""

NOTEBOOK, CONV1D = "the notebook's loop", "no pruning: Conv1d, fused Adam"
OURS, LIGHTNING = "ours", "ours, in Lightning's Trainer"
"""The peers that others are compared with; `LIGHTNING` is `fit`."""


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Start(Generic[Network]):
    """The common start of all peers.

    Attributes:
        config: the settings.
        network: the network with its first weights, pruned.
        mask: the living entries.
        classes: the number of classes.
    """

    config: Config
    network: Network
    mask: Mask
    classes: int


def begin(config: Config, words: int, classes: int, sparsity: float, device: str = "cpu") -> Start[MultiCNN]:
    """Return a network on a device with its first weights, of which the smallest of each parameter are pruned."""
    assert config.model.filters is not None and config.model.widths is not None and config.model.dropout is not None
    network = MultiCNN(
        words,
        classes,
        dim=config.embedding.dim,
        filters=config.model.filters,
        widths=config.model.widths,
        dropout=config.model.dropout,
    ).to(device)
    return Start(config, network, prune_at_once(network, sparsity), classes)


def prune_at_once(network: nn.Module, sparsity: float) -> Mask:
    """Zero the smallest entries of each parameter, and return the mask."""
    weights = dict(network.named_parameters())
    mask = prune({name: weight.detach().abs() for name, weight in weights.items()}, Mask.ones(weights), sparsity)
    mask.apply_(weights)
    return mask


def notebook(start: Start[MultiCNN]) -> Step:
    """Return the step of the notebook that this project began with, rewritten.

    Conv2d over (batch, 1, length, dim); each gradient is masked in NumPy; loss and accuracy are read at once; Adam with
    torch's defaults.
    """
    network = _plain(start, PictureConv)
    optimizer = torch.optim.Adam(network.parameters(), lr=start.config.optimizer.lr)
    masks = {name: _as_picture(alive).float().cpu().numpy() for name, alive in start.mask.items()}
    accuracies: list[float] = []

    def step(batch: Batch) -> float:
        optimizer.zero_grad()
        logits = network(batch.ids)
        loss = F.cross_entropy(logits, batch.labels)
        accuracies.append((logits.argmax(dim=1) == batch.labels).sum().float().item() / len(batch.labels))
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None
            gradient = parameter.grad.cpu().numpy()
            parameter.grad = torch.from_numpy(np.where(masks[name] == 0, 0, gradient)).to(parameter.device)
        optimizer.step()
        return loss.item()

    return step


def torch_prune(start: Start[MultiCNN]) -> Step:
    """Return a step with `torch.nn.utils.prune`, as in Lightning's `ModelPruning`: each read of a weight multiplies."""
    network = _plain(start, PictureConv)
    for name, alive in start.mask.items():
        part, _, parameter = name.rpartition(".")
        custom_from_mask(network.get_submodule(part), parameter, _as_picture(alive))
    return _unpruned(network, torch.optim.Adam(network.parameters(), lr=start.config.optimizer.lr))


def multiplied(start: Start[MultiCNN]) -> Step:
    """Return the step of open_lth: before each forward pass every parameter is multiplied by its mask."""
    network = _plain(start, PictureConv)
    masks = {name: _as_picture(alive).float() for name, alive in start.mask.items()}
    take = _unpruned(network, torch.optim.Adam(network.parameters(), lr=start.config.optimizer.lr))

    def step(batch: Batch) -> float | Tensor:
        for name, parameter in network.named_parameters():
            parameter.data *= masks[name]
        return take(batch)

    return step


def conv2d(start: Start[MultiCNN]) -> Step:
    """Return a step of the notebook's network and optimizer without pruning."""
    network = _plain(start, PictureConv)
    return _unpruned(network, torch.optim.Adam(network.parameters(), lr=start.config.optimizer.lr))


def conv1d(start: Start[MultiCNN]) -> Step:
    """Return a step in plain torch without pruning."""
    network = _plain(start, SequenceConv)
    return _unpruned(network, torch.optim.Adam(network.parameters(), lr=start.config.optimizer.lr, fused=True))


def ours(start: Start[MultiCNN]) -> Step:
    """Return this project's step without Lightning."""
    network = copy.deepcopy(start.network)
    optimizer = build_optimizer(start.config.optimizer, network.parameters())
    network.embedding.sparse = isinstance(optimizer, LivingAdam)  # as `Learner` does for a single process
    freezer = Freezer(dict(network.named_parameters()), start.mask)
    freezer.watch([optimizer])
    freezer.tell(network)
    return training_step(network, optimizer, freezer)


def training_step(network: nn.Module, optimizer: torch.optim.Optimizer, freezer: Freezer) -> Step:
    """Return a step of a text classifier under a mask, in the order of a Trainer."""

    def step(batch: Batch) -> Tensor:
        loss = cross_entropy(network(batch.ids, batch.lengths), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        freezer.freeze_gradients()
        optimizer.step()
        return loss.detach()

    return step


PEERS: Mapping[str, Callable[[Start[MultiCNN]], Step]] = MappingProxyType(
    {
        NOTEBOOK: notebook,
        "torch.nn.utils.prune": torch_prune,
        "masks multiplied in (open_lth)": multiplied,
        "no pruning: Conv2d, default Adam": conv2d,
        CONV1D: conv1d,
        OURS: ours,
    }
)
"""All peers by name, except Lightning, which runs the whole loop; see `fit`."""


def fit(start: Start[MultiCNN], batches: object) -> None:
    """Fit a `Learner` with a `Trainer` under the `PruningCallback` for one epoch of `batches`.

    Args:
        start: the common start.
        batches: an iterable with a length.
    """
    settings = {key: value for key, value in vars(start.config.trainer).items() if value is not None}
    pruning = PruningCallback(submodule="network")
    # As from a checkpoint within a round: the mask and the weights stay.
    pruning.load_state_dict({"round": 1, "training": True, "mask": dict(start.mask), "rewind_weights": None})
    classifier = Learner(copy.deepcopy(start.network), start.classes, partial(build_optimizer, start.config.optimizer))
    pl.Trainer(**{**settings, "max_epochs": 1}, callbacks=[pruning]).fit(classifier, batches)


def _plain(start: Start[MultiCNN], kind: Callable[[nn.Conv1d], nn.Module]) -> PlainCNN:
    """Return the network in its usual form, with convolutions of a kind, on the device of the start."""
    convs = [kind(conv) for conv in start.network.convs if isinstance(conv, nn.Conv1d)]
    return PlainCNN(start, convs).to(start.network.fc.weight.device)


def _unpruned(network: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    def step(batch: Batch) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(batch.ids), batch.labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class PlainCNN(nn.Module):
    """The network in its usual form: padding counts as words, and ReLU comes before the maximum.

    Args:
        start: the weights to copy.
        convs: map vectors (batch, length, dim) to answers (batch, filters, windows).
    """

    def __init__(self, start: Start[MultiCNN], convs: Iterable[nn.Module]) -> None:
        super().__init__()
        vectors = start.network.embedding.weight.detach().clone()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=PADDING)
        self.convs = nn.ModuleList(convs)
        self.dropout = copy.deepcopy(start.network.dropout)
        self.fc = copy.deepcopy(start.network.fc)

    def forward(self, ids: Int64[Tensor, "batch length"]) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        vectors = self.embedding(ids)
        answers = [F.relu(conv(vectors)) for conv in self.convs]
        features = torch.cat([F.max_pool1d(answer, answer.shape[2]).squeeze(2) for answer in answers], dim=1)
        return self.fc(self.dropout(features))


class PictureConv(nn.Conv2d):
    """A convolution over a text as an image with one channel, whose filters are as wide as the image."""

    def __init__(self, like: nn.Conv1d) -> None:
        super().__init__(1, like.out_channels, (like.kernel_size[0], like.in_channels))
        self.load_state_dict({name: _as_picture(weight) for name, weight in like.state_dict().items()})

    def forward(self, input: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch filters windows"]:
        """Return the answer of each filter at each window."""
        return super().forward(input.unsqueeze(1)).squeeze(3)


class SequenceConv(nn.Conv1d):
    """A convolution over a text as a sequence of vectors."""

    def __init__(self, like: nn.Conv1d) -> None:
        super().__init__(like.in_channels, like.out_channels, like.kernel_size[0])
        self.load_state_dict(like.state_dict())

    def forward(self, input: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch filters windows"]:
        """Return the answer of each filter at each window."""
        return super().forward(input.transpose(1, 2))


def _as_picture(tensor: Tensor) -> Tensor:
    """Return a weight (filters, dim, width) of Conv1d, or its mask, in Conv2d's shape (filters, 1, width, dim)."""
    return tensor.transpose(1, 2).unsqueeze(1).contiguous() if tensor.dim() == 3 else tensor
