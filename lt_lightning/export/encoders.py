"""Pack a round's ticket of a pre-trained encoder, and check what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lt_lightning.data.sources.encoders import CONFIG, KEPT, EncoderFiles, read_kept
from lt_lightning.errors import SettingError
from lt_lightning.export.files import check_weights
from lt_lightning.models.encoder import EncoderClassifier, build_encoder
from lt_lightning.runs.packing import pack_parameter
from lt_lightning.runs.reading import Run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.tickets.encoder.file import PackedEncoder, check_encoder
from lt_lightning.tickets.encoder.network import Answer, fill, weights_of
from lt_lightning.tickets.rounding import WHOLE, values_name

CLOSE = 1e-5
"""The largest difference of logits, as a share of the largest logit if that exceeds 1."""

_ROWS, _LONGEST = 24, 48
"""The number of random texts that are tried, and the number of their pieces."""


def pack_encoder(run: Run, ticket: RoundTicket, about: Mapping[str, Any], *, bits: int = WHOLE) -> PackedEncoder:
    """Pack the round ticket of an encoder, without a graph.

    Args:
        run: the run, which keeps the configuration of the encoder.
        ticket: the ticket of one of its rounds.
        about: metadata to add to the ticket's own.
        bits: 32, or what to round the weights to: 16, 8 or 4.

    Raises:
        SettingError: the run lacks the configuration.
        ValueError: a weight is not finite or no real number.
    """
    files = kept_files(run)
    model = {key: value for key, value in ticket.about["model"].items() if key != "path"}  # a path of this machine
    described = run.description.encoder
    encoder = {
        "config": dict(files.config),
        "pooling": model.get("pooling"),
        "padding": files.padding,
        "name": files.name if described is None else described.name,
        "hub": model.get("hub"),
        "note": None if described is None else described.note,
    }
    about = {
        **ticket.about, **about, "model": model, "encoder": encoder, "values": values_name(bits),
    }  # fmt: skip
    # A run's records have NaN for an accuracy that was not measured; JSON has no NaN.
    about = {key: None if isinstance(value, float) and isnan(value) else value for key, value in about.items()}
    check_encoder(about)
    for name, weight in ticket.weights.items():
        if not weight.is_floating_point():
            raise ValueError(f"{name!a} is of {weight.dtype}, and a packed ticket holds numbers in float32 alone")
    parameters = {name: pack_parameter(weight, ticket.mask, name, bits) for name, weight in ticket.weights.items()}
    return PackedEncoder(parameters, ticket.tokenizer, b"", about)


def kept_files(run: Run) -> EncoderFiles:
    """Return the files of the encoder of a run, which keeps all of them but the weights.

    Raises:
        SettingError: a file is missing or damaged.
    """
    if not (run.folder / KEPT / CONFIG).is_file():
        raise SettingError(f"{run.folder / KEPT / CONFIG}: no such file; restore it from a copy of the run")
    return read_kept(run.folder)


def trained_network(run: Run, packed: PackedEncoder) -> EncoderClassifier:
    """Return the network that was trained, in eval mode, with the weights of a packed ticket."""
    encoder = packed.about["encoder"]
    network = build_encoder(
        files=kept_files(run),
        classes=len(packed.about["class_names"]),
        max_length=packed.about["max_length"],
        pooling=encoder["pooling"],
        dropout=0.0,
        freeze=(),
    )
    network.load_state_dict({name: torch.from_numpy(one) for name, one in weights_of(packed).items()})
    return network.eval()


class Trial:
    """Random texts with the logits of the network that was trained.

    Args:
        network: the network, in eval mode.
        packed: its ticket.

    Raises:
        SettingError: a logit is not finite.
    """

    def __init__(self, network: EncoderClassifier, packed: PackedEncoder) -> None:
        rng, encoder = np.random.default_rng(0), packed.about["encoder"]
        longest = min(_LONGEST, packed.about["max_length"] or _LONGEST)
        lengths = np.concatenate([[1, min(2, longest), longest], rng.integers(1, longest + 1, _ROWS - 3)])
        pieces = encoder["config"]["vocab_size"]
        texts = [rng.integers(pieces, size=length).astype(np.int32) for length in lengths]
        for text in texts:  # which the position ids of RoBERTa would not count
            text[text == encoder["padding"]] = (encoder["padding"] + 1) % pieces
        self.ids, self.mask = fill(texts, encoder["padding"])
        with torch.inference_mode():
            found = network(torch.from_numpy(self.ids), torch.from_numpy(lengths))
        self.logits = found.float().numpy()
        if not np.isfinite(self.logits).all():
            raise SettingError(
                "the ticket's weights are so large that an answer is not finite; export an earlier round"
            )

    def difference(self, answer: Answer) -> float:
        """Return the largest difference of an answer's logits, as a share of the largest logit if that exceeds 1."""
        apart = np.abs(answer(self.ids, self.mask) - self.logits).max()
        return float(apart / max(1.0, np.abs(self.logits).max()))


def check_encoder_file(path: Path, ticket: RoundTicket, packed: PackedEncoder) -> None:
    """Read a packed ticket back; raise a ValueError if it differs from the round's ticket or from `packed`."""
    found = PackedEncoder.load(path)
    check_weights(found.parameters, ticket, packed)
    if replace(found, parameters={}, seal="") != replace(packed, parameters={}):
        raise ValueError("its header, its tokenizer or its graph differs")
