"""What a packed ticket keeps of the weights that its run began with: how to draw them again, or the weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.reading import Run
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_rewind_weights
from lt_lightning.runs.rounds import rewind_path
from lt_lightning.runtime.fast_import import load_lightning

_WITNESSES = 8
"""So many values of each parameter tell whether what is drawn again is what was drawn."""


class First(NamedTuple):
    """What is kept: one of the two, or neither where the first weights are not known any more.

    Attributes:
        recipe: how to draw them again; see `draw_first_weights`. `witness` has some living values of each parameter.
        weights: all of them, by parameter name.
    """

    recipe: dict[str, Any] | None
    weights: dict[str, Tensor] | None


def find_first_weights(run: Run, ticket: RoundTicket, *, keep: bool) -> First:
    """Find out what a run began with, and whether it can be drawn again.

    Args:
        run: the run.
        ticket: the ticket of one of its rounds.
        keep: keep the weights, even where they can be drawn again.

    Raises:
        SettingError: they are to be kept, and nobody knows them any more.
    """
    rewind, embedding = run.description.config.pruning.rewind, run.description.config.embedding
    from_start = rewind is not None and Rewind.parse(rewind).at_start
    kept = read_rewind_weights(run.folder) if from_start and rewind_path(run.folder).exists() else None
    if kept is not None:
        kept = {name: weight for name, weight in kept.items() if name in ticket.weights}
        check_parameters(rewind_path(run.folder), kept, ticket.weights)
    # Vectors that were read, or weights of another ticket, are in no seed.
    is_drawn = run.description.config.pruning.ticket is None and embedding.name == "random"
    recipe, drawn = None, None
    if is_drawn:
        load_lightning()
        from lt_lightning.experiment.transfer.first_weights import draw_first_weights

        words = len(ticket.vocabulary)
        recipe = {
            "seed": ticket.about["seed"],
            "words": words,
            "embedding_std": 1.0 if embedding.std is None else embedding.std,
        }
        drawn = draw_first_weights({**ticket.about, "first": recipe})
    known = kept if kept is not None else drawn
    if known is None:
        if keep:
            raise SettingError(
                f"--first-weights: {run.folder} did not keep the weights that it began with; leave it out"
            )
        return First(None, None)
    again = drawn is not None and all(torch.allclose(drawn[name], known[name], rtol=0, atol=1e-6) for name in known)
    if keep or recipe is None or not again:
        return First(None, known)
    witness = {name: _living(weights, ticket, name)[:_WITNESSES].tolist() for name, weights in known.items()}
    return First({**recipe, "witness": witness}, None)


def _living(weights: Tensor, ticket: RoundTicket, name: str) -> Tensor:
    flat = weights.float().reshape(-1)
    return flat[ticket.mask[name].reshape(-1)] if name in ticket.mask else flat
