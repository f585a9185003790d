"""LightningModules and LightningDataModules of the user's own: tabular data, which this package knows nothing of."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from lt_lightning.config.schema import Config
from lt_lightning.errors import SettingError
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.experiment.start_run import load
from lt_lightning.export.__main__ import main as export
from lt_lightning.models.build import build_network
from lt_lightning.report.__main__ import main as report
from lt_lightning.runs.metrics import logged_metric
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.table import load_runs


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle of a round."""


STOP_AT: list[tuple[int, int]] = []
"""The fit and the epoch, counted from 0, in which `Stopping` raises."""


SEEN: list[float] = []
"""The sum of each training batch."""


class Rows(pl.LightningDataModule):
    """Points of two classes that a plane separates; the training loader shuffles with torch's global generator."""

    def __init__(self, rows: int = 240, num_workers: int = 0) -> None:
        super().__init__()
        self.size, self.num_workers = rows, num_workers
        self.seen: list[list[int]] = []

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(5)
        points = torch.randn(self.size, 6, generator=generator)
        labels = (points @ torch.randn(6, generator=generator) > 0).long()
        self.all = TensorDataset(points, labels)

    def _part(self, first: int, last: int, *, shuffle: bool = False) -> DataLoader[Any]:
        part = Subset(self.all, range(first * self.size // 4, last * self.size // 4))
        return DataLoader(part, 20, shuffle=shuffle, num_workers=self.num_workers)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._part(0, 2, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._part(2, 3)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._part(3, 4)


class Net(pl.LightningModule):
    """A small network with dropout that names what it logs as lightning-hydra-template does."""

    def __init__(self, net: nn.Module | None = None, lr: float = 0.05) -> None:
        super().__init__()
        self.net = net or nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
        self.lr = lr
        self.fits = 0

    def _log(self, part: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = self.net(batch[0])
        loss = nn.functional.cross_entropy(logits, batch[1])
        self.log(f"{part}/loss", loss, on_step=False, on_epoch=True)
        if part != "train":
            self.log(f"{part}/acc", (logits.argmax(1) == batch[1]).float().mean())
            self.log(f"{part}/brier", (logits.softmax(1)[:, 1] - batch[1]).square().mean())
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        SEEN.append(float(batch[0].sum()))
        return self._log("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._log("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._log("test", batch)

    def on_train_epoch_start(self) -> None:
        self.fits += self.current_epoch == 0
        if (self.fits - 1, self.current_epoch) in STOP_AT:
            raise StoppedError

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.RMSprop(self.parameters(), self.lr)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)}


class Seldom(Net):
    """Logs its accuracy in the first epoch alone."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.current_epoch == 0:
            self.log("val/acc", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())


class Nameless(Net):
    """Logs `acc` and `loss` without a part, in training and validation."""

    def _log(self, part: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = self.net(batch[0])
        loss = nn.functional.cross_entropy(logits, batch[1])
        named = f"{part}_" if part == "test" else ""
        self.log_dict({f"{named}loss": loss, f"{named}acc": (logits.argmax(1) == batch[1]).float().mean()})
        return loss


class Twice(Net):
    """Logs two values that belong to one column."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val_accuracy", 0.25)


class Unvalidated(Net):
    """Has no validation."""

    validation_step = pl.LightningModule.validation_step


class Odd(Rows):
    """Has attributes of the names that are recorded, but of other kinds."""

    rows = 240  # pyright: ignore
    words = None
    class_names = torch.tensor([3, 4])


class Untested(Net):
    """Has no test, and logs its validation without the part's name."""

    test_step = pl.LightningModule.test_step

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("accuracy_in_percent", 100 * (self.net(batch[0]).argmax(1) == batch[1]).float().mean())


OWN = (
    "model=custom", f"model._target_={__name__}.Net", "data=custom", f"data._target_={__name__}.Rows",
    "trainer=cpu", "trainer.max_epochs=4", "pruning.rounds=2", "pruning.amount=0.3",
)  # fmt: skip
Play = Callable[..., Path]


@pytest.fixture
def play(configure: Callable[..., Config], tmp_path: Path) -> Play:
    def play(*overrides: str, name: str = "run", resuming: bool = False, draws: bool = False) -> Path:
        config = configure(*OWN, f"report={draws}", *overrides)
        (tmp_path / name).mkdir(exist_ok=True)
        run_experiment(config, load(config), tmp_path / name, [*OWN, *overrides], resuming=resuming)
        return tmp_path / name

    return play


@pytest.mark.slow
def test_a_module_is_trained_pruned_recorded_and_reported(play: Play) -> None:
    run = play("metric=val/brier", "metric_mode=min", draws=True)
    results = pd.read_csv(run / "results.csv")
    assert list(results["alive"]) == [74, 52, 37]  # 6·8 + 8 + 8·2 + 2, less a rounded 30 % of each tensor
    assert list(results.columns[-2:]) == ["val/brier", "test/brier"]
    assert results[["train_loss", "valid_loss", "valid_acc", "test_loss", "test_acc"]].notna().all(axis=None)
    ticket = RoundTicket.load(ticket_path(run, 2))
    network = Net()
    network.load_state_dict(dict(ticket.weights))
    rows = Rows()
    rows.setup("test")
    points, labels = rows.all[180:]
    accuracy = (network.net.eval()(points).argmax(1) == labels).float().mean()
    assert results["test_acc"][2] == pytest.approx(float(accuracy), abs=1e-6)
    assert all((ticket.weights[name][~mask] == 0).all() for name, mask in ticket.mask.items())
    found = read_run(run)
    assert (found.metric.name, found.metric.higher_is_better) == ("test brier", False)
    assert found.metric.judge(found.records[1]) == results["val/brier"][1]
    page = (run / "report.html").read_text()
    assert "Test brier against density" in page
    assert "Net on Rows. Every round" in page
    assert load_runs(run)["val/brier"].tolist() == results["val/brier"].tolist()


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_module_that_was_stopped_goes_on_to_the_same_bits(play: Play, workers: int) -> None:
    settings = ("metric=val/acc", f"+data.num_workers={workers}")
    whole = play(*settings, name="whole")
    STOP_AT.append((1, 2))
    try:
        with pytest.raises(StoppedError):
            play(*settings, name="stopped")
    finally:
        STOP_AT.clear()
    stopped = play(*settings, name="stopped", resuming=True)
    for table in ("results", "epochs", "layers"):
        one, other = (
            pd.read_csv(run / f"{table}.csv").drop(columns="seconds", errors="ignore") for run in (whole, stopped)
        )
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    for round_ in range(3):
        assert ticket_path(whole, round_).read_bytes() == ticket_path(stopped, round_).read_bytes()


@pytest.mark.slow
def test_the_batches_of_an_epoch_follow_from_seed_round_and_epoch(play: Play) -> None:
    firsts = []
    for seed in (0, 0, 1):
        SEEN.clear()
        play("metric=val/acc", "pruning.rounds=1", "trainer.max_epochs=2", f"seed={seed}", name=f"{len(firsts)}")
        firsts.append(SEEN[::6])  # 120 rows are 6 batches an epoch
    assert firsts[0] == firsts[1]
    assert len({*firsts[0], *firsts[2]}) == 8  # no two epochs begin with the same batch


NINE = ("trainer.max_epochs=9",)


def test_best_weights_and_early_stopping_follow_the_judged_metric(play: Play) -> None:
    run = play(
        "metric=val/acc", "test_on=best", "early_stopping.patience=1", "pruning.rounds=0", "trainer.max_epochs=9"
    )
    epochs, results = pd.read_csv(run / "epochs.csv"), pd.read_csv(run / "results.csv")
    assert results["valid_acc"][0] == epochs["valid_acc"].max()
    accuracies = list(epochs["valid_acc"])
    stops = [at for at in range(1, len(accuracies)) if accuracies[at] <= max(accuracies[:at])]
    assert len(accuracies) == (stops[0] + 1 if stops else 9)


@pytest.mark.slow
def test_a_module_without_a_test_is_reported_by_its_validation(play: Play) -> None:
    run = play(
        f"model._target_={__name__}.Untested", "metric=accuracy_in_percent", "metric_mode=max", "pruning.rounds=1",
        draws=True,
    )  # fmt: skip
    results = pd.read_csv(run / "results.csv")
    assert results[["test_loss", "test_acc"]].isna().all(axis=None)
    found = read_run(run)
    assert found.metric.read(found.records[1]) == results["valid_accuracy_in_percent"][1] > 1
    assert not found.metric.is_share
    assert "that of the validation part is reported" in (run / "report.html").read_text()


@pytest.mark.slow
def test_values_without_a_part_are_those_of_the_part_that_logs_them(play: Play) -> None:
    odd = f"data._target_={__name__}.Odd"
    run = play("metric=acc", f"model._target_={__name__}.Nameless", odd, "pruning.rounds=1", "tickets.keep=winners")
    plain = play("metric=val/acc", "pruning.rounds=1", name="plain")
    columns = ["valid_acc", "valid_loss", "test_acc"]
    pd.testing.assert_frame_equal(
        pd.read_csv(run / "results.csv")[columns], pd.read_csv(plain / "results.csv")[columns]
    )
    assert read_run(run).metric.judge(read_run(run).records[0]) > 0
    assert read_run(run).description.corpus.class_names == ("3", "4")


def test_only_fractions_above_1_lose_their_unit() -> None:
    record = Record(0, 0.0, 5, 5, 1, 2.0, 2.0, 90.0, 2.0, 91.0, 1.0)
    assert logged_metric("val/loss", "min", [record]).unit == "nats"
    assert logged_metric("val/acc", "max", [record]).unit == "points"


@pytest.mark.slow
def test_networks_and_optimizers_nest_in_settings(play: Play) -> None:
    run = play("metric=val/acc", "+model.net._target_=torch.nn.Linear", "+model.net.in_features=6",
               "+model.net.out_features=2", "pruning.rounds=0")  # fmt: skip
    assert list(pd.read_csv(run / "layers.csv")["parameter"]) == ["net.weight", "net.bias"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "metric: missing: with data=custom, give the name of a value that the module logs"),
        (("metric=val/auc",), "metric: val/auc is not logged; validation logs val/acc, val/brier, val/loss; choose"),
        (("metric=val/brier",), "metric_mode: missing: give max if higher values of val/brier are better"),
        (("metric=test/acc",), "metric: 'test/acc' is not of the validation part"),
        (("metric=val/acc", "optimizer=sgd"), "optimizer: not read with data=custom"),
        (("metric=val/acc", "scheduler=cosine"), "scheduler: not read with data=custom"),
        (("metric=val/acc", "embedding.dim=7"), "embedding: not read with data=custom"),
        (
            ("metric=val/acc", f"model._target_={__name__}.Seldom"),
            "metric: val/acc is not logged; validation logs nothing",
        ),
        (("metric=val/acc", f"model._target_={__name__}.Twice"), "another logged value belong to the column valid_acc"),
        (("metric=val/acc", f"model._target_={__name__}.Unvalidated"), "metric: Unvalidated has no validation_step"),
        (("metric=val/acc", "trainer.check_val_every_n_epoch=3"), "3 leaves the last of 4 epochs without a validation"),
        (("metric=val/acc", "model._target_=torch.nn.Identity"), "torch.nn.Identity is not a LightningModule"),
        (("metric=val/acc", "data._target_=torch.nn.Identity"), "torch.nn.Identity is not a LightningDataModule"),
        (("metric=val/acc", "+data.nope=3"), "takes no argument nope; its arguments: rows, num_workers"),
        (("metric=val/acc", "data.limit=3"), "data.limit: the class chosen by _target_ has no default for it"),
        (
            ("metric=val/acc", "pruning.ticket=a"),
            "pruning.ticket: a run of model=custom does not start from a packed ticket; leave it out",
        ),
    ],
)
def test_what_a_module_cannot_be_is_one_line(play: Play, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingError) as error:
        play(*overrides)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_needs_data_of_its_own(configure: Callable[..., Config]) -> None:
    config = configure("model=custom", f"model._target_={__name__}.Classifier")
    with pytest.raises(SettingError, match="is a LightningModule, which brings data of its own; add data=custom"):
        build_network(config.model, config.embedding, words=9, classes=3)


class Classifier(Net):
    """Takes what networks of texts are built with."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()


@pytest.mark.slow
def test_runs_of_a_module_are_compared_but_not_packed(
    play: Play, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for rewind in ("init", "random"):
        for seed in (0, 1):
            play(f"pruning.rewind={rewind}", f"seed={seed}", "metric=val/acc", name=f"{rewind}_{seed}")
    assert report([str(tmp_path)]) == 0
    groups = pd.read_csv(tmp_path / "comparison" / "groups.csv")
    assert list(groups["group"]) == ["rewind init", "rewind random"]
    full = pd.concat([pd.read_csv(tmp_path / f"init_{seed}" / "results.csv")["test_acc"][:1] for seed in (0, 1)])
    assert groups["full_acc"][0] == pytest.approx(full.mean())
    assert export([str(tmp_path / "init_0")]) == 2
    assert "Net cannot be packed: a packed ticket needs a tokenizer, words and class names" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_share_the_rows_and_agree(tmp_path: Path) -> None:
    """Lightning deals the rows: 120 training rows are 3 global batches of 40, for each of 4 epochs."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable, "-m", "lt_lightning.train", *(one.replace(__name__, Path(__file__).stem) for one in OWN),
        "metric=val/acc", "trainer=ddp_cpu", "trainer.devices=2", f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    results = pd.read_csv(tmp_path / "run" / "results.csv")
    assert list(results["alive"]) == [74, 52, 37]
    assert not any(map(math.isnan, results["test_acc"]))
