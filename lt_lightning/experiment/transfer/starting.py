"""From a ticket to where a run starts: the mask and the weights that carry over, and a record of what did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lt_lightning.config.schema import Config
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.transfer.first_weights import first_values
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.experiment.transfer.matching import NOWHERE, match_rows, scatter, take_rows
from lt_lightning.lottery import Mask, Start, prunable_parameters
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.recorded import CarriedWords, Origin, RecordedPruning, parse
from lt_lightning.tickets.file import Packed, Parameter

WORDS, HEAD = "embedding.weight", "fc."
"""The parameter whose rows are words, and how the names of the last layer's begin, whose rows are classes."""


@dataclass(frozen=True)
class Transfer:
    """What of a ticket a run starts from.

    Attributes:
        start: the mask, and the weights where the run does not draw its own.
        weights: whose they are: `first`, those that the ticket's run began with; `trained`, the ticket's; `own`.
        fresh: the parameters of which nothing carries over: they begin whole, with weights of the run's own.
        carried: the others.
        living_words: how many words of the ticket have a living entry.
        carried_words: how many of these the run knows, too.
        alive: the entries that are alive in round 0.
        total: all that can be pruned.
    """

    start: Start
    weights: str
    fresh: tuple[str, ...]
    carried: tuple[str, ...]
    living_words: int
    carried_words: int
    alive: int
    total: int


def find_start(config: Config, network: nn.Module, words: Sequence[str]) -> tuple[Start | None, Origin | None]:
    """Return where a run starts, and the ticket for `run.json`; None and None where `pruning.ticket` names no file.

    Args:
        config: the run's settings.
        network: as it was drawn.
        words: its vocabulary, in the order of the ids.

    Raises:
        SettingError: if the ticket cannot be read, or does not fit.
        LotteryError: if the pruning settings do not fit the network.
    """
    packed = read_ticket(config)
    if packed is None or config.pruning.ticket is None:
        return None, None
    path, settings = typed_path(config.pruning.ticket), config.pruning
    prunable = prunable_parameters(network, settings.include, settings.exclude)
    transfer = carry_over(packed, path, network.state_dict(), words, prunable=prunable, rewind=settings.rewind)
    return transfer.start, replace(
        parse(Origin, packed.about),
        file=str(path),
        seal=packed.seal,
        rewind=parse(RecordedPruning, packed.about.get("pruning")).rewind,
        weights=transfer.weights,
        fresh=transfer.fresh,
        carried=transfer.carried,
        words=CarriedWords(transfer.carried_words, transfer.living_words, len(words)),
        alive=transfer.alive,
        total=transfer.total,
    )


def carry_over(
    packed: Packed,
    path: Path,
    own: Mapping[str, Tensor],
    words: Sequence[str],
    *,
    prunable: Collection[str],
    rewind: str,
) -> Transfer:
    """Match a ticket with a network, parameter by parameter; the rows of the embedding word by word.

    A parameter carries over with its mask and its weights or, where the classes are others or the run does not prune
    what the ticket has pruned, not at all. Where the ticket has pruned the embedding, a word that it lacks is dead.

    Args:
        packed: the ticket; its settings fit the network's.
        path: its file, for messages.
        own: the network's `state_dict()`, as it was drawn.
        words: the network's vocabulary, `<unk>` and `<pad>` first.
        prunable: the parameters that the run prunes.
        rewind: the run's rewinding: to the very start and `none` take the ticket's weights, anything else the run's
            own.

    Raises:
        SettingError: if a parameter has another shape there, nothing or no word carries over, or the first weights
            cannot be had.
    """
    if strange := [name for name in packed.parameters if name not in own]:
        raise SettingError(f"pruning.ticket: {path} has {strange[0]}, which this network lacks; give another ticket")
    rows = match_rows(words, packed.words, packed.word_ids)
    fresh = tuple(name for name, value in own.items() if not _carries(packed, name, value, prunable, path))
    if not {*prunable} - {*fresh}:
        raise SettingError(
            f"pruning.include, pruning.exclude: nothing of {path} is pruned by this run; leave them at their defaults"
        )
    origin = _origin(Rewind.parse(rewind))
    values = {} if origin == "own" else _values(packed, path, origin)
    masks, weights = {}, {}
    for name, value in own.items():
        if name in fresh:
            continue
        parameter = packed.parameters[name]
        alive = living(parameter)
        found = np.ones(len(alive), bool)
        if name == WORDS:
            found = rows != NOWHERE
            alive = take_rows(alive, rows) | (not parameter.prunable) & ~found[:, None]
        if name in prunable:
            masks[name] = torch.from_numpy(alive)
        if name in values:
            theirs = scatter(values[name], parameter.places, parameter.shape)
            theirs = take_rows(theirs, rows) if name == WORDS else theirs
            places = torch.from_numpy(found).reshape(-1, *[1] * (theirs.ndim - 1))
            weights[name] = torch.where(places, torch.from_numpy(theirs).to(value), value)
    has_life = np.asarray(living(packed.parameters[WORDS]).any(axis=1))
    has_life[: len(SPECIAL_WORDS)] = False  # everyone has these
    known = 0 if WORDS in fresh else int(take_rows(has_life, rows).sum())
    if not known and WORDS not in fresh:
        raise SettingError(
            f"pruning.ticket: none of the {int(has_life.sum()):,} living words of {path} is a word of this corpus; "
            "give a ticket that shares some, or pruning.exclude=[embedding.*]"
        )
    mask, total = Mask(masks), sum(own[name].numel() for name in prunable)
    alive = mask.alive + total - mask.total
    carried = tuple(name for name in own if name not in fresh)
    return Transfer(Start(mask, weights), origin, fresh, carried, int(has_life.sum()), known, alive, total)


def living(parameter: Parameter) -> np.ndarray:
    """Which entries of a parameter are alive: bool, of its shape."""
    return scatter(np.ones(len(parameter.values), bool), parameter.places, parameter.shape)


def _carries(packed: Packed, name: str, value: Tensor, prunable: Collection[str], path: Path) -> bool:
    """Whether a parameter carries over.

    Raises:
        SettingError: if it has another shape there and is not the last layer's.
    """
    parameter = packed.parameters.get(name)
    there = None if parameter is None else parameter.shape
    shape = tuple(value.shape)
    if name == WORDS and there is not None:
        there = (shape[0], *there[1:])
    if parameter is None or there != shape:
        # Its rows are classes; of what they read there must be as much.
        if parameter is not None and name.startswith(HEAD) and parameter.shape[1:] == shape[1:]:
            return False
        raise SettingError(
            f"pruning.ticket: {name} of {path} has shape {there}, but {shape} here; give the model settings of the "
            "ticket, or another ticket"
        )
    return name in prunable or parameter.places is None


def _origin(rewind: Rewind) -> str:
    if rewind.at_start:
        return "first"
    return "trained" if rewind.point == "none" else "own"


def _values(packed: Packed, path: Path, origin: str) -> dict[str, np.ndarray]:
    if origin == "first":
        return first_values(packed, path)
    return {name: np.asarray(parameter.values, np.float32) for name, parameter in packed.parameters.items()}
