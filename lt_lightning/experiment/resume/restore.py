"""Putting a run back where its last round left it: weights, mask, and what is remembered for rewinding."""

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
from lt_lightning.runs.recorded import Origin, RecordedConfig
from lt_lightning.runs.round_ticket import RoundTicket, check_parameters, read_rewind_weights, write_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, rewind_path, ticket_path
from lt_lightning.runtime.machine import compare_cpus
from lt_lightning.storage.lock import STATE


def take_up(run: Path, played: Sequence[PlayedRound], network: nn.Module, pruning: PruningCallback) -> None:
    """Give the network and the lottery what they had as the last of these rounds ended.

    Raises:
        SettingError: if a file that belongs to them cannot be read, or holds weights that are not finite.
    """
    if not played:
        return
    last = played[-1].record.round
    ticket = RoundTicket.load(ticket_path(run, last))
    _require_finite(ticket_path(run, last), ticket.weights)
    for weight in ticket.weights.values():
        if weight.is_floating_point():
            network.to(weight.dtype)
            break
    check_parameters(ticket_path(run, last), ticket.weights, network.state_dict())
    network.load_state_dict(dict(ticket.weights))
    weights = read_rewind_weights(run) if played[0].rewind is not None else None
    if weights is not None:
        _require_finite(rewind_path(run), weights)
        # Tied parameters have one name here and several in a ticket.
        shared = {name: weight for name, weight in ticket.weights.items() if name in weights or name in ticket.mask}
        check_parameters(rewind_path(run), {name: weights[name] for name in weights if name in shared}, shared)
    # A file has an order of its own; among equal scores it is the order of the parameters that decides.
    mask = {name: ticket.mask[name] for name, _ in network.named_parameters() if name in ticket.mask}
    pruning.load_state_dict({"round": last, "training": False, "mask": mask, "rewind_weights": weights})


def _require_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    if name := first_not_finite(weights.items()):
        raise SettingError(
            f"{path}: the weights {name!a} are not finite, so that no round can follow; restore it from a copy, or "
            "start another run with a lower optimizer.lr"
        )


def save_rewind_weights(run: Path, pruning: PruningCallback) -> str | None:
    """Keep the weights that later rounds rewind to.

    Returns:
        The seal of their file; None where rounds rewind to none that are remembered.

    Raises:
        OSError: if the file cannot be written.
    """
    weights = pruning.state_dict()["rewind_weights"]
    if weights is None:
        return None
    return write_rewind_weights(run, weights)


def resume_description(before: Description, current: Description) -> tuple[Description, list[str]]:
    """Return the description of a run that goes on.

    Args:
        before: the description in `run.json`.
        current: the description that the run would have if it started now.

    Returns:
        The description, and a line for each thing that is not as it was and may change numbers.

    Raises:
        SettingError: if another number of processes shares the work, or word vectors or the ticket are others.
    """
    then, processes = before.processes, current.processes
    if then is not None and then != processes:
        raise SettingError(
            f"trainer.devices: the run was shared by {then} processes, now {processes} would share it, each with "
            "batches of its own; give as many as then"
        )
    if before.vocabulary != Vocabulary() and before.vocabulary.vectors != current.vocabulary.vectors:
        raise SettingError("embedding.path: the vectors are not those of then; bring these back, or start another run")
    origin = _origin(before.ticket, current.ticket)
    changes = _changes(before, current)
    remarks = []
    file, config = before.config.pruning.ticket, current.config
    if current.ticket is None and file != config.pruning.ticket:
        values = {**(config.values or {}), "pruning": {**config.group("pruning"), "ticket": file}}
        current = replace(current, config=RecordedConfig.from_json(values))
        remarks.append("resume: pruning.ticket is not read any more, as round 0 is over: it stays what it was")
    if changes is None:
        remarks.append("resume: with which versions the run began is not known any more: numbers may differ")
    elif changes:
        named = "; ".join(f"{name} was {was}, is {is_}" for name, (was, is_) in changes.items())
        remarks.append(f"resume: {named}: numbers may differ from those of a run that was not interrupted")
    resumed = Resumption(now(), changes and {name: list(pair) for name, pair in changes.items()})
    kept = {key: getattr(before, key) or getattr(current, key) for key in ("started", "versions", "device", "cpu")}
    return replace(current, **kept, ticket=origin, resumed=(*(before.resumed or ()), resumed)), remarks


def _origin(then: Origin | None, now: Origin | None) -> Origin | None:
    """Return the ticket that a run started from.

    Args:
        then: the one in `run.json`.
        now: the one in the file; None once round 0 is over, when the file may be gone.
    """
    if then is not None and now is not None and then.seal != now.seal:
        raise SettingError(
            f"pruning.ticket: {now.file} is not the file that round 0 began with; bring that one back, give "
            "pruning.ticket=WHERE IT LIES NOW, or start another run"
        )
    return then if now is None else now


def require_origin(run: Path, before: Description) -> None:
    """See that what is left of round 0 can be told to be of the ticket that is given now.

    Args:
        run: a run from a ticket, whose round 0 is not over.
        before: what `run.json` said; it may be lost, with the ticket's seal.

    Raises:
        SettingError: if there are weights of the middle of round 0, and nobody knows under which mask.
    """
    kept, _, _ = find_checkpoint(run / STATE, 0)
    if kept is not None and before.ticket is None:
        raise SettingError(
            f"pruning.ticket: with which file round 0 of {run} began is not known any more; restore run.json from a "
            f"copy, or remove {kept}, so that round 0 is played from its beginning"
        )


def _changes(before: Description, current: Description) -> dict[str, tuple[Any, Any]] | None:
    """Return the versions, device and processor that are not as they were; None if that is not known."""
    versions = before.versions
    if versions is None:
        return None
    was = {**versions, "device": before.device}
    is_ = {**(current.versions or {}), "device": current.device}
    changes = {name: (was.get(name), value) for name, value in is_.items() if was.get(name) != value}
    # Older runs have neither on record: nothing is known to have changed.
    for name in ("numba", "llvmlite"):
        if name not in versions:
            changes.pop(name, None)
    cpus = compare_cpus(before.cpu, current.cpu or {}) if before.cpu is not None else None
    return changes if cpus is None else {**changes, "cpu": cpus}
