"""Save a Lightning checkpoint after each epoch of a round, with its checksum in its name."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO, TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch import nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.errors import SettingError
from lt_lightning.experiment.run_base import RunBase
from lt_lightning.models.description import find_description
from lt_lightning.runs.bases import read_referred
from lt_lightning.runs.checkpoint_parts import find_reference, rebuild, shorten
from lt_lightning.storage.atomic import open_regular, open_whole, writing_to

_NAME = re.compile(r"round_(\d+)_epoch_(\d+)_([0-9a-f]{64})\.ckpt")


@only_its_own_hooks
class RoundCheckpoint(Checkpoint):
    """Save a round's state after each epoch but the last; keep only the newest.

    Append it to `trainer.callbacks` after all others: a Trainer refuses checkpoint callbacks if its own are disabled. A
    fit that resumes from the file (`ckpt_path=`, `weights_only=True`) trains only the remaining epochs.

    Args:
        folder: an existing folder.
        round: the round.
        shortening: what to leave out; None saves all.
    """

    def __init__(self, folder: Path, round: int, shortening: Shortening | None = None) -> None:
        self._folder = folder
        self._round = round
        self._before = 0.0
        self._began = time.perf_counter()
        self._should_stop = False
        self._awaited: dict[str, float] = {}
        self._max_steps = -1
        self._files = _WholeFiles(round, shortening)
        self._usual: CheckpointIO | None = None

    @property
    def seconds(self) -> float:
        """Return the duration of the round so far, with the time before an interruption."""
        return self._before + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed fit needs beyond Lightning's state."""
        return {"seconds": self.seconds, "should_stop": self._should_stop, "awaited": self._awaited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        self._before, self._should_stop = state_dict["seconds"], state_dict["should_stop"]
        self._awaited = state_dict.get("awaited", {})  # checkpoints of 0.4 have none

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let a fit read its checkpoint, which Lightning does after this hook."""
        if stage == "fit":
            self._usual = trainer.strategy.checkpoint_io
            trainer.strategy.checkpoint_io = self._files

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore `should_stop` (see `min_epochs`), and hide the limit of steps."""
        trainer.should_stop = trainer.should_stop or self._should_stop
        # With a limit of steps, a resumed fit would end the last epoch again and number the others wrongly (Lightning
        # 2.6): hide it until the loops have restored their state.
        loop = trainer.fit_loop.epoch_loop
        self._max_steps, loop.max_steps = loop.max_steps, -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the limit of steps, and step the schedulers that had not stepped when the epoch was saved."""
        if self._usual is not None:
            trainer.strategy.checkpoint_io = self._usual  # for checkpoints that other callbacks save
        trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        for config in _awaiting(trainer):
            if config.monitor in self._awaited and trainer.current_epoch % config.frequency == 0:
                pl_module.lr_scheduler_step(config.scheduler, self._awaited[config.monitor])
        self._awaited = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save unless this is the last epoch."""
        if not _goes_on(trainer):
            return
        self._should_stop = trainer.should_stop
        measured = trainer.callback_metrics
        self._awaited = {key: float(measured[key]) for one in _awaiting(trainer) if (key := one.monitor) in measured}
        usual = trainer.strategy.checkpoint_io
        trainer.strategy.checkpoint_io = self._files
        try:
            with writing_to(self._folder):
                name = f"round_{self._round:02}_epoch_{trainer.current_epoch + 1:03}"
                trainer.save_checkpoint(self._folder / name, weights_only=False)
        finally:
            trainer.strategy.checkpoint_io = usual


_OF_MODULE, _OF_DATA = (
    frozenset(getattr(kind, f"CHECKPOINT_HYPER_PARAMS_{name}") for name in ("KEY", "NAME", "TYPE"))
    for kind in (pl.LightningModule, pl.LightningDataModule)
)
_HYPERPARAMETERS = _OF_MODULE | _OF_DATA
"""What `save_hyperparameters` puts into a checkpoint."""


@dataclass(frozen=True)
class Shortening:
    """What a round's checkpoints leave out.

    Attributes:
        base: the file that they refer to.
        pruning: the lottery, whose rewind weights are in that file once the file is there.
        network: the network.
        prefix: what stands before the names of its parameters in a checkpoint.
    """

    base: RunBase
    pruning: PruningCallback
    network: nn.Module
    prefix: str


class _WholeFiles(TorchCheckpointIO):
    """Write a checkpoint atomically under a name with its checksum, replacing older ones, and read it."""

    def __init__(self, round: int, shortening: Shortening | None) -> None:
        self._round, self._shortening = round, shortening
        self._is_plain = False

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        older = kept_checkpoints(path.parent)
        names: list[str] = []
        shortened = self._shortened(checkpoint)
        with open_whole(path, lambda: names[0]) as file:
            stream = _Hashed(file)
            torch.save(shortened, stream)  # pyright: ignore[reportArgumentType]  (it writes, no more)
            names.append(f"{path.name}_{stream.close()}.ckpt")
            if not self._is_plain:
                _require_plain(Path(file.name), checkpoint)
                self._is_plain = True
        for one in older:
            if one.name not in names:
                one.unlink()

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        reference = find_reference(Path(path))
        base = None if reference is None else read_referred(reference, Path(path))
        return rebuild(super().load_checkpoint(path, *args, **kwargs), base)

    def _shortened(self, checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
        # A module of the user's own is built from the run's settings; its `save_hyperparameters` may hold functions.
        described = find_description(checkpoint.get(pl.LightningModule.CHECKPOINT_HYPER_PARAMS_KEY))
        left_out = _HYPERPARAMETERS if described is None else _OF_DATA
        checkpoint = {key: value for key, value in checkpoint.items() if key not in left_out}
        one = self._shortening
        if one is None:
            return shorten(checkpoint, None, None, "")
        return shorten(
            checkpoint, one.pruning.state_key, one.base.find(self._round, one.pruning, one.network), one.prefix
        )


class _Hashed:
    """Write through to a file and compute its checksum, without a second copy in memory.

    torch's writer replaces errors by its own, so errors are raised on `close`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        self._do(lambda: self._file.write(data))
        return len(data)

    def flush(self) -> None:
        self._do(self._file.flush)

    def _do(self, action: Callable[[], object]) -> None:
        try:
            if self._error is None:
                action()
        except OSError as error:
            self._error = error

    def close(self) -> str:
        """Return the checksum after flushing; raise the first OSError, if any."""
        self.flush()
        if self._error is not None:
            raise self._error
        return self._sha.hexdigest()


def _require_plain(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Raise a `SettingError` if a user's object makes a checkpoint unreadable with `weights_only=True`."""
    try:
        torch.load(path, weights_only=True, mmap=True)  # the tensors themselves are not read
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        states = {"lr_schedulers": "scheduler", "optimizer_states": "optimizer"}
        own = (setting for key, setting in states.items() if not _is_plain(checkpoint.get(key)))
        raise SettingError(
            f"{next(own, 'trainer.callbacks')}: its state holds {found[1] if found else 'objects'}; only plain values "
            "and tensors are read back when a run goes on: return these in its state_dict, or leave it out"
        ) from error


def _is_plain(state: Any) -> bool:
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    try:
        torch.load(stream, weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


def kept_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return [path for *_, path in _named(folder)]


def _named(folder: Path) -> list[tuple[int, int, str, Path]]:
    """Return round, epoch, checksum and path of each checkpoint in a folder, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("round_*.ckpt"))
    return sorted((int(match[1]), int(match[2]), match[3], path) for match, path in found if match)


def find_checkpoint(folder: Path, round: int) -> tuple[Path | None, int, list[str]]:
    """Return the newest intact checkpoint of a round or None, its epochs, and a line for each damaged checkpoint."""
    damages = []
    for number, epoch, checksum, path in reversed(_named(folder)):
        if number != round:
            continue
        try:
            if _checksum(path) == checksum:
                return path, epoch, damages
            damages.append(f"{path}: cut off or changed since it was written: its checksum does not fit its name")
        except OSError as error:
            damages.append(f"{path}: cannot be read ({error.strerror})")
    return None, 0, damages


def find_resumable(folder: Path, round: int) -> tuple[Path | None, int, list[str]]:
    """Return what `find_checkpoint` does, and no checkpoint if the file that it refers to is damaged or missing."""
    path, epochs, damages = find_checkpoint(folder, round)
    try:
        if path is not None and (reference := find_reference(path)) is not None:
            read_referred(reference, path)
    except SettingError as error:
        return None, 0, [*damages, str(error).rpartition(";")[0]]
    return path, epochs, damages


def _checksum(path: Path) -> str:
    """Return the checksum of a file, read in parts."""
    sha = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(2**20):
            sha.update(part)
    return sha.hexdigest()


def drop_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Remove all checkpoints except those of the round `keep`."""
    for number, *_, path in _named(folder):
        if number != keep:
            path.unlink(missing_ok=True)


def _awaiting(trainer: pl.Trainer) -> list[LRSchedulerConfig]:
    """Return the schedulers that need a measured value; Lightning steps them after an epoch's checkpoint."""
    return [one for one in trainer.lr_scheduler_configs if one.reduce_on_plateau and one.interval == "epoch"]


def _goes_on(trainer: pl.Trainer) -> bool:
    """Return whether another epoch follows; `FitLoop.done` knows it only later."""
    epochs, steps = trainer.current_epoch + 1, trainer.global_step
    if epochs >= (trainer.max_epochs or 0) or 0 <= trainer.max_steps <= steps:
        return False
    enough = epochs >= (trainer.min_epochs or 0) and steps >= (trainer.min_steps or 0)
    return not (trainer.should_stop and enough)
