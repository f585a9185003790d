"""Restore a run as its last round left it: weights, mask, the weights to rewind to, and its description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.callbacks.finite_loss import first_not_finite
from lt_lightning.errors import SettingError
from lt_lightning.experiment.round_checkpoint import find_checkpoint
from lt_lightning.runs.description import Description, Resumption, Vocabulary, now
from lt_lightning.runs.recorded import RecordedConfig
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_memory, read_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, rewind_path, ticket_path
from lt_lightning.runtime.machine import compare_cpus
from lt_lightning.storage.lock import STATE


def take_up(run: Path, played: Sequence[PlayedRound], network: nn.Module, pruning: PruningCallback) -> None:
    """Restore the network and the lottery as they were after the last of these rounds.

    Raises:
        SettingError: a file cannot be read, or holds weights that are not finite.
    """
    if not played:
        return
    last = played[-1].record.round
    path = ticket_path(run, last)
    ticket = RoundTicket.load(path)
    _require_finite(path, ticket.weights)
    if dtypes := [weight.dtype for weight in ticket.weights.values() if weight.is_floating_point()]:
        network.to(dtypes[0])
    check_parameters(path, ticket.weights, network.state_dict())
    network.load_state_dict(dict(ticket.weights))
    weights = read_rewind_weights(run) if played[0].rewind is not None else None
    if weights is not None:
        _require_finite(rewind_path(run), weights)
        # Tied parameters have one name here and several in a ticket.
        shared = {name: weight for name, weight in ticket.weights.items() if name in weights or name in ticket.mask}
        check_parameters(rewind_path(run), {name: weights[name] for name in weights if name in shared}, shared)
    # In the order of the parameters, which decides among equal scores; a file has another order.
    mask = {name: ticket.mask[name] for name, _ in network.named_parameters() if name in ticket.mask}
    state = {"round": last, "training": False, "mask": mask, "rewind_weights": weights}
    if played[-1].memory is not None:
        state["memory"] = read_memory(run, last)
    pruning.load_state_dict(state)


def _require_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    if name := first_not_finite(weights.items()):
        raise SettingError(
            f"{path}: the weights {name!a} are not finite, so that no round can follow; restore it from a copy, or "
            "start another run with a lower optimizer.lr"
        )


def resume_description(before: Description, current: Description) -> tuple[Description, list[str]]:
    """Return the description of a run that resumes, and a line for each difference that may change numbers.

    Args:
        before: the description in `run.json`.
        current: the description that the run would have if it started now.

    Raises:
        SettingError: the number of processes, the word vectors or the ticket differ.
    """
    then, processes = before.processes, current.processes
    if then is not None and then != processes:
        raise SettingError(
            f"trainer.devices: the run was shared by {then} processes, now {processes} would share it, each with "
            "batches of its own; give as many as before"
        )
    if before.vocabulary != Vocabulary() and before.vocabulary.vectors != current.vocabulary.vectors:
        raise SettingError(
            "embedding.path: the vectors are not those that the run began with; restore them, or start another run"
        )
    origin, ticket = before.ticket, current.ticket  # once round 0 is over, the ticket's file is not read
    if origin is not None and ticket is not None and origin.seal != ticket.seal:
        raise SettingError(
            f"pruning.ticket: {ticket.file} is not the file that round 0 began with; bring that one back, give "
            "pruning.ticket=WHERE IT LIES NOW, or start another run"
        )
    changes = _changes(before, current)
    remarks = []
    file, config = before.config.pruning.ticket, current.config
    if current.ticket is None and file != config.pruning.ticket:
        values = {**(config.values or {}), "pruning": {**config.group("pruning"), "ticket": file}}
        current = replace(current, config=RecordedConfig.from_json(values))
        remarks.append("resume: pruning.ticket is no longer read, as round 0 is over: the recorded one is kept")
    if changes is None:
        remarks.append("resume: the versions that the run began with are unknown: numbers may differ")
    elif changes:
        named = "; ".join(f"{name} was {was}, is {is_}" for name, (was, is_) in changes.items())
        remarks.append(f"resume: {named}: numbers may differ from those of a run that was not interrupted")
    resumed = Resumption(now(), changes and {name: list(pair) for name, pair in changes.items()})
    kept = {
        key: getattr(before, key) or getattr(current, key)
        for key in ("started", "versions", "device", "precision", "cpu")
    }
    encoder = before.encoder or current.encoder  # of a source that is gone, the weights have no digest now
    resumptions = (*(before.resumed or ()), resumed)
    return replace(current, **kept, ticket=ticket or origin, encoder=encoder, resumed=resumptions), remarks


def require_origin(run: Path, before: Description) -> None:
    """Raise a `SettingError` if a checkpoint of round 0 may belong to another ticket than the one given now.

    Args:
        run: a run from a ticket, whose round 0 is not over.
        before: the description in `run.json`, which may have lost the ticket's seal.
    """
    kept, _, _ = find_checkpoint(run / STATE, 0)
    if kept is not None and before.ticket is None:
        raise SettingError(
            f"pruning.ticket: the file that round 0 of {run} began with is unknown; restore run.json from a "
            f"copy, or remove {kept}, so that round 0 starts anew"
        )


def _changes(before: Description, current: Description) -> dict[str, tuple[Any, Any]] | None:
    """Return the versions, device and processor that differ; None if the earlier ones are not recorded."""
    versions = before.versions
    if versions is None:
        return None
    was = {**versions, "device": before.device}
    is_ = {**(current.versions or {}), "device": current.device}
    changes = {name: (was.get(name), value) for name, value in is_.items() if was.get(name) != value}
    # Older runs do not record these.
    for name in ("numba", "llvmlite", "transformers"):
        if name not in versions:
            changes.pop(name, None)
    cpus = compare_cpus(before.cpu, current.cpu or {}) if before.cpu is not None else None
    return changes if cpus is None else {**changes, "cpu": cpus}
