"""`seed.order` seeds the order of batches and dropout alone; `seed` stays a number."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lt_lightning import run
from lt_lightning.callbacks import EpochSeeds
from lt_lightning.config.quoting import quote_arguments
from lt_lightning.config.schema import Config
from lt_lightning.data.own_corpus import OwnCorpus
from lt_lightning.data.own_module import OwnData
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import release
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.resume.command import resumed_arguments, write_sweep
from lt_lightning.experiment.start_run import load
from lt_lightning.experiment.subject import build_subject, load_data
from lt_lightning.lottery import derive_seed
from lt_lightning.report import facts
from lt_lightning.report.comparison.grouping import group_runs
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from trials.kills import SMALL, write_corpus


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=60, test=20)


def first_state(config: Config) -> tuple[list[list[int]], list[int], dict[str, torch.Tensor]]:
    """Return the first epoch's batches of labels and lengths, the validation rows' lengths, and the first weights."""
    data: Any = load_data(config, load(config))
    pl.seed_everything(derive_seed(config.seed, "network"), verbose=False)
    weights = build_subject(config, data).network.state_dict()
    batches = [batch.lengths.tolist() for batch in data.train_dataloader()]
    return batches, data.texts["valid"].lengths.tolist(), weights


@pytest.mark.slow
def test_two_orders_give_other_batches_and_the_same_parts_and_first_weights(configure, texts: Path) -> None:
    common = ("data=files", f"data.path={texts}", *SMALL)
    states = [first_state(configure(*common, *more)) for more in ((), ("seed_order=0",), ("seed_order=1",))]
    (as_seed, *_), (zero, *_), (one, *_) = states
    assert as_seed == zero != one
    assert sorted(chain(*zero)) == sorted(chain(*one))
    for _, valid, weights in states[1:]:
        assert valid == states[0][1]
        assert all(torch.equal(weights[name], value) for name, value in states[0][2].items())


@pytest.mark.slow
def test_a_run_begins_with_the_same_weights_and_pruning_and_trains_others(texts: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["data=files", f"data.path={texts}", *SMALL, "trainer.max_epochs=1", "pruning.rounds=1"]
    found = [run(*settings, *more, f"hydra.run.dir=run{i}").path for i, more in enumerate(((), ("seed.order=3",)))]
    first, last = zip(*((read_rewind_weights(one), RoundTicket.load(one / "tickets/round_00.safetensors").weights)
                        for one in found), strict=True)  # fmt: skip
    assert all(torch.equal(value, first[1][name]) for name, value in first[0].items())
    assert not torch.equal(last[0]["embedding.weight"], last[1]["embedding.weight"])
    record = json.loads((found[1] / "run.json").read_text(encoding="utf-8"))
    assert (record["seed"], record["config"]["seed_order"], record["command"][-1]) == (0, 3, "seed_order=3")
    assert run(f"resume={found[1]}").records.equals(run(f"resume={found[1]}", "seed.order=3").records)
    with pytest.raises(SettingError, match=r"resume: run1: seed\.order was 3, not 4: "):
        run(f"resume={found[1]}", "seed.order=4")
    with pytest.raises(SettingError, match=r"resume: run0: seed\.order was null, not 0: "):
        run(f"resume={found[0]}", "seed.order=0")
    runs = [read_run(one) for one in found]
    assert [facts.seed(one.description) for one in runs] == ["0", "0, order 3"]
    groups, left_out = group_runs(runs)
    assert ([group.seeds for group in groups], left_out) == ([("0", "0, order 3")], [])


@pytest.mark.slow
def test_dropout_follows_the_order_in_every_round(texts: Path, tmp_path: Path, monkeypatch) -> None:
    seeds: list[int] = []

    class Noted(EpochSeeds):
        def __init__(self, seed: int, round: int) -> None:
            seeds.append(seed)
            super().__init__(seed, round)

    monkeypatch.setattr("lt_lightning.experiment.round.EpochSeeds", Noted)
    settings = ["data=files", f"data.path={texts}", *SMALL, "trainer.max_epochs=1", "pruning.rounds=1", "seed=7"]
    run(*settings, "seed.order=3", f"hydra.run.dir={tmp_path / 'ordered'}")
    run(*settings, f"hydra.run.dir={tmp_path / 'plain'}")
    assert seeds == [3, 3, 7, 7]


def test_an_own_modules_batches_follow_the_order(configure: Callable[..., Config]) -> None:
    class Rows(pl.LightningDataModule):
        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(range(30), 5, shuffle=True)  # pyright: ignore

    def batches(order: int) -> list[list[int]]:
        data = OwnData(Rows(), OwnCorpus("mine", "here", {}), order)
        return [batch.tolist() for batch in data.loaders.train_dataloader()]

    assert batches(1) == batches(1) != batches(2)


@pytest.mark.parametrize(("typed", "stored"), [
    (["seed.order=3", "seed=1"], ["seed_order=3", "seed=1"]),
    (["-m", "seed.order=0,1,2"], ["-m", "seed_order=0,1,2"]),
    (["seed.order=range(0,3)"], ["seed_order=range(0,3)"]),
    (["seed.order=null"], ["seed_order=null"]),
    (["name=seed.order=1"], ["name='seed.order=1'"]),
])  # fmt: skip
def test_what_is_typed_is_read_as_the_setting(typed: list[str], stored: list[str]) -> None:
    assert quote_arguments(typed) == stored


def test_a_sweep_of_orders_keeps_to_them_when_it_resumes(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["seed_order=0,1"], [])
    (tmp_path / "run.json").unlink(missing_ok=True)
    with pytest.raises(SettingError, match=r"^seed\.order: the sweep .* resumes with the settings that it began with"):
        resumed_arguments(quote_arguments([f"resume={tmp_path}", "seed.order=2"]))
    assert "seed_order=0,1" in resumed_arguments(quote_arguments([f"resume={tmp_path}"]))


@pytest.mark.slow
def test_both_seeds_can_be_given_and_seed_stays_a_number(configure: Callable[..., Config]) -> None:
    config = configure("seed=1", "seed_order=2")
    assert (config.seed, config.order_seed, configure("seed=4").order_seed) == (1, 2, 4)
    assert compose_config(["seed=1"]).seed_order is None
    release(failed=False)
