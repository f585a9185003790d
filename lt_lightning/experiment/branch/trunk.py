"""Check that a branch fits its trunk, the run whose tickets it retrains; imports no torch, so refusals come at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lt_lightning.config.choice import values_of
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.command import find_trunk
from lt_lightning.experiment.resume.compare import EARLIER, describe_before, is_free
from lt_lightning.lottery.settings import LotteryError, Rewind
from lt_lightning.runs.branch import Branch
from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import flat_settings, name_rounds, show_setting
from lt_lightning.runs.masks import read_masks
from lt_lightning.runs.rounds import PlayedRound, read_record, recorded_numbers, rewind_path, ticket_path
from lt_lightning.runs.winners import explain_missing, kept_rounds
from lt_lightning.storage.sealed import read_seal

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config

Source = Literal["kept", "trained", "full", "drawn"]
"""The weights that the rounds of a branch begin with: those that the trunk rewinds to, each ticket's trained ones,
those at the end of round 0, or new ones."""

_MAY_DIFFER = frozenset({"data.batch_size"})
"""Settings of the data that neither the rows nor the network depend on."""


@dataclass(frozen=True)
class Trunk:
    """A run whose tickets a branch retrains.

    Attributes:
        folder: its directory.
        description: its `run.json`.
        branch: what the branch takes over.
        source: the weights that the branch begins with.
    """

    folder: Path
    description: Description
    branch: Branch
    source: Source


def read_trunk(config: Config) -> Trunk | None:
    """Read the run that a branch starts from; return None without `branch.of`.

    Raises:
        SettingError: it is no run, or of another model or other data, or it lacks a ticket or the weights that the
            branch begins with, or they are damaged.
    """
    if config.branch.of is None:
        return None
    folder = find_trunk(config.branch.of)
    try:
        description = describe_before(folder)[0]
    except SettingError as error:
        raise SettingError(f"branch.of: {error}") from error
    if description.branch is not None:
        of = description.branch.of
        raise SettingError(f"branch.of: {folder} is a branch itself; give its trunk, branch.of={of}")
    _check_same(folder, description, config)
    there = recorded_numbers(folder)
    if not there:
        raise SettingError(f"branch.of: {folder} has no round that is over yet; give a run that has one")
    full = _read(folder, 0)
    chosen = _choose(folder, there, config.branch.rounds)
    tickets = tuple(_check_ticket(folder, description, number) for number in chosen)
    try:
        then = Rewind.parse(description.config.pruning.rewind or "init")
    except LotteryError as error:
        raise SettingError(f"branch.of: {folder / 'run.json'}: pruning.{error}; restore it from a copy") from None
    source = _source(folder, Rewind.parse(config.pruning.rewind), then)
    if source == "kept":
        _check_seal(rewind_path(folder), full.rewind)
    is_sparse = full.record.alive < full.record.total
    if source == "full" or config.pruning.mask == "invert" or (config.pruning.mask != "pruned" and is_sparse):
        _check_ticket(folder, description, 0)
    if config.pruning.mask == "invert" and config.pruning.criterion != "magnitude":
        raise SettingError(
            f"pruning.mask: a branch inverts masks of pruning.criterion=magnitude alone, not of "
            f"{config.pruning.criterion}; give pruning.mask=invert to a run of its own, or use shuffle or random"
        )
    branch = Branch(config.branch.of, chosen, tickets, str(then), full.record)
    return Trunk(folder, description, branch, source)


def check_corpus(config: Config, fingerprints: Mapping[str, str]) -> None:
    """Raise a SettingError if the corpus of a branch that begins is not its trunk's; do nothing for any other run."""
    if config.branch.of is None:
        return
    folder = find_trunk(config.branch.of)
    then = describe_before(folder)[0].corpus.fingerprint
    if then is not None and dict(then) != dict(fingerprints):
        parts = [part for part, mark in fingerprints.items() if then.get(part) != mark]
        raise SettingError(
            f"branch.of: {folder} is a run on other data ({', '.join(parts) or 'a part'} differs); give the data of "
            "that run, or start a run of its own"
        )


def _check_same(folder: Path, description: Description, config: Config) -> None:
    """Raise for the first setting of the model or the data that differs; the rows themselves are compared later."""
    if description.config.values is None:
        raise SettingError(f"branch.of: {folder / 'run.json'}: does not record its settings; restore it from a copy")
    now = flat_settings(json.loads(json.dumps(values_of(config))))
    then = {key: value for key, value in EARLIER.items() if key in now} | flat_settings(description.config.values)
    if now["seed"] != then.get("seed"):
        raise SettingError(
            f"seed: {now['seed']}, but seed={then.get('seed')} chose the rows and the words of {folder}; leave it out, "
            f"and give seed.order={now['seed']} for another order of the batches"
        )
    for key in dict.fromkeys([*now, *then]):
        if _must_agree(key, now) and now.get(key) != then.get(key):
            there, here = show_setting(then.get(key)), show_setting(now.get(key))
            what = "on other data" if key.startswith("data.") else "of another model"
            raise SettingError(
                f"branch.of: {folder} is a run {what}: {key} is {there} there, not {here}; leave out {key}, or start a "
                "run of its own"
            )


def _must_agree(key: str, settings: Mapping[str, Any]) -> bool:
    if key in ("pruning.include", "pruning.exclude"):
        return True
    return (
        key.partition(".")[0] in ("model", "data", "embedding")
        and not is_free(key, settings)
        and key not in _MAY_DIFFER
    )


def _choose(folder: Path, there: Sequence[int], wanted: Sequence[int] | None) -> tuple[int, ...]:
    """Return the rounds to train again: those wanted, or all pruned ones whose tickets are there."""
    if wanted is None:
        kept = [number for number in kept_rounds(folder) if number in there and (number or len(there) == 1)]
        if not kept:
            raise SettingError(
                f"branch.rounds: {folder} has no ticket of a pruned round; give branch.rounds=[0] to train its whole "
                "network again, or another run"
            )
        return tuple(kept)
    if lacking := [number for number in wanted if number not in there]:
        raise SettingError(f"branch.rounds: {folder} has no round {lacking[0]}; give some of {name_rounds(there)}")
    return tuple(sorted(wanted))


def _source(folder: Path, rewind: Rewind, then: Rewind) -> Source:
    """Return the weights that a rewinding point stands for; raise if the trunk has not kept them."""
    has_kept = then.point not in ("random", "none")
    if rewind.point in ("none", "random"):
        return "trained" if rewind.point == "none" else "drawn"
    is_kept = rewind == then or rewind.point == "shuffle" or (rewind.at_start and then.at_start)
    if has_kept and is_kept:
        return "kept"
    if rewind.point == "last":
        return "full"
    others = "none, random or last" if not has_kept else f"{then}, shuffle, none, random or last"
    raise SettingError(
        f"pruning.rewind: {folder} has not kept the weights of {rewind}, as it rewinds to {then}; give {others}"
    )


def _read(folder: Path, number: int) -> PlayedRound:
    try:
        return read_record(folder, number)
    except SettingError as error:
        raise SettingError(f"branch.of: {error}; restore it from a copy") from None


def _check_ticket(folder: Path, description: Description, number: int) -> str:
    """Check that a round's ticket is the file that the trunk wrote, and return its seal."""
    path = ticket_path(folder, number)
    if not path.exists():
        raise SettingError(f"branch.rounds: {explain_missing(folder, description, number, 'branch.rounds=[{}]')}")
    seal = _check_seal(path, _read(folder, number).ticket)
    try:
        base = read_masks(path).base
    except SettingError as error:
        raise SettingError(f"branch.of: {error}") from error
    if base is not None:
        _check_seal(base.path, base.seal)
    return seal


def _check_seal(path: Path, recorded: str | None) -> str:
    try:
        found = read_seal(path)
    except SettingError as error:
        raise SettingError(f"branch.of: {error}") from error
    if found != recorded:
        raise SettingError(f"branch.of: {path}: sound, but not the file that the run wrote there; restore it")
    return found
