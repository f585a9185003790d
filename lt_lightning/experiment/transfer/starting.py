"""Compute the mask and the weights that a run takes from a ticket; words are matched by their text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lt_lightning.config.models import RandomVectors
from lt_lightning.config.schema import Config
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.transfer.fitting import path_of_ticket, read_ticket
from lt_lightning.lottery import Mask, Start, derive_seed, prunable_parameters
from lt_lightning.lottery.settings import Rewind
from lt_lightning.models.build import build_network
from lt_lightning.runs.recorded import CarriedWords, Origin, RecordedPruning, parse
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import model_settings
from lt_lightning.tickets.hub import pinned
from lt_lightning.tickets.parameters import Parameter

WORDS, HEAD = "embedding.weight", "fc."
"""The parameter with a row per word, and the prefix of the last layer's parameters, which have a row per class."""

NOWHERE = -1
"""The row of a word that the ticket lacks."""


def find_start(config: Config, network: nn.Module, words: Sequence[str]) -> tuple[Start | None, Origin | None]:
    """Return the start of a run and its ticket's entry in `run.json`; None and None without `pruning.ticket`.

    A parameter carries over with its mask and weights, the embedding word by word. It does not carry over if the number
    of classes differs, or if the ticket pruned it and this run does not. If the ticket pruned the embedding, a word
    that it lacks is dead. `rewind` to the start and `none` take the ticket's weights, others the run's own.

    Args:
        config: the run's settings.
        network: the network with its own first weights.
        words: its vocabulary, in the order of the ids, `<unk>` and `<pad>` first.

    Raises:
        SettingError: the ticket cannot be read or does not fit, or nothing of it carries over.
        LotteryError: the pruning settings do not fit the network.
    """
    packed, settings = read_ticket(config), config.pruning
    if packed is None or settings.ticket is None:
        return None, None
    path, own = path_of_ticket(settings.ticket), network.state_dict()
    prunable = prunable_parameters(network, settings.include, settings.exclude)
    if strange := [name for name in packed.parameters if name not in own]:
        raise SettingError(f"pruning.ticket: {path} has {strange[0]}, which this network lacks; give another ticket")
    carried = tuple(name for name, value in own.items() if _carries(packed, name, value, prunable, path))
    if not {*prunable} & {*carried}:
        raise SettingError(
            f"pruning.include, pruning.exclude: nothing of {path} is pruned by this run; leave them at their defaults"
        )
    rows = match_rows(words, packed.words, packed.word_ids)
    origin, theirs = _weights(packed, path, Rewind.parse(settings.rewind))
    masks, weights = {}, {}
    for name in carried:
        alive, values = _carry(packed.parameters[name], theirs.get(name), own[name], rows if name == WORDS else None)
        if name in prunable:
            masks[name] = alive
        if values is not None:
            weights[name] = values
    has_life = np.asarray(_living(packed.parameters[WORDS]).any(axis=1))
    has_life[: len(SPECIAL_WORDS)] = False  # all vocabularies have these
    living = int(has_life.sum())
    known = int(take_rows(has_life, rows).sum()) if WORDS in carried else 0
    if not known and WORDS in carried:
        raise SettingError(
            f"pruning.ticket: none of the {living:,} living words of {path} is a word of this corpus; "
            "give a ticket that shares some, or pruning.exclude=[embedding.*]"
        )
    mask, total = Mask(masks), sum(own[name].numel() for name in prunable)
    return Start(mask, weights), replace(
        parse(Origin, packed.about),
        file=pinned(settings.ticket, path),
        seal=packed.seal,
        rewind=parse(RecordedPruning, packed.about.get("pruning")).rewind,
        weights=origin,
        fresh=tuple(name for name in own if name not in carried),
        carried=carried,
        words=CarriedWords(known, living, len(words)),
        alive=mask.alive + total - mask.total,
        total=total,
    )


def _carries(packed: Packed, name: str, value: Tensor, prunable: Collection[str], path: Path) -> bool:
    """Return whether a parameter carries over; raise if its shape differs and it is not the last layer's."""
    parameter, shape = packed.parameters.get(name), tuple(value.shape)
    there = None if parameter is None else parameter.shape
    if name == WORDS and there is not None:
        there = (shape[0], *there[1:])
    if parameter is not None and there == shape:
        return name in prunable or parameter.places is None
    if parameter is not None and name.startswith(HEAD) and parameter.shape[1:] == shape[1:]:
        return False  # other classes
    raise SettingError(
        f"pruning.ticket: {name} of {path} has shape {there}, but {shape} here; give the model settings of the "
        "ticket, or another ticket"
    )


def _carry(
    parameter: Parameter, values: np.ndarray | None, own: Tensor, rows: np.ndarray | None
) -> tuple[Tensor, Tensor | None]:
    """Return which entries of a parameter are alive, and its weights; `rows` are the words' rows in the ticket."""
    alive = _living(parameter)
    found = np.ones(len(alive), bool) if rows is None else rows != NOWHERE
    if rows is not None:
        alive = take_rows(alive, rows) | (not parameter.prunable) & ~found[:, None]
    if values is None:
        return torch.from_numpy(alive), None
    dense = scatter(values, parameter.places, parameter.shape)
    dense = dense if rows is None else take_rows(dense, rows)
    places = torch.from_numpy(found).reshape(-1, *[1] * (dense.ndim - 1))
    return torch.from_numpy(alive), torch.where(places, torch.from_numpy(dense).to(own), own)


def _living(parameter: Parameter) -> np.ndarray:
    """Return which entries of a parameter are alive: bool, of its shape."""
    return scatter(np.ones(len(parameter.values), bool), parameter.places, parameter.shape)


def _weights(packed: Packed, path: Path, rewind: Rewind) -> tuple[str, dict[str, np.ndarray]]:
    """Return whose weights a run starts from, and the living ones of the ticket by parameter name."""
    if rewind.at_start:
        return "first", first_values(packed, path)
    if rewind.point != "none":
        return "own", {}
    return "trained", {name: np.asarray(one.values, np.float32) for name, one in packed.parameters.items()}


def first_values(packed: Packed, path: Path) -> dict[str, np.ndarray]:
    """Return the weights that the living entries of a ticket had before round 0 of its run.

    Returns:
        By parameter name, (living,) float32, in the order of the parameter's own `values`.

    Raises:
        SettingError: the file does not hold them, and this machine draws others; `path` names it.
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
        if len(drawn_here) < len(witness) or not np.allclose(drawn_here, witness, rtol=0, atol=1e-6):
            raise SettingError(
                f"pruning.ticket: this installation draws other weights of {name} than those that {path} began with; "
                "export the ticket with --first-weights, which puts them into the file"
            )
    return values


def draw_first_weights(about: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw the first weights of a ticket's run again; random states stay as they are.

    Args:
        about: the ticket's metadata: `model`, `embedding_dim`, `class_names`, and under `first` the `seed` of its run,
            the number of `words` of its vocabulary and the `embedding_std`.

    Returns:
        The network's `state_dict()`.
    """
    first, model = about["first"], model_settings(about)
    embedding = RandomVectors(dim=about["embedding_dim"], std=first["embedding_std"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(first["seed"], "network"))
        network = build_network(model, embedding, words=first["words"], classes=len(about["class_names"]))
    return network.state_dict()


def match_rows(words: Sequence[str], theirs: Sequence[str], ids: np.ndarray) -> np.ndarray:
    """Return each word's row in a ticket's embedding, or `NOWHERE`: (words,) int64.

    Args:
        words: the vocabulary, in the order of its ids, `<unk>` and `<pad>` first.
        theirs: the words that the ticket lists, without these two.
        ids: (theirs,) the rows of those words in the ticket's embedding.

    >>> match_rows(["<unk>", "<pad>", "dog", "cat"], ["cat", "cow"], np.array([2, 7]))
    array([ 0,  1, -1,  2])
    """
    rows = dict(zip(theirs, ids.tolist(), strict=True))
    special = len(SPECIAL_WORDS)  # by position, as a text may contain such a word, too
    return np.array([*range(special), *(rows.get(word, NOWHERE) for word in words[special:])], np.int64)


def take_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a table, zero (or false) for `NOWHERE`: (rows, …) of the table's type.

    >>> take_rows(np.array([[1, 2], [3, 4]]), np.array([1, -1]))
    array([[3, 4],
           [0, 0]])
    """
    found = rows != NOWHERE
    taken = np.zeros((len(rows), *table.shape[1:]), table.dtype)
    taken[found] = table[rows[found]]
    return taken


def scatter(values: np.ndarray, places: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of a shape with values at places (int64 in C order; None: all), zeros or false elsewhere.

    >>> scatter(np.array([5, 6]), np.array([0, 3]), (2, 2))
    array([[5, 0],
           [0, 6]])
    """
    flat = np.zeros(int(np.prod(shape)), values.dtype)
    flat[slice(None) if places is None else places] = values
    return flat.reshape(shape)
