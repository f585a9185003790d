"""A comparison names what its design cannot answer, and a sound design has no marks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.report.comparison.protocol import protocol_faults
from lt_lightning.report.comparison.study import gather

MakeRun = Callable[..., Path]
SEEDS = range(5)


@pytest.fixture
def faults(make_run: MakeRun, tmp_path: Path) -> Callable[..., list[str]]:
    """Writes arms, each a function of the seed that gives arguments of `make_run`, and returns the faults."""

    def find(*arms: dict[str, Any], seeds: range = SEEDS) -> list[str]:
        for place, arm in enumerate(arms):
            given = {"accuracies": (0.8, 0.79, 0.7), "steps": (100, 100, 100), **arm}
            for seed in given.pop("seeds", seeds):
                make_run(name=f"runs/{place}_{seed}", seed=seed, **given)
        return protocol_faults(gather([tmp_path / "runs"]))

    return find


def rewind(name: str, **settings: Any) -> dict[str, Any]:
    return {"settings": {"pruning.rewind": name, **{key.replace("__", "."): value for key, value in settings.items()}}}


def test_a_sound_design_has_no_fault(faults: Callable[..., list[str]]) -> None:
    assert faults(rewind("init"), rewind("last")) == []


def test_the_density_where_budgets_differ_most_is_named(faults: Callable[..., list[str]]) -> None:
    longer = {**rewind("last"), "steps": (100, 150, 1300)}
    (line,) = faults(rewind("init"), longer)
    assert line.startswith("unequal training: at 64")
    assert "rewind init 100, rewind last 1,300 steps (means over seeds); give" in line


def test_a_dense_arm_may_train_for_longer(faults: Callable[..., list[str]]) -> None:
    dense = {**rewind("none", pruning__rounds=0), "accuracies": (0.8,), "steps": (900,)}
    assert faults(rewind("init"), dense) == []


def test_without_steps_epochs_are_compared(make_run: MakeRun, faults: Callable[..., list[str]], tmp_path: Path) -> None:
    arms = ({**rewind("init"), "steps": None}, {**rewind("last"), "steps": None})
    assert faults(*arms) == []
    for seed in SEEDS:
        path = tmp_path / f"runs/1_{seed}/results.csv"
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        place = head.split(",").index("epochs")
        rows[1] = ",".join("6" if i == place else cell for i, cell in enumerate(rows[1].split(",")))
        path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    (line,) = protocol_faults(gather([tmp_path / "runs"]))
    assert "rewind init 2, rewind last 6 epochs" in line


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": {"patience": 1, "min_delta": 0.0}},
        {"trainer.callbacks": [{"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "valid_loss"}]},
    ],
)
def test_early_stopping_is_a_fault(faults: Callable[..., list[str]], settings: dict[str, Any]) -> None:
    stopped = {"settings": {"pruning.rewind": "last", **settings}}
    (line,) = faults({"settings": {"pruning.rewind": "init", **settings}}, stopped)
    assert line.startswith("early stopping: it was on in all 10 runs")


def test_few_and_unpaired_seeds_are_faults(faults: Callable[..., list[str]]) -> None:
    few, unpaired = faults({**rewind("init"), "seeds": range(1, 4)}, rewind("last"))
    assert few.startswith("few seeds: rewind init has 3, fewer than 5")
    assert unpaired.startswith("unpaired seeds: rewind init has 1, 2, 3, rewind last has 0, 1, 2, 3, 4;")


def test_winners_need_a_validation_part(faults: Callable[..., list[str]]) -> None:
    (line,) = faults({**rewind("init"), "valid": (float("nan"),) * 3}, rewind("last"))
    assert line.startswith("no choice of winners: rewind init has no validation accuracy")


def test_new_weights_in_every_round_have_masks_of_their_own(faults: Callable[..., list[str]]) -> None:
    (line,) = faults(rewind("init"), rewind("random"))
    assert line.startswith("another mask: rewind random prunes its own weights")
    assert line.endswith("python -m lt_lightning.train branch.of=RUN pruning.rewind=random")


def test_in_the_first_round_new_weights_have_the_others_mask(faults: Callable[..., list[str]]) -> None:
    arms = ({**rewind(name), "accuracies": (0.8, 0.7), "steps": (9, 9)} for name in ("init", "random"))
    assert faults(*arms) == []


def test_learning_rates_that_differ_are_named(faults: Callable[..., list[str]]) -> None:
    (line,) = faults(rewind("init", optimizer__lr=0.1), rewind("init", optimizer__lr=0.2))
    assert line.startswith("learning rates differ: lr 0.1 has 0.1, lr 0.2 has 0.2;")
