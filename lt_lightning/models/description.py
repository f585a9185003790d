"""Describe a Learner in plain values, from which `models.checkpoint` builds it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lt_lightning.config.choice import Custom, values_of
from lt_lightning.config.models import EmbeddingConfig, ModelChoice
from lt_lightning.config.optimizers import CustomScheduler, OptimizerConfig, SchedulerConfig

if TYPE_CHECKING:
    from lt_lightning.data.sources.encoders import EncoderFiles

KEY = "description"
"""The hyperparameter that holds the description: its keys must not look like arguments of the Learner."""
FORMAT = "lt-lightning learner"
"""The value of `format` in the description."""


def describe_learner(
    model: ModelChoice,
    embedding: EmbeddingConfig | None,
    optimizer: OptimizerConfig | Custom,
    scheduler: SchedulerConfig | CustomScheduler | None,
    metrics: Mapping[str, Mapping[str, Any]],
    *,
    words: int,
    classes: int,
    class_names: Sequence[str] | None,
    encoder: EncoderFiles | None,
    max_length: int | None,
) -> dict[str, Any]:
    """Return the description of a Learner; empty if a setting is an object that JSON has no form for.

    The arguments are those of `build_learner`. Of an encoder the description has the configuration, not the weights.
    """
    files = None if encoder is None else {"name": encoder.name, "config": encoder.config}
    groups = {"model": model, "embedding": embedding, "optimizer": optimizer, "scheduler": scheduler}
    description = {
        "format": FORMAT,
        **{group: None if chosen is None else values_of(chosen) for group, chosen in groups.items()},
        "metrics": metrics,
        "task": model.task,
        "words": words,
        "classes": classes,
        "class_names": None if class_names is None else list(class_names),
        "max_length": max_length,
        "encoder": files,
    }
    try:
        return json.loads(json.dumps(description, default=dict))  # mappings of other types
    except (TypeError, ValueError):
        return {}


def find_description(hyper_parameters: Any) -> Mapping[str, Any] | None:
    """Return the description in the `hyper_parameters` of a checkpoint; None if it has none."""
    found = hyper_parameters.get(KEY) if isinstance(hyper_parameters, Mapping) else None
    return found if isinstance(found, Mapping) and found.get("format") == FORMAT else None
