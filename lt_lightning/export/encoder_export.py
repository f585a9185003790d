"""Prepare the export of a pre-trained encoder's ticket, and write the files that go with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.export.encoders import CLOSE, Trial, check_encoder_file, pack_encoder, trained_network
from lt_lightning.export.files import Places, rounded, write_state_dict, write_tokenizer
from lt_lightning.export.graph import (
    check_libraries,
    make_graph,
    missing_libraries,
    packable_graph,
    write_encoder_onnx,
)
from lt_lightning.export.measuring import measured
from lt_lightning.runs.reading import Run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.encoder.network import by_torch
from lt_lightning.tickets.rounding import WHOLE

if TYPE_CHECKING:
    import onnx

    from lt_lightning.export.export import Wishes


@dataclass(frozen=True)
class EncoderContent:
    """The content of an export of an encoder.

    Attributes:
        packed: the packed ticket.
        ticket: the round's.
        trial: random texts with the logits of the trained network.
        model: the ONNX graph with its weights; None if it could not be made.
        reason: the reason why the packed ticket has no graph; empty if it has one.
        uncalibrated: the reason why it has no temperature; empty if it has one, or is to have none.
    """

    packed: PackedEncoder
    ticket: RoundTicket
    trial: Trial
    model: onnx.ModelProto | None
    reason: str
    uncalibrated: str

    def check(self, path: Path) -> None:
        """Read the packed ticket back; raise a ValueError if it is not as written."""
        check_encoder_file(path, self.ticket, self.packed)

    def write_others(self, places: Places, wishes: Wishes) -> Iterator[str]:
        """Write the optional files; yield lines for each."""
        if self.reason:
            yield f"graph    none, so predicting needs torch and transformers: {self.reason}"
        if wishes.onnx:
            assert self.model is not None  # `prepare_encoder` raises
            difference = write_encoder_onnx(self.packed, self.model, self.trial, places.onnx)
            checked = (
                "not checked: onnxruntime is not installed" if difference is None else f"checked to {difference:.1e}"
            )
            yield f"ONNX     {places.onnx} ({checked})"
        if wishes.state_dict:
            write_state_dict(rounded(self.ticket, self.packed) if wishes.bits < WHOLE else self.ticket, places.dense)
            yield f"dense    {places.dense}"
        if wishes.tokenizer:
            write_tokenizer(self.ticket, places.tokenizer)
            yield f"pieces   {places.tokenizer}"
        if wishes.hf is not None:
            from lt_lightning.export.huggingface.folder import write_folder

            name, difference = write_folder(wishes.hf, self.packed, self.trial, wishes.licence)
            yield f"hf       {wishes.hf} ({name}, checked to {difference:.1e})"


def prepare_encoder(run: Run, ticket: RoundTicket, about: Mapping[str, Any], wishes: Wishes) -> EncoderContent:
    """Pack the ticket of an encoder, and check that it gives the logits of the network that was trained.

    Args:
        run: the run.
        ticket: the ticket of one of its rounds.
        about: metadata to add to the ticket's own.
        wishes: the options of the export.

    Raises:
        SettingError: a library that an option needs is missing, or the ticket gives other logits.
        ValueError: the ticket is no sound one of an encoder.
    """
    packed = pack_encoder(run, ticket, about, bits=wishes.bits)
    if wishes.onnx:
        check_libraries(packed)
    try:
        network = trained_network(run, packed)
    except RuntimeError as error:  # load_state_dict
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"its weights are not those of its encoder ({reason})") from error
    trial = Trial(network, packed)
    if not (apart := trial.difference(by_torch(packed))) <= CLOSE:
        raise SettingError(f"the packed ticket gives logits {apart:.1e} off the network's; report this as a defect")
    packed, uncalibrated = measured(packed, run, wishes)
    missing = missing_libraries()
    if missing:
        return EncoderContent(packed, ticket, trial, None, f"{missing[0]} is not installed", uncalibrated)
    try:
        model = make_graph(packed)
    except SettingError as error:
        if wishes.onnx:
            raise
        return EncoderContent(packed, ticket, trial, None, str(error).removeprefix("--onnx: "), uncalibrated)
    graph = packable_graph(packed, model, trial)
    reason = "" if graph else "onnxruntime gives other logits"
    return EncoderContent(replace(packed, graph=graph), ticket, trial, model, reason, uncalibrated)
