"""`connect` with every task, and with LightningModules of the user's own: metrics, BatchNorm, missing parts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lt_lightning import lottery, run
from lt_lightning.connect import analysis
from lt_lightning.connect.__main__ import main
from lt_lightning.connect.points import Meter, batch_norms, between
from lt_lightning.connect.records import Curve, RoundCurves, read_all, read_curves, write_tables
from lt_lightning.connect.report import render_connectivity
from lt_lightning.connect.wording import Wording
from lt_lightning.experiment.start_run import load
from lt_lightning.experiment.subject import build_subject, load_data
from lt_lightning.experiment.trainer import StartedProcesses
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runtime.job import Place
from trials.kills import SMALL, write_corpus

MOVED: list[str] = []
"""The stages in which the LightningDataModule has moved batches."""


class Rows(pl.LightningDataModule):
    """Points of two classes; the training part lives only after `setup("fit")`."""

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(5)
        points = torch.randn(120, 6, generator=generator)
        self.all = TensorDataset(points, (points @ torch.randn(6, generator=generator) > 0).long())
        if stage == "fit":
            self.train = torch.utils.data.Subset(self.all, range(60))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        MOVED.append(str(self.trainer and self.trainer.state.stage.value))  # pyright: ignore
        return batch

    def train_dataloader(self) -> Any:
        return DataLoader(self.train, 10, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(torch.utils.data.Subset(self.all, range(60, 90)), 10)

    def test_dataloader(self) -> Any:
        return DataLoader(torch.utils.data.Subset(self.all, range(90, 120)), 10)


class Untested(Rows):
    test_dataloader = pl.LightningDataModule.test_dataloader


class Net(pl.LightningModule):
    """A network with BatchNorm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        logits = self.net(batch[0])
        self.log("val/acc", (logits.argmax(1) == batch[1]).float().mean())
        self.log("val/loss", nn.functional.cross_entropy(logits, batch[1]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/acc", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)


class Triples(Rows):
    """Training batches have another form than those of validation."""

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(torch.zeros(20, 6), torch.zeros(20).long(), torch.zeros(20)), 10)


class OfTriples(Net):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        points, labels = batch
        self.log("val/acc", (self.net(points).argmax(1) == labels).float().mean())


OWN = (
    "model=custom", f"model._target_={__name__}.Net", "data=custom", f"data._target_={__name__}.Rows",
    "trainer=cpu", "trainer.max_epochs=2", "pruning.rounds=1", "metric=val/acc", "report=false",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "draw", lambda run, folder, *_: folder / "connectivity.html")


def of_part(weights: Any, first: int, last: int, loss: bool = False) -> float:
    """Return the accuracy, or the loss, of a network on some rows."""
    network, rows = Net(), Rows()
    network.load_state_dict(dict(weights))
    rows.setup("fit")
    points, labels = rows.all[first:last]
    logits = network.net.eval()(points).detach()
    right = (logits.argmax(1) == labels).float().mean()
    return float(nn.functional.cross_entropy(logits, labels) if loss else right)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "loss"), [(("metric=val/acc",), False), (("metric=val/loss",), True)])
def test_an_own_module_is_judged_by_its_metric_on_the_test_and_the_training_part(tmp_path, metric, loss) -> None:
    folder = run(*OWN, *metric, f"hydra.run.dir={tmp_path / 'run'}").path
    MOVED.clear()
    assert main([str(folder), "trust=true", "--points", "3", "--rounds", "1"]) == 0
    found = read_curves(folder / "connectivity", 1)
    assert found is not None
    assert found.parts == ("test", "train")
    for place, label in ((0, "0"), (-1, "1")):
        weights = RoundTicket.load(ticket_path(folder / f"connectivity/round_01/order_{label}", 1)).weights
        for part, rows in (("test", (90, 120)), ("train", (0, 60))):
            value = of_part(weights, *rows, loss=loss)
            assert found.curves[0].errors[part][place] == pytest.approx(value if loss else 1 - value, abs=1e-6)
    assert "validate" in MOVED  # the LightningDataModule's hooks run for all parts
    wording = Wording.of(read_run(folder), ("val/loss", "min") if loss else ("val/acc", "max"))
    assert (wording.is_share, wording.error) == ((False, "val/loss") if loss else (True, "1 − val/acc"))


@pytest.mark.slow
def test_equal_orders_are_exact_with_batch_norm_too(tmp_path: Path) -> None:
    folder = run(*OWN, f"hydra.run.dir={tmp_path / 'run'}").path
    assert main([str(folder), "trust=true", "--points", "4", "--seeds", "2,2"]) == 0
    assert all(one.instability(part) == 0 for one in read_all(folder / "connectivity") for part in one.parts)


@pytest.mark.slow
def test_a_module_without_a_test_is_judged_on_the_validation_part(tmp_path: Path, capsys) -> None:
    data = f"data._target_={__name__}.Untested"
    folder = run(*OWN, data, f"hydra.run.dir={tmp_path / 'run'}").path
    assert main([str(folder), "trust=true", "--points", "3", "--rounds", "0"]) == 0
    assert " points on valid and " in capsys.readouterr().out
    found = read_curves(folder / "connectivity", 0)
    assert found is not None
    weights = RoundTicket.load(ticket_path(folder / "connectivity/round_00/order_0", 0)).weights
    assert found.curves[0].errors["valid"][0] == pytest.approx(1 - of_part(weights, 60, 90), abs=1e-6)


@pytest.mark.slow
def test_training_batches_that_validation_cannot_read_are_one_line(tmp_path: Path, capsys) -> None:
    data, module = f"data._target_={__name__}.Triples", f"model._target_={__name__}.OfTriples"

    folder = run(*OWN, data, module.replace("OfTriples", "Tolerant"), f"hydra.run.dir={tmp_path / 'run'}").path
    capsys.readouterr()
    assert main([str(folder), "trust=true", "--points", "3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Tolerant: validation_step failed on batches of the train part (ValueError: too many values")


class Tolerant(OfTriples):
    """Trains on batches of three."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])


@pytest.mark.parametrize("task", [
    ("data=pairs", "data.pairs=[[abc,bcd],[bcd,cde],[cde,def]]", "model=tagger"),
    pytest.param(("data=reversal", "data.train_rows=60", "data.test_rows=30", "model=seq2seq"), marks=pytest.mark.slow),
])  # fmt: skip
def test_tasks_of_letters_are_judged_by_the_letters_right(tmp_path: Path, task: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    run(*task, "trainer=cpu", "trainer.max_epochs=2", "pruning.rounds=1", f"hydra.run.dir={folder}")
    assert main([str(folder), "--points", "3"]) == 0
    for one in read_all(folder / "connectivity"):
        assert 1 - one.curves[0].errors["test"][0] == read_run(folder).records[one.round].test_acc


def test_statistics_of_an_average_are_means_over_the_training_batches(configure, tmp_path: Path) -> None:
    config = configure(*OWN)
    data: Any = load_data(config, load(config))
    subject = build_subject(config, data)
    meter = Meter(config, subject, 3, tmp_path, StartedProcesses(Place(0, 1, 0)))
    subject.network.load_state_dict({**subject.network.state_dict(), "net.1.running_mean": torch.full((8,), 9.0)})
    weights = {name: value.clone() for name, value in subject.network.state_dict().items()}
    assert batch_norms(subject.network) == ["net.1"]
    meter.renew(["net.1"])
    after = dict(subject.network.state_dict())
    data.loaders.setup("fit")
    data.round, data.epoch, data.order_seed = 3, 0, 0
    first, means, variances = subject.network.net[0], [], []  # pyright: ignore
    for points, _ in data.loaders.train_dataloader():
        hidden = first(points).detach()
        means.append(hidden.mean(0))
        variances.append(hidden.var(0, unbiased=True))
    assert torch.allclose(after["net.1.running_mean"], torch.stack(means).mean(0), atol=1e-6)
    assert torch.allclose(after["net.1.running_var"], torch.stack(variances).mean(0), atol=1e-6)
    assert after["net.1.num_batches_tracked"] == 6
    others = [name for name in weights if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(after[name], weights[name]) for name in others)
    norm: Any = subject.network.get_submodule("net.1")
    assert (norm.momentum, norm.training) == (0.1, True)  # Lightning restores the mode of the module


def test_statistics_are_renewed_between_the_ends_where_they_differ() -> None:
    network = Net()
    one = {name: value.clone() for name, value in network.state_dict().items()}
    other = {**one, "net.1.running_var": one["net.1.running_var"] + 1}
    empty = lottery.Mask({})
    assert [between(one, other, alpha, empty, ["net.1"])[1] for alpha in (0, 0.5, 1)] == [[], ["net.1"], []]
    assert between(one, one, 0.5, empty, ["net.1"])[1] == []


def test_a_value_that_was_not_measured_is_shown_as_none(tmp_path: Path) -> None:
    errors = {"test": (math.nan, 0.5, 0.25), "train": (0.0, 0.125, 0.0)}
    found = RoundCurves(2, 5, 10, {"0": "a", "1": "b"}, "test", (Curve(("0", "1"), errors),))
    wording = Wording("accuracy")
    assert math.isnan(found.instability("test"))
    assert wording.points(found.instability("train")) == "12.50 points"
    assert wording.verdict(found) == "–"
    write_tables(tmp_path, [found])
    folder = tmp_path / "run"
    texts = write_corpus(tmp_path / "corpus", train=60, test=30)
    run(
        "data=files",
        f"data.path={texts}",
        *SMALL[:4],
        "trainer.max_epochs=1",
        "pruning.rounds=0",
        f"hydra.run.dir={folder}",
    )
    page = render_connectivity(read_run(folder), [found], wording, [])
    assert "12.50" in page
    assert "nan" not in page
