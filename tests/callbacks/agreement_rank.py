"""One of two processes that play a lottery in plain Lightning code: `python agreement_rank.py RANK PORT`.

Prints, as JSON, what each way of disagreeing came to.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, make_trainer

from lt_lightning.callbacks import AgreementCallback, DisagreementError, PruningCallback
from lt_lightning.experiment.trainer import StartedProcesses
from lt_lightning.runtime.job import Place


@dataclass
class SpoilAtTheEnd(pl.Callback):
    rank: int

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        spoil(pl_module, self.rank)


def spoil(module: pl.LightningModule, rank: int) -> None:
    """Change a single weight, on rank 1 alone."""
    if rank == 1:
        with torch.no_grad():
            module.get_parameter("body.0.weight")[0, 0] += 1


def leave(module: pl.LightningModule, rank: int) -> None:
    """Change nothing."""


def play(
    place: Place,
    *callbacks: pl.Callback,
    before: Callable[[pl.LightningModule, int], None] = leave,
    between: Callable[[pl.LightningModule, int], None] = leave,
    rounds: int = 2,
    epochs: int = 1,
    **settings: Any,
) -> str:
    pruning, module = PruningCallback(**{"seed": 3, **settings}), Classifier()
    before(module, place.rank)
    try:
        for _ in range(rounds):
            trainer = make_trainer(
                *(pruning, *callbacks, AgreementCallback()),
                max_epochs=epochs,
                plugins=[StartedProcesses(place)],
                strategy="ddp",
                devices=2,
                use_distributed_sampler=False,
            )
            # Each rank has data of its own, as it should: gradients are averaged, and the weights stay equal.
            trainer.fit(module, Batches(seed=place.rank))
            between(module, place.rank)
    except DisagreementError as error:
        return str(error)
    return f"round {pruning.round} is done"


SINGLE: dict[str, dict[str, Any]] = {
    "rigl": {"schedule": "rigl", "density": 0.4, "every": 3, "grow_batches": 2},
    "set": {"schedule": "set", "density": 0.4, "every": 3},
    "gradual": {"schedule": "gradual", "density": 0.4, "every": 3, "criterion": "movement"},
    "snip": {"schedule": "at_init", "density": 0.4, "criterion": "snip", "scope": "global"},
    "grasp": {"schedule": "at_init", "density": 0.4, "criterion": "grasp", "scope": "global", "rewind": "random"},
}
"""Schedules of one round, on data that differ from rank to rank."""


def main(rank: int, port: int) -> None:
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*`srun` command.*")  # of Lightning, on machines with SLURM
    warnings.filterwarnings("ignore", ".*LeafSpec")  # between Lightning and torch
    place = Place(rank, 2, port)
    said = {
        "none": play(place, rewind="random"), "first weights": play(place, before=spoil),
        "masks": play(place, criterion="random", seed=rank), "rewinding": play(place, rewind="random", seed=rank),
        **{name: play(place, rounds=1, epochs=3, **settings) for name, settings in SINGLE.items()},
        "training": play(place, SpoilAtTheEnd(rank)), "between": play(place, between=spoil),
    }  # fmt: skip
    print(json.dumps(said))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
