"""Let Lightning train on the stand-in: `trainer.strategy={_target_: trials.gpu.stand_in_strategy.StandInStrategy}`."""

from __future__ import annotations

import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn

from trials.gpu.stand_in import DEVICE, move


class StandInAccelerator(CPUAccelerator):
    """The stand-in as Lightning's accelerator."""

    def setup_device(self, device: torch.device) -> None:
        """Do nothing; Lightning's takes the CPU alone."""


class StandInStrategy(SingleDeviceStrategy):
    """Train on the stand-in, and move the module there and back as Lightning does with a GPU."""

    def __init__(self) -> None:
        super().__init__(device=DEVICE, accelerator=StandInAccelerator())

    def model_to_device(self) -> None:
        """Move the module to the device."""
        assert isinstance(self.model, nn.Module)
        move(self.model, DEVICE)

    def teardown(self) -> None:
        """Move the module to the host."""
        if self.lightning_module is not None:
            move(self.lightning_module, torch.device("cpu"))
        for optimizer in self.optimizers:
            optimizer.state.clear()
        self.precision_plugin.teardown()
        self.checkpoint_io.teardown()
