"""Measure the error of a network at a point of a line, on the test and the training part."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.config.schema import Config
from lt_lightning.errors import SettingError
from lt_lightning.experiment.subject import Subject
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.lottery import Mask, derive_seed, interpolate

TRAIN = "train"


class Meter:
    """Measure errors of one module under different weights.

    The error is 1 − the task's accuracy. Of a LightningModule of the user's own it is the value that judges its rounds,
    or 1 − that value if higher values are better.

    Args:
        config: the settings of the run.
        subject: the module, whose weights are written to, and its data.
        round: the round, for the order of the training batches.
        folder: where Lightning may write.
        environment: describes the one process.

    Attributes:
        parts: the parts that are measured: `test`, or `valid` where a module has no test, and `train`.
    """

    def __init__(
        self, config: Config, subject: Subject, round: int, folder: Path, environment: ClusterEnvironment
    ) -> None:
        self._config, self._subject, self._round = config, subject, round
        self._folder, self._environment = folder, environment
        self.parts = ("test" if subject.has_test else "valid", TRAIN)

    def errors(self, weights: Mapping[str, Tensor], renewed: Sequence[str] = ()) -> dict[str, float]:
        """Return the error of each part.

        Args:
            weights: the network's `state_dict()`.
            renewed: the BatchNorm layers whose statistics are estimated again, on all training batches.

        Raises:
            SettingError: the module logs no such value, or cannot read the batches of a part.
        """
        self._subject.network.load_state_dict(dict(weights))
        if renewed:
            self.renew(renewed)
        return {part: self._error(part) for part in self.parts}

    def renew(self, layers: Sequence[str]) -> None:
        """Estimate the statistics of BatchNorm layers again: cumulative means over the training batches.

        All other layers are in evaluation mode, as in the measurement that follows: dropout is off.
        """
        network = self._subject.network
        self._run(TRAIN, [RenewStatistics([network.get_submodule(name) for name in layers])])

    def _error(self, part: str) -> float:
        judged = self._subject.judged
        name, mode = judged or ("test_acc", "max")
        found = self._run(part, [])
        values = {key: value for one in found for key, value in one.items()}
        # One loader gives names without the number that each of several has.
        value = values.get(name, values.get(name.partition("/dataloader_idx_")[0]))
        if value is None:
            logged = ", ".join(sorted(values)) or "nothing"
            raise SettingError(f"metric: {name} is not logged on the {part} part; validation logs {logged} there")
        return 1 - float(value) if mode == "max" else float(value)

    def _run(self, part: str, callbacks: list[pl.Callback]) -> Sequence[Mapping[str, float]]:
        """Run the evaluation loop of the module on a part, and return what it logs."""
        data, subject, config = self._subject.data, self._subject, self._config.trainer
        limit = {"test": config.limit_test_batches, "valid": config.limit_val_batches}.get(part)
        plain = replace(
            config, callbacks=None, logger=False, profiler=None, default_root_dir=None, enable_model_summary=False,
            limit_val_batches=limit, limit_test_batches=limit,
        )  # fmt: skip
        trainer = make_trainer(plain, callbacks, self._folder, self._environment)
        data.round, data.epoch, data.order_seed = self._round, 0, self._config.order_seed
        pl.seed_everything(derive_seed(self._config.seed, "connectivity"), verbose=False)
        loop: Callable[..., Any] = trainer.test if subject.judged is None else trainer.validate
        into = "test_dataloader" if subject.judged is None else "val_dataloader"
        with _lent(data.loaders, into, part), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*sampler has shuffling enabled.*")  # as the training part has
            try:
                return loop(subject.module, datamodule=data.loaders, verbose=False)
            except (SettingError, MemoryError):
                raise
            except Exception as error:  # a module of the user's own may raise anything
                if subject.judged is None or part == "valid":
                    raise
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise SettingError(
                    f"{type(subject.module).__name__}: validation_step failed on batches of the {part} part "
                    f"({reason}); errors on both parts are measured by it: let it read them"
                ) from error


@contextmanager
def _lent(loaders: pl.LightningDataModule, into: str, part: str) -> Iterator[None]:
    """Let a LightningDataModule give the batches of a part where an evaluation asks for others.

    Its other hooks, such as those that move a batch to a device, run as always.
    """
    make = getattr(loaders, {TRAIN: "train_dataloader", "valid": "val_dataloader", "test": "test_dataloader"}[part])

    def lend() -> Any:
        loaders.setup({TRAIN: "fit", "valid": "validate"}.get(part, part))
        return make()

    setattr(loaders, into, lend)
    try:
        yield
    finally:
        delattr(loaders, into)


@only_its_own_hooks
class RenewStatistics(pl.Callback):
    """Replace the statistics of BatchNorm layers by their cumulative means over the batches of an evaluation.

    Like `torch.optim.swa_utils.update_bn`, every batch counts alike.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = [layer for layer in layers if isinstance(layer, _BatchNorm)]
        self._momenta = [layer.momentum for layer in self._layers]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the statistics; the module is in evaluation mode already."""
        for layer in self._layers:
            layer.reset_running_stats()
            layer.momentum = None  # the cumulative mean
            layer.train()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Use the statistics from now on."""
        for layer, momentum in zip(self._layers, self._momenta, strict=True):
            layer.momentum = momentum
            layer.eval()

    on_test_start, on_test_end = on_validation_start, on_validation_end


def batch_norms(network: nn.Module) -> list[str]:
    """Return the names of the layers with statistics of batches."""
    # torch has no public base of BatchNorm1d, 2d, 3d and SyncBatchNorm; its own update_bn uses this one.
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    ]


def between(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], alpha: float, mask: Mask, norms: Sequence[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights at a point of the line between two copies, and the layers whose statistics are to be renewed.

    Statistics are renewed between the ends, of layers where they differ at the ends.

    Raises:
        RuntimeError: a pruned entry is not 0.
    """
    weights = interpolate(one, other, alpha)
    for name, alive in mask.items():
        if weights[name][~alive].count_nonzero():
            raise RuntimeError(f"the average of two copies has pruned entries of {name!r} that are not zero")
    inside = norms if 0 < alpha < 1 else ()
    statistics = ("running_mean", "running_var")
    differ = [
        layer
        for layer in inside
        if not all(torch.equal(one[key], other[key]) for key in (f"{layer}.{name}" for name in statistics))
    ]
    return weights, differ
