"""Train copies of a round, and keep each in a folder of its own, sealed, from whose last epoch it can go on."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.loggers.logger import DummyLogger

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.connect.starts import mark, set_type
from lt_lightning.errors import SettingError
from lt_lightning.experiment.progress import FitDisplay
from lt_lightning.experiment.round import run_round
from lt_lightning.experiment.round_checkpoint import drop_checkpoints
from lt_lightning.experiment.subject import Subject, build_subject
from lt_lightning.experiment.trainer import with_callbacks
from lt_lightning.lottery import Settings, Start, derive_seed
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.storage.atomic import read_regular, write_whole, writing_to
from lt_lightning.storage.lock import STATE
from lt_lightning.storage.sealed import read_seal
from lt_lightning.storage.sealed_json import seal_json

_FORMAT, _VERSION = "lt-lightning copy", "1"
_LARGEST = 2**20


@dataclass(frozen=True)
class Slot:
    """The place of a copy.

    Attributes:
        label: its name: the seed of its data order, with a number behind one that comes again.
        order: the seed of its data order and dropout.
        folder: its folder.
        round: the round of which it is a copy.
    """

    label: str
    order: int
    folder: Path
    round: int

    @property
    def ticket(self) -> Path:
        """Return the path of its trained weights."""
        return ticket_path(self.folder, self.round)


def slots(folder: Path, round: int, orders: Sequence[int]) -> list[Slot]:
    """Return the places of a round's copies.

    >>> [slot.label for slot in slots(Path("x"), 4, [0, 1, 1])]
    ['0', '1', '1_2']
    """
    seen: Counter[int] = Counter()
    found = []
    for order in orders:
        seen[order] += 1
        label = str(order) if seen[order] == 1 else f"{order}_{seen[order]}"
        found.append(Slot(label, order, folder / f"round_{round:02}" / f"order_{label}", round))
    return found


def find_copy(slot: Slot, start: str) -> str | None:
    """Return the seal of a copy's trained weights; None if it is not there, damaged, or trained from another start.

    Args:
        slot: its place.
        start: the `mark` of the start.
    """
    about = _read(slot)
    if about is None or about.get("start") != start or about.get("ticket") is None:
        return None
    try:
        seal = read_seal(slot.ticket)
    except SettingError:
        return None
    return seal if seal == about["ticket"] else None


def train_copy(
    config: Config,
    data: DataModule,
    slot: Slot,
    start: Start,
    before: RoundTicket,
    display: FitDisplay,
    environment: ClusterEnvironment,
) -> str:
    """Train a copy as its round trained, or from its last epoch on disk; return the seal of its ticket.

    The data order and dropout follow the seed of the copy; all else is as in the run, except that nothing is logged.

    Args:
        config: the settings of the run.
        data: the data of the run; its `order_seed` is set.
        slot: the place of the copy.
        start: the mask and the weights that the round trained from.
        before: the ticket of the round, for the precision of its weights.
        display: the screen.
        environment: describes the one process.

    Raises:
        SettingError: a loss or a weight is not finite, or a file cannot be written.
    """
    about = {"format": _FORMAT, "version": _VERSION, "round": slot.round, "order": slot.order, "start": mark(start)}
    with writing_to(slot.folder):
        if (_read(slot) or {}).get("start") != about["start"]:  # another start's epochs are of no use
            shutil.rmtree(slot.folder, ignore_errors=True)
        slot.folder.mkdir(parents=True, exist_ok=True)
        write_whole(_path(slot), seal_json({**about, "ticket": None}))
    own = with_callbacks(replace(config, seed_order=slot.order, trainer=replace(config.trainer, default_root_dir=None)))
    silent = [DummyLogger()] if own.trainer.callbacks else []  # some callbacks ask whether there is a logger
    subject = build_fresh(own, data)
    set_type(subject.network, before)
    data.order_seed = slot.order
    pruning = make_pruning(own, subject, start)
    run_round(own, slot.folder, slot.round, subject, pruning, display, environment, None, loggers=silent)
    seal = read_seal(slot.ticket)
    with writing_to(slot.folder):
        write_whole(_path(slot), seal_json({**about, "ticket": seal}))
        drop_checkpoints(slot.folder / STATE)
    return seal


def build_fresh(config: Config, data: DataModule) -> Subject:
    """Return the module of a run with the first weights that its seed draws."""
    pl.seed_everything(derive_seed(config.seed, "network"), verbose=False)
    return build_subject(config, data)


def make_pruning(config: Config, subject: Subject, start: Start) -> PruningCallback:
    """Return a callback whose one fit trains a start, and that prunes nothing."""
    plain = Settings(include=config.pruning.include, exclude=config.pruning.exclude, rewind="none", seed=config.seed)
    return PruningCallback(submodule=subject.submodule, start=start, **vars(plain))


def _path(slot: Slot) -> Path:
    return slot.folder / "copy.json"


def _read(slot: Slot) -> dict[str, Any] | None:
    """Return the record of a copy, or None if it is missing or damaged."""
    try:
        text = read_regular(_path(slot), _LARGEST)
        content = json.loads(text)
        del content["sha256"]
        sound = seal_json(content) == text and (content["format"], content["version"]) == (_FORMAT, _VERSION)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return content if sound else None
