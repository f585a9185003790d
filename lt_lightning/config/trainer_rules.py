"""What must hold of the settings of the Trainer. Needs neither torch nor Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lt_lightning.config.interpolation import find_interpolations
from lt_lightning.config.schema import TrainerConfig


def trainer_rules(trainer: TrainerConfig, brings_loaders: bool) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether a Trainer can run rounds: each is validated and tested.

    Args:
        trainer: the `trainer` group.
        brings_loaders: whether a LightningDataModule of the user's own makes the batches.
    """
    refused = {
        "overfit_batches": (None, "it would replace the batches; use data.limit to train on few rows"),
        "val_check_interval": (None, "a round validates at the end of each epoch; leave it null"),
        "barebones": (None, "it would switch off what the records are made of; leave it null"),
    }
    for key, (allowed, remedy) in refused.items():
        value = getattr(trainer, key)
        yield f"trainer.{key}", value, value == allowed and type(value) is type(allowed), f"not possible here: {remedy}"
    sampler = trainer.use_distributed_sampler
    said = "not possible here: rows are dealt out among processes already, each once; leave it out"
    yield "trainer.use_distributed_sampler", sampler, brings_loaders or not sampler, said
    sure = trainer.deterministic
    yield "trainer.deterministic", sure, sure in (None, True, False, "warn"), "none of true, false, warn"
    fine = trainer.logger in (None, True, False) or all(map(is_object, _listed(trainer.logger)))
    yield "trainer.logger", trainer.logger, fine, "neither true nor false nor an object with _target_"
    objects = trainer.callbacks
    fine = objects is None or all(map(is_object, objects))
    yield (
        "trainer.callbacks",
        objects,
        fine,
        "no list of objects; give each its _target_, as in [{_target_: my.Callback}]",
    )
    yield from _strategy_rules(trainer.strategy)
    for key, value in vars(trainer).items():
        for text in find_interpolations(value):
            yield f"trainer.{key}", text, False, "not possible here: Hydra would read ${ as an interpolation once more"


def _strategy_rules(strategy: Any) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether a strategy, by name or as an object, leaves all weights in each process, and processes to us."""
    given = strategy if isinstance(strategy, Mapping) else {}
    name = strategy if isinstance(strategy, str) else str(given.get("_target_", ""))
    words = f"{name} {given.get('start_method', '')}".lower()
    shards = any(word in words for word in ("fsdp", "deepspeed", "model_parallel", "modelparallel"))
    yield (
        "trainer.strategy",
        name,
        not shards,
        "not supported: it shards parameters among the processes, and pruning needs them whole in each; use ddp",
    )
    elsewhere = any(word in words for word in ("spawn", "fork", "notebook", "xla"))
    yield "trainer.strategy", name, not elsewhere, "not supported: it starts processes in a way of its own; use ddp"


def is_object(value: Any) -> bool:
    """Return whether Hydra makes an object of a value."""
    return isinstance(value, Mapping) and "_target_" in value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
