"""Find what `trainer.precision=auto` stands for: bfloat16 where the device has it. Imports torch on use."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lt_lightning.config.schema import Config

if TYPE_CHECKING:
    import pytorch_lightning as pl

AUTO = "auto"
"""The value of `trainer.precision` that leaves the choice to the device."""


def find_precision(accelerator: Any) -> str:
    """Return `bf16-mixed` on a CUDA device that computes in bfloat16, and `32-true` on any other device.

    Args:
        accelerator: the setting `trainer.accelerator`.
    """
    import torch

    on_cuda = accelerator in (None, "auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def as_recorded(config: Config, precision: str | None) -> Config:
    """Return the settings with the precision that a run began with in place of `auto`, to go on with its numbers.

    Args:
        config: the settings.
        precision: the recorded precision; None if it is not known.
    """
    if config.trainer.precision != AUTO or precision is None:
        return config
    return replace(config, trainer=replace(config.trainer, precision=precision))


def allow_clipping(trainer: pl.Trainer) -> None:
    """Let a Trainer without a gradient scaler clip the gradients of fused optimizers.

    Lightning refuses both together in every mixed precision, as a fused optimizer unscales gradients itself. bfloat16
    has no scaler.
    """
    from pytorch_lightning.plugins.precision import MixedPrecision, Precision

    plugin = trainer.precision_plugin
    if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
        plugin.clip_gradients = partial(Precision.clip_gradients, plugin)
