"""Every recipe of docs/extending.md, run from its page as a package outside this one."""

from __future__ import annotations

import csv
import importlib
import json
import random
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lt_lightning import run
from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.experiment.entry import Result
from lt_lightning.lottery import Mask
from lt_lightning.models import build_learner
from lt_lightning.report.__main__ import main as report
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket
from trials.forking import run_train
from trials.kills import COMMON, THEMES

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")

SHORT = ("report=false", "trainer=cpu", "trainer.max_epochs=1", "pruning.rounds=1")
SMALL = (*SHORT, "data.batch_size=16", "embedding.dim=6")


@dataclass
class Recipe:
    """A section of the page: the text of its files, by name, and the arguments of its commands, by module."""

    files: dict[str, str] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)


def recipes() -> dict[str, Recipe]:
    """The recipes of the page, by what their headings name."""
    page = (Path(__file__).parents[1] / "docs/extending.md").read_text(encoding="utf-8")
    found: dict[str, Recipe] = {}
    for section in page.split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        recipe = found[re.sub(r"^an? ", "", heading.lower()).replace(" ", "_")] = Recipe()
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S):
            if language == "bash":
                python, flag, module, *arguments = shlex.split(text)
                assert (python, flag) == ("python", "-m")
                recipe.commands[module] = arguments
            else:
                recipe.files[text.partition("\n")[0].removeprefix("# ")] = text
    return found


RECIPES = recipes()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with the page's files and reviews.csv."""
    folder = tmp_path_factory.mktemp("user")
    for recipe in RECIPES.values():
        for name, text in recipe.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    draw = random.Random(0)
    with (folder / "reviews.csv").open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for row in range(150):
            label = list(THEMES)[row % 3]
            words = [draw.choice(THEMES[label] if draw.random() < 0.6 else COMMON) for _ in range(draw.randint(3, 9))]
            file.write(f"{' '.join(words)},{label}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def train(recipe: str, *more: str, small: tuple[str, ...] = SMALL) -> Result:
    """Run a recipe's command in this process, with little data and few epochs."""
    return run(*RECIPES[recipe].commands["lt_lightning.train"], *small, *more)


def mine(path: str) -> Any:
    """An object of the user's package."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"my_package.{module}"), name)


def alive(result: Result, round: int) -> dict[str, int]:
    """The living entries of each parameter, from layers.csv."""
    with (result.path / "layers.csv").open(encoding="utf-8") as file:
        return {row["parameter"]: int(row["alive"]) for row in csv.DictReader(file) if row["round"] == str(round)}


class Witness(pl.Callback):
    """Keeps the module, the optimizers, and the learning rate of each epoch."""

    seen: ClassVar[list[tuple[Any, list[torch.optim.Optimizer]]]] = []
    rates: ClassVar[list[float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append((pl_module, list(trainer.optimizers)))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


WITNESS = f"trainer.callbacks=[{{_target_: {__name__}.Witness}}]"


def test_every_recipe_has_a_test() -> None:
    tests = {name.removeprefix("test_recipe_") for name in globals() if name.startswith("test_recipe_")}
    assert tests == set(RECIPES)
    assert all(recipe.commands for recipe in RECIPES.values())


@pytest.mark.slow
def test_recipe_callback() -> None:
    result = train("callback")
    with (result.path / "csv/metrics.csv").open(encoding="utf-8") as file:
        logged = [float(row["weight_norm"]) for row in csv.DictReader(file) if row.get("weight_norm")]
    kept = [RoundTicket.load(result.tickets[number]).weights for number in (0, 1)]
    norms = [torch.cat([weight.flatten() for weight in weights.values()]).norm().item() for weights in kept]
    assert logged == pytest.approx(norms, rel=1e-4)


@pytest.mark.slow
def test_recipe_criterion(configure: Callable[..., Config]) -> None:
    result = train("criterion")
    config = configure(*RECIPES["criterion"].commands["lt_lightning.train"], *SMALL)
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    sizes = {"words": len(data.words), "classes": 3}
    network = build_learner(config.model, config.embedding, config.optimizer, **sizes).network.eval()
    trained, pruned = (RoundTicket.load(result.tickets[number]) for number in (0, 1))
    network.load_state_dict(dict(trained.weights))
    for batch in data.train_dataloader():
        logits = network(batch.ids, batch.lengths)
        (nn.functional.cross_entropy(logits, batch.labels, reduction="sum") / data.rows["train"]).backward()
    by_magnitude = []
    for name, weight in network.named_parameters():
        scores, kept = (weight * weight.grad).abs().detach(), pruned.mask[name]
        assert kept.count_nonzero() == weight.numel() - round(0.2 * weight.numel())
        # Rounding may exchange entries with nearly the same score.
        assert scores[~kept].max() <= scores[kept].min() + 1e-6 * scores.max()
        limit = weight.abs().flatten().kthvalue(round(0.2 * weight.numel())).values
        by_magnitude.append(torch.equal(kept, weight.abs() > limit))
    assert not all(by_magnitude)


def test_recipe_scope() -> None:
    erk = mine("erk.erk")
    shapes = {"embedding": (10_025, 100), "conv3": (100, 100, 3), "conv4": (100, 100, 4), "conv5": (100, 100, 5)}
    mask = Mask.ones({name: torch.empty(shape) for name, shape in {**shapes, "fc": (4, 300)}.items()})
    kept = {name: 1 - count / mask[name].numel() for name, count in erk(mask, 0.9).items()}
    # Of the definition by Evci et al., computed for MultiCNN and these densities elsewhere.
    expected = {"embedding": 0.10457197, "conv3": 0.0700615, "conv4": 0.05280497, "conv5": 0.04245106, "fc": 1}
    assert kept == pytest.approx(expected, abs=2e-5)

    result = train("scope", "pruning.amount=0.6")
    first = Mask.ones(RoundTicket.load(result.tickets[0]).mask)
    assert alive(result, 1) == {name: first.counts[name] - gone for name, gone in erk(first, 0.6).items()}
    shares = {name: count / first.counts[name] for name, count in alive(result, 1).items()}
    assert shares["fc.bias"] == 1  # the smallest is spared
    assert shares["convs.0.weight"] > shares["convs.1.weight"] > shares["convs.2.weight"]


def test_recipe_text_model() -> None:
    result = train("text_model", WITNESS)
    learner, _ = Witness.seen[-1]
    assert isinstance(learner.network, mine("net.Net"))
    words = learner.network.embedding.num_embeddings
    shapes = {"embedding.weight": (words, 16), "hidden.weight": (16, 16), "hidden.bias": (16,)}
    ticket = RoundTicket.load(result.tickets[1])
    assert {name: tuple(weight.shape) for name, weight in ticket.weights.items()} == {
        **shapes, "out.weight": (3, 16), "out.bias": (3,),
    }  # fmt: skip
    assert alive(result, 1) == {name: w.numel() - round(0.2 * w.numel()) for name, w in ticket.weights.items()}
    assert all(weight[~ticket.mask[name]].eq(0).all() for name, weight in ticket.weights.items())
    assert result.records["test_acc"].between(0, 1).all()


def test_recipe_lightningmodule() -> None:
    result = train("lightningmodule", WITNESS, small=SHORT)
    module, _ = Witness.seen[-1]
    assert type(module) is mine("module.Classifier")
    assert alive(result, 0) == {"net.0.weight": 72, "net.0.bias": 12, "net.2.weight": 24, "net.2.bias": 2}
    assert alive(result, 1) == {"net.0.weight": 58, "net.0.bias": 10, "net.2.weight": 19, "net.2.bias": 2}
    rows, labels = mine("rows.Rows")().test.tensors
    for number in (0, 1):
        module.load_state_dict(dict(RoundTicket.load(result.tickets[number]).weights))
        accuracy = (module.net(rows).argmax(1) == labels).float().mean()
        assert result.records["test_acc"][number] == pytest.approx(float(accuracy), abs=1e-6)
    assert result.records[["train_loss", "valid_loss", "valid_acc", "test_loss"]].notna().all(axis=None)
    assert list(result.records.columns[-1:]) == ["train/acc"]
    assert read_run(result.path).metric.name == "test accuracy"


def test_recipe_datamodule() -> None:
    result = train("datamodule", WITNESS, small=SHORT)
    module, _ = Witness.seen[-1]
    assert type(module.trainer.datamodule) is mine("rows.Rows")
    corpus = json.loads((result.path / "run.json").read_text(encoding="utf-8"))["corpus"]
    assert corpus["rows"] == {"train": 100, "valid": 50, "test": 50}
    assert corpus["class_names"] == ["below", "above"]
    rights = result.records["test_acc"] * 50
    assert rights.to_list() == pytest.approx(rights.round().to_list(), abs=1e-4)


def test_recipe_optimizer() -> None:
    Witness.seen.clear()
    train("optimizer", WITNESS)
    (first,), (second,) = (optimizers for _, optimizers in Witness.seen)
    assert type(first) is type(second) is torch.optim.RMSprop
    assert first is not second
    assert (first.defaults["alpha"], first.defaults["lr"]) == (0.9, 0.001)


def test_recipe_scheduler() -> None:
    Witness.rates.clear()
    train("scheduler", WITNESS, "trainer.max_epochs=3")
    assert Witness.rates == pytest.approx([1e-3, 9e-4, 8.1e-4] * 2)


@pytest.mark.slow
def test_recipe_data_source(folder: Path) -> None:
    def command(*words: str) -> None:
        done = run_train(*words, folder=folder)
        assert done.returncode == 0, done.stderr

    command(*RECIPES["data_source"].commands["lt_lightning.train"], *SMALL, "hydra.run.dir=source")
    described = json.loads((folder / "source/run.json").read_text(encoding="utf-8"))
    assert described["corpus"]["name"] == "Reviews"
    assert described["corpus"]["class_names"] == ["animals", "food", "tools"]
    assert described["config"]["data"]["max_vocab"] == 5000
    command("--config-dir", "my_package/conf", "resume=source", "pruning.rounds=2")
    assert len((folder / "source/results.csv").read_text(encoding="utf-8").splitlines()) == 4


def test_recipe_metric() -> None:
    result = train("metric")
    with (result.path / "confusion.csv").open(encoding="utf-8") as file:
        rows = [{name: int(value) for name, value in row.items()} for row in csv.DictReader(file)]
    for number in (0, 1):
        cells = [row for row in rows if row["round"] == number]
        pairs = [(cell["label"], cell["predicted"]) for cell in cells for _ in range(cell["count"])]
        labels, predicted = (nn.functional.one_hot(torch.tensor(one), 3).double() for one in zip(*pairs, strict=True))
        # The correlation of labels and predictions, by Gorodkin's definition.
        labels, predicted = labels - labels.mean(0), predicted - predicted.mean(0)
        scale = (labels.square().sum() * predicted.square().sum()).sqrt()
        correlation = float((labels * predicted).sum() / scale) if scale else 0.0
        assert result.records["test_mcc"][number] == pytest.approx(correlation, abs=1e-6)
    assert "valid_mcc" in (result.path / "epochs.csv").read_text(encoding="utf-8").splitlines()[0]
    found = read_run(result.path)
    assert (found.metric.name, found.metric.higher_is_better) == ("test mcc", True)
    assert found.metric.judge(found.records[1]) == result.records["valid_mcc"][1]


@pytest.mark.slow
def test_recipe_figure(folder: Path) -> None:
    result = run("data=files", "data.path=reviews.csv", *SMALL)
    placeholder, *arguments = RECIPES["figure"].commands["lt_lightning.report"]
    assert placeholder.endswith("DATE_TIME")
    assert report([str(result.path), *arguments]) == 0
    assert {path.suffix for path in (result.path / "figures").glob("overfitting.*")} == {".png", ".svg"}
    page = (result.path / "report.html").read_text(encoding="utf-8")
    assert "Validation loss minus training loss after each round." in page
    (line,) = mine("overfitting.overfitting")(read_run(result.path)).axes[0].lines
    records = result.records
    assert list(line.get_xdata()) == [0, 1]
    assert list(line.get_ydata()) == (records["valid_loss"] - records["train_loss"]).tolist()
