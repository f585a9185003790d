"""The weights that a ticket's own run began with: those that its file holds, or drawn again from the seed of then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_lightning.config.models import RandomVectors
from lt_lightning.errors import SettingError
from lt_lightning.lottery import derive_seed
from lt_lightning.models.build import build_network
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import model_settings

_CLOSE = 1e-6


def first_values(packed: Packed, path: Path) -> dict[str, np.ndarray]:
    """What the living entries of a ticket were before round 0 of its run.

    Args:
        packed: the ticket; it has them, or says how to draw them.
        path: its file, for the message.

    Returns:
        By the parameter's name, (living,) float32, in the order of the parameter's own `values`.

    Raises:
        SettingError: if the file does not hold them and others are drawn here.
    """
    if packed.first is not None:
        return {name: np.asarray(values, np.float32) for name, values in packed.first.items()}
    drawn = draw_first_weights(packed.about)
    values = {
        name: drawn[name].numpy().reshape(-1)[slice(None) if one.places is None else one.places]
        for name, one in packed.parameters.items()
    }
    for name, witness in packed.about["first"]["witness"].items():
        drawn_here = values[name][: len(witness)]
        if len(drawn_here) < len(witness) or not np.allclose(drawn_here, witness, rtol=0, atol=_CLOSE):
            raise SettingError(
                f"pruning.ticket: this installation draws other weights of {name} than those that {path} began with; "
                "export the ticket with --first-weights, which puts them into the file"
            )
    return values


def draw_first_weights(about: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw the weights of a network once more, as its run did before round 0; random states stay as they are.

    Args:
        about: what a ticket says of itself: `model`, `embedding_dim`, `class_names`, and under `first` the `seed` of
            its run, the number of `words` of its vocabulary and the `embedding_std`.

    Returns:
        The network's `state_dict()`.
    """
    first, model = about["first"], model_settings(about)
    embedding = RandomVectors(dim=about["embedding_dim"], std=first["embedding_std"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(first["seed"], "network"))
        network = build_network(model, embedding, words=first["words"], classes=len(about["class_names"]))
    return network.state_dict()
