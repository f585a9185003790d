"""What stands in results.csv was measured on the weights of the ticket beside it, whatever callbacks swap weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.experiment.experiment import load_data
from lt_lightning.models import build_learner
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import EpochRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from trials.kills import SMALL, outcome

LIGHTNING = "pytorch_lightning.callbacks"
SWA = f"{{_target_: {LIGHTNING}.StochasticWeightAveraging, swa_lrs: 0.5, swa_epoch_start: 2}}"
EMA = f"{{_target_: {LIGHTNING}.EMAWeightAveraging, decay: 0.95}}"
LATE = f"{{_target_: {LIGHTNING}.EMAWeightAveraging, decay: 0.9, update_every_n_steps: 0, update_starting_at_epoch: 1}}"


class Swapping(pl.Callback):
    """Measures an empty network, in validations and tests alike, and puts the trained one back."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.kept = [param.detach().clone() for param in pl_module.parameters()]
        for param in pl_module.parameters():
            param.data.zero_()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for param, kept in zip(pl_module.parameters(), self.kept, strict=True):
            param.data.copy_(kept)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end


class Idle(pl.Callback):
    """Changes nothing."""


SWAPPING, IDLE = f"{{_target_: {__name__}.Swapping}}", f"{{_target_: {__name__}.Idle}}"

Play = Callable[..., tuple[Path, Config]]


@pytest.fixture(scope="module")
def play(
    corpus: Path, configure: Callable[..., Config], play_small: Callable[..., Path], tmp_path_factory: Any
) -> Play:
    """Run small settings and return the run's directory and its settings."""

    def play(*overrides: str) -> tuple[Path, Config]:
        chosen = ("pruning.rounds=1", *overrides)
        run = play_small(tmp_path_factory.mktemp("run"), *chosen)
        return run, configure("data=files", f"data.path={corpus}", *SMALL, *chosen)

    return play


def measured(run: Path, config: Config, round: int) -> dict[str, float]:
    """The losses and accuracies of a round's ticket, by a plain loop over the rows."""
    data = load_data(config, load_corpus(config.data))
    learner = build_learner(
        config.model, config.embedding, config.optimizer, words=len(data.words), classes=3, vectors=None
    )
    learner.network.load_state_dict(dict(RoundTicket.load(ticket_path(run, round)).weights))
    learner.eval()
    found: dict[str, float] = {}
    data.setup("validate")
    data.setup("test")
    for part, loader in (("valid", data.val_dataloader()), ("test", data.test_dataloader())):
        logits, targets = [], []
        with torch.no_grad():
            for batch in loader:
                answers = learner.task.answer(learner.network, batch)
                logits.append(answers.logits)
                targets.append(answers.targets)
        outputs, wanted = torch.cat(logits), torch.cat(targets)
        found[f"{part}_loss"] = F.cross_entropy(outputs, wanted).item()
        found[f"{part}_acc"] = (outputs.argmax(1) == wanted).double().mean().item()
    return found


@pytest.mark.parametrize("settings", [
    (), (f"trainer.callbacks=[{EMA}]",), (f"trainer.callbacks=[{SWAPPING}]",),
    (f"trainer.callbacks=[{SWAPPING}]", "test_on=best"),
    pytest.param((f"trainer.callbacks=[{EMA}]", "test_on=best"), marks=pytest.mark.slow),
    pytest.param((f"trainer.callbacks=[{LATE}]", "test_on=best"), marks=pytest.mark.slow),
    pytest.param((f"trainer.callbacks=[{SWA}]",), marks=pytest.mark.slow),
    pytest.param((f"trainer.callbacks=[{SWA}]", "test_on=best"), marks=pytest.mark.slow),
])  # fmt: skip
def test_a_record_is_of_the_ticket_beside_it(play: Play, settings: tuple[str, ...]) -> None:
    run, config = play(*settings)
    for record in read_records(run / "results.csv", Record):
        for name, value in measured(run, config, record.round).items():
            assert getattr(record, name) == pytest.approx(value, abs=1e-6), (record.round, name)


@pytest.mark.slow
def test_a_swap_is_not_what_the_epochs_say(play: Play) -> None:
    run, _ = play(f"trainer.callbacks=[{SWAPPING}]", "pruning.rounds=0")
    (record,) = read_records(run / "results.csv", Record)
    epochs = read_records(run / "epochs.csv", EpochRecord)
    assert all(epoch.valid_loss == pytest.approx(torch.tensor(3.0).log().item()) for epoch in epochs)
    assert record.valid_loss != epochs[-1].valid_loss


@pytest.mark.slow
def test_a_callback_that_swaps_nothing_changes_no_bit_and_costs_no_validation(play, monkeypatch):
    calls: list[str] = []
    for name in ("validate", "test"):
        original = getattr(pl.Trainer, name)

        def counted(self: pl.Trainer, *args: Any, original: Any = original, name: str = name, **kwargs: Any) -> Any:
            calls.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(pl.Trainer, name, counted)
    (plain, _), (idle, _) = play(), play(f"trainer.callbacks=[{IDLE}]")
    assert calls == ["test"] * 4
    assert outcome(plain) == outcome(idle)
