"""Pack a round's dense ticket into a packed one: living weights, their positions and the words that are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_lightning.config.choice import CHOICES
from lt_lightning.config.encoders import Encoder
from lt_lightning.data.tokenizer import SPECIAL_WORDS, UNKNOWN
from lt_lightning.lottery import Mask
from lt_lightning.runs.notes import measured_rows
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import check_about, expected_shapes
from lt_lightning.tickets.parameters import Parameter
from lt_lightning.tickets.rounding import WHOLE, values_name

_WORDS = "embedding.weight"
_OF_ORIGIN = ("corpus", "experiment", "run", "round", "rewind", "sparsity", "seal")


def pack_ticket(
    ticket: RoundTicket, about: Mapping[str, Any], *, first: Mapping[str, Tensor] | None = None, bits: int = WHOLE
) -> Packed:
    """Pack a round ticket of a text classifier.

    Args:
        ticket: the round's ticket.
        about: metadata to add to the ticket's own.
        first: the run's first weights, by parameter name, to keep those of the living entries.
        bits: 32, or what to round the weights to: 16, 8 or 4.

    Raises:
        ValueError: it is not a text classifier, its weights do not fit its settings, or one is not finite.
    """
    vocabulary = ticket.vocabulary
    about = {**ticket.about, **about, "words": len(vocabulary), "values": values_name(bits)}
    # A run's records have NaN for an accuracy that was not measured; JSON has no NaN.
    about = {key: None if isinstance(value, float) and isnan(value) else value for key, value in about.items()}
    check_about(about)
    shapes = expected_shapes(about)
    if {name: tuple(weight.shape) for name, weight in ticket.weights.items()} != shapes:
        raise ValueError("its weights are not those of its settings")
    parameters = {name: pack_parameter(ticket.weights[name], ticket.mask, name, bits) for name in shapes}
    ids = _needed_words(parameters[_WORDS], len(vocabulary))
    kept = None
    if first is not None:
        kept = {name: _values(first[name], parameter).astype(np.float32) for name, parameter in parameters.items()}
    return Packed(parameters, tuple(vocabulary[word] for word in ids), ids, kept, about)


def pack_parameter(weight: Tensor, mask: Mask, name: str, bits: int) -> Parameter:
    """Return the living entries of a parameter, rounded to so many bits.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    places = np.flatnonzero(mask[name].numpy()) if name in mask else None
    if places is not None and len(places) == weight.numel():
        places = None
    empty = Parameter(tuple(weight.shape), np.empty(0, np.float32), places, name in mask)
    parameter = replace(empty, values=_values(weight, empty).astype(np.float32))
    try:
        return parameter if bits == WHOLE else parameter.rounded(bits)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _values(weight: Tensor, parameter: Parameter) -> np.ndarray:
    if not torch.isfinite(weight).all():
        raise ValueError("its weights are not all finite numbers")
    flat = weight.detach().float().cpu().numpy().reshape(-1)
    return flat if parameter.places is None else flat[parameter.places]


def _needed_words(embedding: Parameter, total: int) -> np.ndarray:
    """Return the ids of the words whose vector differs from that of `<unk>`; all words if `<unk>` has a vector."""
    every = np.arange(len(SPECIAL_WORDS), total)
    if embedding.places is None:
        return every
    rows = embedding.places // embedding.shape[1]
    if embedding.values[rows == UNKNOWN].any():
        return every
    living = np.unique(rows)
    return living[living >= len(SPECIAL_WORDS)]


def describe_origin(run: Run, record: Record) -> dict[str, Any]:
    """Return a packed ticket's metadata about its run, as plain values; None for what `run.json` lacks.

    Of the run's path it has the folder's name alone.
    """
    about, origin = run.description, run.description.ticket
    folder = run.folder.resolve()
    kept = ("amount", "criterion", "scope", "threshold", "rewind")
    added = ("schedule", "density", "pattern", "mask")
    versions = ("lt-lightning", "torch") if about.encoder is None else ("lt-lightning", "torch", "transformers")
    pruning = {key: getattr(about.config.pruning, key) for key in kept}
    pruning |= {key: value for key in added if (value := getattr(about.config.pruning, key)) is not None}
    return {
        "run": f"{folder.parent.name}/{folder.name}" if folder.name.isdigit() else folder.name,  # a job of a sweep
        "started": about.started,
        "network": about.network,
        "rows": about.corpus.rows,
        "valid_fraction": about.config.data.valid_fraction,
        # The part that test_acc and full_test_acc were measured on; None for the whole test split.
        "tested_on": measured_rows(about, "test") or None,
        "fingerprint": about.corpus.fingerprint,
        "embedding": about.config.embedding.name,
        "pruning": None if all(value is None for value in pruning.values()) else pruning,
        "versions": {name: (about.versions or {}).get(name) for name in versions},
        # A run that began with a ticket has no whole network.
        "full_test_acc": run.full.test_acc if origin is None else None,
        "ticket": None if origin is None else {key: getattr(origin, key) for key in _OF_ORIGIN},
        "density": record.density,
    }


def is_encoder(about: Mapping[str, Any]) -> bool:
    """Return whether the ticket with this header is that of a pre-trained encoder."""
    model = about.get("model")
    name = model.get("name") if isinstance(model, Mapping) else None
    choice = CHOICES["model"].get(name) if isinstance(name, str) else None
    return choice is not None and issubclass(choice, Encoder)
