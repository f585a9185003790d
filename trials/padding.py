"""Measure how padding changes the notebook's masks: `python -m trials.padding [--data FOLDER] [--rows 6000]`.

The notebook takes each filter's maximum over all windows of the padded batch, this project over those inside the text.
Both networks start with the same weights, and see the same batches and the same dropout, in double precision. Each
round is the notebook's: its percentile, its mode "lt". The trial prints how many entries of the masks differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.config.models import RandomVectors
from lt_lightning.config.sources import Texts
from lt_lightning.data.batches import Batch
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.lottery import Mask, derive_seed, prune
from lt_lightning.models import MultiCNN

AMOUNT, RATE = 0.2, 1e-3
"""The notebook's share to prune and learning rate."""


class PaddedCNN(MultiCNN):
    """The network whose padding takes part in the maximum: to it every text is as long as its batch."""

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch logits"]:
        """Return the logits of each text; arguments as for `MultiCNN`."""
        widest = max(conv.kernel_size[0] for conv in self.convs if isinstance(conv, nn.Conv1d))
        return super().forward(ids, torch.full_like(lengths, max(ids.shape[1], widest)))


def play_rounds(network: nn.Module, rounds: Sequence[Sequence[Batch]]) -> Iterator[Mask]:
    """Train a network round by round, each time from its first weights, and yield the mask of each pruning.

    Args:
        network: the network; its weights change.
        rounds: the batches of each training.
    """
    params = dict(network.named_parameters())
    first = {name: param.detach().clone() for name, param in params.items()}
    mask = Mask.ones(params)
    for number, batches in enumerate(rounds):
        with torch.no_grad():
            for name, param in params.items():
                param.copy_(first[name] * mask[name])
        torch.manual_seed(derive_seed("padding", number))
        optimizer = torch.optim.Adam(params.values(), lr=RATE)
        network.train()
        for batch in batches:
            optimizer.zero_grad()
            F.cross_entropy(network(batch.ids, batch.lengths), batch.labels).backward()
            for name, param in params.items():
                assert param.grad is not None
                param.grad *= mask[name]
            optimizer.step()
        scores = {name: param.detach().abs() for name, param in params.items()}
        mask = prune(scores, mask, AMOUNT, threshold="percentile")
        yield mask


def compare(network: MultiCNN, padded: PaddedCNN, rounds: Sequence[Sequence[Batch]]) -> Iterator[tuple[int, int, int]]:
    """Yield after each round how many entries of the masks differ, how many are pruned, and how many there are."""
    padded.load_state_dict(deepcopy(network.state_dict()))
    for ours, theirs in zip(play_rounds(network, rounds), play_rounds(padded, rounds), strict=True):
        differ = sum(int((ours[name] != theirs[name]).sum()) for name in ours)
        yield differ, ours.total - ours.alive, ours.total


def load_rounds(data: TextDataModule, rounds: int, epochs: int) -> list[list[Batch]]:
    """Return the batches of each round, all of its epochs."""
    found = []
    for data.round in range(rounds):
        found.append([])
        for data.epoch in range(epochs):
            found[-1].extend(data.train_dataloader())
    return found


def _count_words(batch: Batch) -> tuple[int, int]:
    return int(batch.lengths.sum()), batch.ids.numel()


def main() -> None:
    """Compare the masks of both networks and print a line per round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="the folder of AG News; PyDocs without it")
    parser.add_argument("--rows", type=int, default=6000, help="rows to train and validate on (default: 6000)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs a round (default: 10)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds that prune (default: 2)")
    args = parser.parse_args()
    config = Texts(name="AG News" if args.data else "PyDocs", path=args.data, limit=args.rows)
    data = TextDataModule(load_corpus(config), config, RandomVectors(), seed=0)
    torch.manual_seed(0)
    sizes, classes = len(data.words), len(data.corpus.class_names)
    networks = [
        kind(sizes, classes, initializer="xavier_2d", kernel="reference").double() for kind in (MultiCNN, PaddedCNN)
    ]
    rounds = load_rounds(data, args.rounds, args.epochs)
    words, places = (sum(counts) for counts in zip(*map(_count_words, rounds[0]), strict=True))
    print(f"{config.name}: {data.rows['train']:,} rows, {1 - words / places:.1%} of the places in a batch are padding")
    ours, padded = networks
    assert isinstance(padded, PaddedCNN)
    for number, (differ, pruned, total) in enumerate(compare(ours, padded, rounds), start=1):
        share = f"{differ:,} of {total:,} mask entries differ ({differ / total:.2%})"
        print(f"round {number}: {share}; {pruned:,} are pruned", flush=True)


if __name__ == "__main__":
    main()
