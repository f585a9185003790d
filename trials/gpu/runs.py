"""Run small lotteries on a device, for the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from unittest.mock import patch

from trials.kills import write_corpus

if TYPE_CHECKING:
    from trials.gpu.stand_in import StandIn

TRAINERS: Mapping[str, Sequence[str]] = MappingProxyType({
    "cuda": ("trainer=gpu",),
    "cpu": ("trainer=cpu",),
    "stand_in": ("trainer.strategy={_target_: trials.gpu.stand_in_strategy.StandInStrategy}",),
})  # fmt: skip
"""The settings of a run on each device."""

COMMON = ("data.batch_size=8", "optimizer.lr=0.02", "trainer.max_epochs=3", "pruning.rounds=2", "pruning.amount=0.5")
NETWORKS: Mapping[str, Sequence[str]] = MappingProxyType({
    "cnn": ("model=cnn", "model.filters=4", "embedding.dim=6"),
    "birnn": ("model=birnn", "model.hidden=6", "embedding.dim=6"),
    "encoder": ("model=bert", "optimizer=adamw", "optimizer.lr=0.002", "trainer.max_epochs=2"),
})  # fmt: skip
"""Small networks of each kind, by name."""

STEPS = 14
"""The training steps of an epoch of `corpus` in batches of 8."""


def corpus(folder: Path, rows: int = 160) -> Path:
    """Write the texts that small lotteries learn, once, and return their folder."""
    path = folder / f"corpus_{rows}"
    return path if path.exists() else write_corpus(path, train=rows, test=rows // 2, shortest=4)


def network_settings(name: str, folder: Path) -> list[str] | None:
    """Return the settings of a network, None if its library is not installed; the encoder's files are written once."""
    settings = [*COMMON, *NETWORKS[name]]
    if name != "encoder":
        return settings
    if find_spec("transformers") is None:
        return None
    from trials.encoders import write_encoder

    path = folder / "encoder"
    # Dropout in attention would need another stream of random numbers on each device.
    written = path if path.exists() else write_encoder(path, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return [*settings, f"model.path={written}"]


def play(device: str, run: Path, *settings: str) -> Path:
    """Run a lottery on a device in this process, without its report, and return its folder."""
    import lt_lightning

    lt_lightning.run(*TRAINERS[device], "report=false", *settings, f"hydra.run.dir={run}")
    return run


@contextmanager
def in_use(device: str) -> Iterator[StandIn | None]:
    """Use a device: the stand-in has to be switched on, and keeps data as a GPU does."""
    if device != "stand_in":
        yield None
        return
    import torch

    from trials.gpu.stand_in import StandIn

    torch.__future__.set_swap_module_params_on_conversion(True)
    resident = patch("lt_lightning.data.loaders.fits", lambda nbytes, where: where.type != "cpu")
    try:
        with resident, StandIn() as device_in_use:
            yield device_in_use
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
