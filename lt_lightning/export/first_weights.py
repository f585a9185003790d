"""Find the weights that a run began with, or how to draw them again, for `--first-weights` and `pruning.ticket`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.reading import Run
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_rewind_weights
from lt_lightning.runs.rounds import rewind_path
from lt_lightning.runtime.fast_import import load_lightning

_WITNESSES = 8  # values of each parameter that show whether the same weights are drawn again


def find_first_weights(
    run: Run, ticket: RoundTicket, *, keep: bool
) -> tuple[dict[str, Any] | None, dict[str, Tensor] | None]:
    """Find the weights that a run began with, and whether they can be drawn again.

    Args:
        run: the run.
        ticket: the ticket of one of its rounds.
        keep: return the weights even if they can be drawn again.

    Returns:
        Either the recipe for `draw_first_weights`, with some living values of each parameter as a `witness`, or the
        weights by parameter name; None and None if the run did not keep them.

    Raises:
        SettingError: they are to be kept, but are unknown.
    """
    rewind, embedding = run.description.config.pruning.rewind, run.description.config.embedding
    path, known, recipe, drawn = rewind_path(run.folder), None, None, None
    if rewind is not None and Rewind.parse(rewind).at_start and path.exists():
        kept = read_rewind_weights(run.folder) or {}
        known = {name: weight for name, weight in kept.items() if name in ticket.weights}
        check_parameters(path, known, ticket.weights)
    # No seed gives vectors that were read, or weights of another ticket.
    began_whole = run.description.ticket is None and run.description.config.pruning.ticket is None
    if began_whole and embedding.name == "random":
        load_lightning()
        from lt_lightning.experiment.transfer.starting import draw_first_weights

        std = 1.0 if embedding.std is None else embedding.std
        recipe = {"seed": ticket.about["seed"], "words": len(ticket.vocabulary), "embedding_std": std}
        drawn = draw_first_weights({**ticket.about, "first": recipe})
        known = drawn if known is None else known
    if known is None:
        if keep:
            raise SettingError(
                f"--first-weights: {run.folder} did not keep the weights that it began with; leave it out"
            )
        return None, None
    again = drawn is not None and all(torch.allclose(drawn[name], known[name], rtol=0, atol=1e-6) for name in known)
    if keep or recipe is None or not again:
        return None, known
    witness = {name: _living(weights, ticket, name)[:_WITNESSES].tolist() for name, weights in known.items()}
    return {**recipe, "witness": witness}, None


def _living(weights: Tensor, ticket: RoundTicket, name: str) -> Tensor:
    flat = weights.float().reshape(-1)
    return flat[ticket.mask[name].reshape(-1)] if name in ticket.mask else flat
