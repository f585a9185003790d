"""What is kept in the middle of a round, once an epoch: a Lightning checkpoint with its checksum in its name."""

from __future__ import annotations

import hashlib
import pickle
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import open_whole, writing_to
from lt_lightning.storage.regular import open_regular

_NAME = re.compile(r"round_(\d+)_epoch_(\d+)_([0-9a-f]{64})\.ckpt")


@only_its_own_hooks
class RoundCheckpoint(Checkpoint):
    """Saves a round's state after each of its epochs but the last, and only the newest.

    Append it to `trainer.callbacks`: it must come after all others, early stopping among them, and a Trainer refuses
    checkpoint callbacks where its own are switched off. A fit that goes on from the file (`ckpt_path=`,
    `weights_only=True`) trains the epochs that are left, and only these.

    Args:
        folder: where to; it must exist.
        round: the round.
        without: the `state_key` of a `PruningCallback` whose weights to rewind to are kept elsewhere: they are left
            out here, once an epoch, and the callback that takes the file up must have them already.

    Attributes:
        seconds: what the round took so far, also before it was interrupted.
    """

    def __init__(self, folder: Path, round: int, without: str | None = None) -> None:
        self._folder = folder
        self._round = round
        self._before = 0.0
        self._began = time.perf_counter()
        self._should_stop = False
        self._max_steps = -1
        self._files = _WholeFiles(without)

    @property
    def seconds(self) -> float:
        """What the round took so far, in seconds."""
        return self._before + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """What a resumed fit has to know beyond what Lightning keeps."""
        return {"seconds": self.seconds, "should_stop": self._should_stop}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up."""
        self._before, self._should_stop = state_dict["seconds"], state_dict["should_stop"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remind the Trainer that it was to stop once it has trained for long enough (`min_epochs`)."""
        trainer.should_stop = trainer.should_stop or self._should_stop
        # A fit with a limit of steps would end the last epoch once more as it resumes, and number the others wrongly
        # (Lightning 2.6): the limit is out of sight until its loops have taken up their places.
        loop = trainer.fit_loop.epoch_loop
        self._max_steps, loop.max_steps = loop.max_steps, -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the limit of steps back."""
        trainer.fit_loop.epoch_loop.max_steps = self._max_steps

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if there is another epoch to come."""
        if not _goes_on(trainer):
            return
        self._should_stop = trainer.should_stop
        usual = trainer.strategy.checkpoint_io
        trainer.strategy.checkpoint_io = self._files
        try:
            with writing_to(self._folder):
                name = f"round_{self._round:02}_epoch_{trainer.current_epoch + 1:03}"
                trainer.save_checkpoint(self._folder / name, weights_only=False)
        finally:
            trainer.strategy.checkpoint_io = usual


class _WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, under a name that ends in its checksum, in place of older ones."""

    def __init__(self, without: str | None) -> None:
        self._without = without
        self._is_plain = False

    def save_checkpoint(self, checkpoint: Mapping[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        older = kept_checkpoints(path.parent)
        names: list[str] = []
        with open_whole(path, lambda: names[0]) as file:
            stream = _Hashed(file)
            torch.save(self._shortened(checkpoint), stream)  # pyright: ignore[reportArgumentType]  (it writes, no more)
            names.append(f"{path.name}_{stream.close()}.ckpt")
            if not self._is_plain:
                _require_plain(Path(file.name))
                self._is_plain = True
        for one in older:
            if one.name not in names:
                one.unlink()

    def _shortened(self, checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._without is None:
            return checkpoint
        states = dict(checkpoint["callbacks"])
        state = states[self._without]
        states[self._without] = {key: value for key, value in state.items() if key != "rewind_weights"}
        return {**checkpoint, "callbacks": states}


class _Hashed:
    """Hands on what is written to it, and knows its checksum: no second copy of it is needed in memory.

    torch's writer answers an error with one of its own, so the error waits until it has done.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        try:
            if self._error is None:
                self._file.write(data)
        except OSError as error:
            self._error = error
        return len(data)

    def flush(self) -> None:
        try:
            if self._error is None:
                self._file.flush()
        except OSError as error:
            self._error = error

    def close(self) -> str:
        """Return the checksum, once all of it is in the file.

        Raises:
            OSError: if something could not be written.
        """
        self.flush()
        if self._error is not None:
            raise self._error
        return self._sha.hexdigest()


def _require_plain(path: Path) -> None:
    """See that a checkpoint can be read again: nothing in it may need code to be run.

    Raises:
        SettingError: if something does; only a callback of the user's can have put it there.
    """
    try:
        torch.load(path, weights_only=True, mmap=True)  # the tensors themselves are not read
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise SettingError(
            f"trainer.callbacks: the state of one of them holds {found[1] if found else 'objects'}; only plain values "
            "and tensors are read back when a run goes on: give these in its state_dict, or leave it out"
        ) from error


def kept_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    found = {path: match for path in folder.glob("round_*.ckpt") if (match := _NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: (int(found[path][1]), int(found[path][2])))


def find_checkpoint(folder: Path, round: int) -> tuple[Path | None, int, list[str]]:
    """The newest sound checkpoint of a round.

    Returns:
        Its path, or None where there is none; the number of epochs that it holds; and a line for each that is damaged.
    """
    damages = []
    for path in reversed(kept_checkpoints(folder)):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != round:
            continue
        try:
            if _checksum(path) == match[3]:
                return path, int(match[2]), damages
            damages.append(f"{path}: cut off or changed since it was written: its checksum does not fit its name")
        except OSError as error:
            damages.append(f"{path}: cannot be read ({error.strerror})")
    return None, 0, damages


def _checksum(path: Path) -> str:
    """Return the checksum of a file, of which a part at a time is in memory."""
    sha = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(2**20):
            sha.update(part)
    return sha.hexdigest()


def drop_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Remove what was kept of rounds, but for the round `keep`."""
    for path in kept_checkpoints(folder):
        match = _NAME.fullmatch(path.name)
        if match is not None and int(match[1]) != keep:
            path.unlink(missing_ok=True)


def _goes_on(trainer: pl.Trainer) -> bool:
    """Whether another epoch will follow the one that ends; as `FitLoop.done`, which says so a moment too late."""
    epochs, steps = trainer.current_epoch + 1, trainer.global_step
    if epochs >= (trainer.max_epochs or 0) or 0 <= trainer.max_steps <= steps:
        return False
    enough = epochs >= (trainer.min_epochs or 0) and steps >= (trainer.min_steps or 0)
    return not (trainer.should_stop and enough)
