"""Networks and optimizers that are no choices of this package."""

import csv
import json

import pytest
import torch
from torch import nn

from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.models.build import build_network, build_optimizer
from trials.kills import write_corpus


class Net(nn.Module):
    """The mean of word vectors, classified; it knows nothing of this package."""

    def __init__(self, words: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, hidden)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        inside = torch.arange(ids.shape[1]) < lengths[:, None]
        return self.fc((self.embedding(ids) * inside[..., None]).sum(1) / lengths[:, None])


NET = ("model=custom", f"model._target_={__name__}.Net", "+model.hidden=6")
RMSPROP = ("optimizer=custom", "optimizer._target_=torch.optim.RMSprop", "+optimizer.alpha=0.9")


@pytest.mark.slow
def test_a_custom_network_and_optimizer_get_their_arguments(configure):
    config = configure(*NET, *RMSPROP)
    network = build_network(config.model, config.embedding, words=9, classes=3)
    assert isinstance(network, Net)
    assert network.embedding.weight.shape == (9, 6)
    optimizer = build_optimizer(config.optimizer, network.parameters())
    assert type(optimizer) is torch.optim.RMSprop
    assert (optimizer.defaults["alpha"], optimizer.defaults["lr"]) == (0.9, 0.001)


@pytest.mark.parametrize(("overrides", "said"), [
    (("model=custom",), "model._target_: there is no value"),
    ((*NET[:2], "+model.hiden=6"), "model: "),
    ((*NET[:1], "model._target_=no_such_package.Net"), "model: there is no module no_such_package"),
    ((*NET[:2], "model.hidden=6"), "model.hidden: the class chosen by _target_ has no default for it"),
    (("+embedding._target_=a.B",), "embedding._target_: only model, optimizer, scheduler, data can be"),
])  # fmt: skip
def test_what_a_custom_network_cannot_be_is_one_line(configure, overrides, said):
    def build():
        config = configure(*overrides)
        build_network(config.model, config.embedding, words=9, classes=3)

    with pytest.raises(SettingError) as error:
        build()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_custom_network_is_trained_and_pruned(configure, tmp_path):
    write_corpus(tmp_path / "corpus")
    small = (
        "data=files", f"data.path={tmp_path / 'corpus'}", "trainer=cpu", "trainer.max_epochs=1", "pruning.rounds=1",
        "report=false",
    )  # fmt: skip
    config = configure(*small, "trainer.max_epochs=1", "pruning.rounds=1", *NET, *RMSPROP)
    run = tmp_path / "run"
    run.mkdir()
    run_experiment(config, load_corpus(config.data), run, [])
    assert len((run / "results.csv").read_text().splitlines()) == 3
    config = json.loads((run / "run.json").read_text())["config"]
    assert config["model"] == {"name": "custom", "_target_": f"{__name__}.Net", "hidden": 6}


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), ("metric_mode=min",)])
def test_rounds_are_judged_by_an_added_metric_whose_mode_is_known_or_given(configure, mode):
    config = configure("+metrics.spread._target_=my.Spread", "+metrics.mcc._target_=my.Mcc", "metric=test_mcc", *mode)
    assert config.metrics == {"spread": {"_target_": "my.Spread"}, "mcc": {"_target_": "my.Mcc"}}
    with pytest.raises(SettingError, match=r"^metric_mode: missing: give max if higher values of test_spread are"):
        configure("+metrics.spread._target_=my.Spread", "metric=test_spread")


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "said"), [
    ("+metrics.x._target_=torch.nn.Identity", "metrics.x: Identity is not a torchmetrics.Metric"),
    ("+metrics.x._target_=torchmetrics.NoSuch", "metrics.x: torchmetrics has no NoSuch"),
    (
        "+metrics.x={_target_: torchmetrics.classification.MulticlassRecall, average: none}",
        "metrics.x: computes more than a single number; choose an average",
    ),
])  # fmt: skip
def test_what_an_added_metric_cannot_be_is_one_line(play_small, tmp_path, metric, said):
    with pytest.raises(SettingError) as error:
        play_small(tmp_path / "run", metric, "pruning.rounds=0", epochs=1)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_an_added_metric_is_measured_as_the_built_in_one_and_goes_on(play_small, tmp_path):
    chosen = ("+metrics.same._target_=torchmetrics.classification.MulticlassF1Score", "+metrics.same.average=macro")
    whole = play_small(tmp_path / "whole", *chosen, "pruning.rounds=2", epochs=1)
    with (whole / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["valid_same"], row["test_same"]) for row in rows] == [
        (row["valid_f1"], row["test_f1"]) for row in rows
    ]
    stopped = play_small(tmp_path / "stopped", *chosen, "pruning.rounds=1", epochs=1)
    play_small(stopped, *chosen, "pruning.rounds=2", epochs=1, resuming=True)
    assert (stopped / "epochs.csv").read_bytes() == (whole / "epochs.csv").read_bytes()
