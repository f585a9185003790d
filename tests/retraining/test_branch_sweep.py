"""Branches as typed: in a sweep, and of several processes."""

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket
from trials.forking import run_train
from trials.kills import SMALL, outcome

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Run the program in a folder of its own."""
    return partial(run_train, folder=tmp_path)


@pytest.mark.slow
def test_a_sweep_of_controls_runs_and_resumes(train: Train, corpus: Path, tmp_path: Path) -> None:
    common = ("data=files", f"data.path={corpus}", *SMALL[:-2], "trainer.max_epochs=1", "pruning.rounds=2")
    assert train(*common, "name=small", "hydra.run.dir=trunk").returncode == 0
    swept = train("-m", "branch.of=trunk", "branch.rounds=[2]", "pruning.mask=shuffle,random", "hydra.sweep.dir=sweep")
    assert swept.returncode == 0, swept.stderr
    masks = [read_run(tmp_path / "sweep" / job).description.config.pruning.mask for job in "01"]
    assert masks == ["shuffle", "random"]
    whole = {job: outcome(tmp_path / "sweep" / job) for job in "01"}
    shutil.rmtree(tmp_path / "sweep/1")
    resumed = train("resume=sweep")
    assert resumed.returncode == 0, resumed.stderr
    assert "sweep/0: nothing to do, round 2 is done" in resumed.stdout
    assert {job: outcome(tmp_path / "sweep" / job) for job in "01"} == whole
    one = train("branch.of=trunk", "pruning.mask=shuffle", "branch.rounds=[2]")
    assert one.returncode == 0, one.stderr
    (made,) = (tmp_path / "outputs/small").iterdir()  # the trunk's name
    assert outcome(made) == whole["0"]
    (tmp_path / "trunk").rename(tmp_path / "moved")
    gone = train("resume=sweep", "trust=true")
    assert gone.returncode == 0, gone.stderr


@pytest.mark.slow
def test_two_processes_have_their_trunks_numbers(train: Train, corpus: Path, tmp_path: Path) -> None:
    two = ("trainer=ddp_cpu", "trainer.devices=2", "trainer.max_epochs=1", "pruning.rounds=1")
    small = [one for one in SMALL[:-2] if not one.startswith("trainer=")]
    made = train("data=files", f"data.path={corpus}", *small, *two, "hydra.run.dir=trunk")
    assert made.returncode == 0, made.stderr
    branch = train("branch.of=trunk", "hydra.run.dir=branch")
    assert branch.returncode == 0, branch.stderr
    # The files differ in the name of the file that they refer to.
    tickets = [RoundTicket.load(tmp_path / run / "tickets/round_01.safetensors") for run in ("trunk", "branch")]
    assert tickets[0].weights.keys() == tickets[1].weights.keys()
    assert all(torch.equal(value, tickets[1].weights[name]) for name, value in tickets[0].weights.items())
    assert tickets[0].mask == tickets[1].mask
