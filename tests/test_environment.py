"""Launchers and clusters around a run: they change neither who writes nor what a round starts from."""

import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import OnExceptionCheckpoint
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.config.schema import TrainerConfig
from lt_lightning.errors import SettingError
from lt_lightning.experiment.trainer import find_environment, make_trainer
from lt_lightning.models import Learner
from lt_lightning.runtime.job import Launch
from trials.kills import outcome

SLURM = {
    "SLURM_NTASKS": "1", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
    "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "1",
}  # fmt: skip

Play = Callable[..., Path]


@pytest.fixture(scope="module")
def play(play_small: Play) -> Play:
    return partial(play_small, epochs=2)


@pytest.fixture(scope="module")
def plain(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def surround(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets variables, and the rank that Lightning found among them when it was imported."""
    before = rank_zero_only.rank  # pyright: ignore[reportFunctionMemberAccess]

    def surround(rank: int = 0, **environ: str) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        rank_zero_only.rank = rank  # pyright: ignore[reportFunctionMemberAccess]

    yield surround
    rank_zero_only.rank = before  # pyright: ignore[reportFunctionMemberAccess]


@pytest.mark.slow
@pytest.mark.parametrize("environ", [
    {"LOCAL_RANK": "1"},
    {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"},
    {**SLURM, "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"},
])  # fmt: skip
def test_one_process_leaves_all_records_under_a_launchers_variables(play, plain, tmp_path, surround, environ, capsys):
    surround(rank=1, **environ)
    run = play(tmp_path / "run")
    assert outcome(run) == outcome(plain)
    assert (run / "run.json").exists()
    assert "report: " in capsys.readouterr().out


@pytest.fixture(scope="module")
def foreign(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("foreign")
    steps = 0
    original = Learner.training_step

    def stop(self: Learner, batch: Any, batch_idx: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if self.trainer.current_epoch == 1:
            raise KeyError("enough")
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "training_step", stop)
        with pytest.raises(KeyError, match="enough"):
            play(run, "seed=9")
    (path,) = (run / "state").glob("round_00_epoch_001_*.ckpt")
    return path


@pytest.mark.slow
def test_no_round_loads_a_checkpoint_of_a_requeued_slurm_job(play, plain, foreign, tmp_path, surround):
    surround(**SLURM)
    (tmp_path / "run").mkdir()
    shutil.copy(foreign, tmp_path / "run/hpc_ckpt_1.ckpt")
    assert SLURMEnvironment.detect()  # Lightning would load it
    assert outcome(play(tmp_path / "run")) == outcome(plain)


@pytest.mark.slow
def test_no_round_loads_what_another_callback_saved_on_an_error(play, plain, foreign, tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    shutil.copy(foreign, saved / "on_exception.ckpt")
    target = f"{OnExceptionCheckpoint.__module__}.{OnExceptionCheckpoint.__qualname__}"
    callbacks = f"trainer.callbacks=[{{_target_: {target}, dirpath: '{saved}'}}]"
    run = play(tmp_path / "run", callbacks, "trainer.enable_checkpointing=true")
    assert outcome(run)["results.csv"] == outcome(plain)["results.csv"]


def test_lightning_requeues_no_slurm_job(play, tmp_path, surround, monkeypatch):
    surround(**SLURM)
    handlers: set[Any] = set()
    original = Learner.training_step

    def step(self: Learner, batch: Any, batch_idx: int) -> torch.Tensor:
        handlers.add(signal.getsignal(signal.SIGUSR1))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Learner, "training_step", step)
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        play(tmp_path / "run", "pruning.rounds=0")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handlers == {signal.SIG_DFL}


def test_an_environment_of_the_users_is_kept_but_requeues_nothing(tmp_path, surround):
    surround(**SLURM)
    given = {"_target_": f"{SLURMEnvironment.__module__}.SLURMEnvironment"}
    config = TrainerConfig(accelerator="cpu", devices=1, max_epochs=1, logger=False, plugins=[given])
    trainer = make_trainer(config, [], tmp_path)
    environment = trainer._accelerator_connector.cluster_environment
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue


def test_a_launcher_of_several_processes_has_its_environment(surround: Callable[..., None]) -> None:
    surround(**{**SLURM, "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "1"})
    slurm = find_environment(Launch(rank=1, launcher="slurm"))
    assert isinstance(slurm, SLURMEnvironment)
    assert (slurm.global_rank(), slurm.auto_requeue) == (1, False)
    assert isinstance(find_environment(Launch(launcher="environ")), LightningEnvironment)
    assert isinstance(find_environment(Launch(launcher="torchrun")), TorchElasticEnvironment)
    alone = find_environment(Launch())
    assert (alone.world_size(), alone.global_rank()) == (1, 0)


def test_tasks_that_lightning_cannot_count_are_an_error_in_one_line(monkeypatch, surround):
    surround(SLURM_NTASKS="4")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    with pytest.raises(SettingError, match=r"^trainer: .*--ntasks-per-node=4"):
        find_environment(Launch(launcher="slurm"))
