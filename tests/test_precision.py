"""`trainer.precision=auto`: bfloat16 where the device has it, recorded, and kept when a run resumes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lt_lightning.config.schema import Config, TrainerConfig
from lt_lightning.errors import SettingError
from lt_lightning.experiment import precision
from lt_lightning.experiment.precision import find_precision
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.models import Learner


@pytest.mark.parametrize(("accelerator", "cuda", "bf16", "expected"), [
    ("auto", True, True, "bf16-mixed"), (None, True, True, "bf16-mixed"), ("gpu", True, True, "bf16-mixed"),
    ("cuda", True, False, "32-true"), ("auto", False, False, "32-true"), ("cpu", True, True, "32-true"),
    ("mps", False, False, "32-true"),
])  # fmt: skip
def test_auto_is_bfloat16_where_a_gpu_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, accelerator: Any, cuda: bool, bf16: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 and not including_emulation)
    assert find_precision(accelerator) == expected


def test_a_run_records_the_precision_and_resumes_in_it_on_another_device(
    play_small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("trainer.precision=auto", "trainer.max_epochs=1", "pruning.rounds=1")
    used, start = [], Learner.on_train_start

    def look(learner: Learner) -> None:
        start(learner)
        used.append(str(learner.trainer.precision))

    monkeypatch.setattr(Learner, "on_train_start", look)
    monkeypatch.setattr("lt_lightning.experiment.trainer.find_precision", lambda accelerator: "bf16-mixed")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    play_small(whole, *settings)
    play_small(cut, *settings)
    recorded = json.loads((cut / "run.json").read_text())
    assert (recorded["precision"], recorded["config"]["trainer"]["precision"]) == ("bf16-mixed", "auto")
    for path in ("tickets/round_01.safetensors", "state/round_01.json"):
        (cut / path).unlink()
    monkeypatch.setattr("lt_lightning.experiment.trainer.find_precision", lambda accelerator: "32-true")
    play_small(cut, *settings, resuming=True)
    assert used == ["bf16-mixed"] * 5
    tickets = [(run / "tickets" / "round_01.safetensors").read_bytes() for run in (whole, cut)]
    assert tickets[0] == tickets[1]
    assert json.loads((cut / "run.json").read_text())["precision"] == "bf16-mixed"


def test_a_run_without_the_setting_records_single_precision(play_small: Callable[..., Path], tmp_path: Path) -> None:
    run = play_small(tmp_path / "run", "pruning.rounds=0", "trainer.max_epochs=1")
    assert json.loads((run / "run.json").read_text())["precision"] == "32-true"


class Clipped(pl.LightningModule):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self._fused = nn.Linear(3, 2), fused

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return 100 * self.fc(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.1, eps=0.5, fused=self._fused, foreach=False)

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        norms = [param.grad.norm() for param in self.parameters() if param.grad is not None]
        self.norm = torch.stack(norms).norm().item() if norms else None


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_fused_optimizers_clip_in_bfloat16(tmp_path: Path) -> None:
    """Lightning refuses this in every mixed precision; with its scaler alone it is wrong."""
    ends = []
    for fused in (True, False):
        config = TrainerConfig(
            accelerator="cpu", devices=1, max_epochs=2, precision="bf16-mixed", gradient_clip_val=0.5, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        module = Clipped(fused)
        rows = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1))
        make_trainer(config, [], tmp_path).fit(module, DataLoader(rows, batch_size=None))
        assert module.norm == pytest.approx(0.5, rel=1e-3)
        ends.append(module.fc.weight.detach())
    torch.testing.assert_close(*ends)


def test_fused_optimizers_with_a_scaler_are_refused_before_torch_is_loaded(configure: Callable[..., Config]) -> None:
    clipped = ("trainer.gradient_clip_val=1", "optimizer=adamw")
    with pytest.raises(SettingError, match=r"^optimizer\.fused: true does not go with clipping and 16-mixed"):
        configure(*clipped, "trainer.precision=16-mixed")
    for value in ("bf16-mixed", precision.AUTO):
        assert configure(*clipped, f"trainer.precision={value}").trainer.precision == value
