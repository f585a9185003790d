"""Several processes for one run: they leave what one would leave, and nothing of them is left behind."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lt_lightning.config.schema import TrainerConfig
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.experiment.start_run import find_launch
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record
from lt_lightning.runtime.job import Job, Launch
from lt_lightning.runtime.launcher import supervise
from trials.forking import run_train
from trials.kills import outcome, write_corpus

SMALL = [
    "report=false",
    "model.filters=4",
    "embedding.dim=6",
    "optimizer.lr=0.02",
    "model.dropout=0",
    "pruning.rounds=2",
]
ENDLESS = ["trainer=ddp_cpu", "trainer.max_epochs=100000", "name=endless"]
TROUBLE = """
import sys
import pytorch_lightning as pl

class Trouble(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        print("some advice", file=sys.stderr)
        if trainer.global_rank == 1:
            raise OSError("the disk of rank 1 is full")
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=120)


@pytest.fixture
def start(corpus: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `train` as a person would; after the test nothing of it runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*overrides: str, flags: Sequence[str] = ()) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lt_lightning.train", *flags, "data=files", f"data.path={corpus}"]
        command += [*SMALL, *overrides]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        for pid in [process.pid, *workers(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def workers(supervisor: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.M)
            if (
                parent
                and int(parent[1]) == supervisor
                and b"lt_lightning.experiment.worker" in (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
    return sorted(found)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    return False


def wait_for(holds: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (fine := bool(holds())) and time.monotonic() < end:
        time.sleep(0.05)
    return fine


def wait_until_training(process: subprocess.Popen[str], folder: Path) -> list[int]:
    logs = folder / "outputs/endless"
    assert wait_for(lambda: any("registered" in log.read_text() for log in logs.glob("*/train.log")), 60)
    time.sleep(0.5)
    assert len(workers(process.pid)) == 2
    return workers(process.pid)


def without_seconds(run: Path) -> list[Record]:
    return [dataclasses.replace(record, seconds=0.0) for record in read_records(run / "results.csv", Record)]


@pytest.mark.slow
def test_two_processes_leave_one_run_with_one_processs_numbers(start, corpus, configure, tmp_path):
    common = ["trainer.max_epochs=2", "pruning.rewind=random", "scheduler=cosine"]
    process = start("trainer=ddp_cpu", "data.batch_size=16", "name=two", *common)
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert re.findall(r"^round (\d)/2 ", printed, re.M) == ["0", "1", "2"]
    assert printed.count("MultiCNN") == printed.count("report: ") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    (two,) = (tmp_path / "outputs/two").iterdir()
    assert json.loads((two / "run.json").read_text())["processes"] == 2

    (one := tmp_path / "one").mkdir()
    config = configure("data=files", f"data.path={corpus}", "trainer=cpu", "data.batch_size=32", *SMALL, *common)
    run_experiment(config, load_corpus(config.data), one, [])
    records = list(zip(without_seconds(one), without_seconds(two), strict=True))
    assert len(records) == 3
    for record, other in records:
        assert (record.alive, record.test_acc) == (other.alive, other.test_acc)
        for loss in ("train_loss", "valid_loss", "test_loss"):
            assert getattr(record, loss) == pytest.approx(getattr(other, loss), abs=1e-5)


@pytest.mark.slow
def test_one_process_of_a_distributed_strategy_plays_alone_under_torchrun(start, tmp_path, monkeypatch):
    # As torchrun sets them for one process: it would have its own store, which nothing serves here.
    torchrun = {"TORCHELASTIC_RUN_ID": "7", "TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": "1"}
    for name, value in {**torchrun, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    process = start("trainer=ddp_cpu", "trainer.devices=1", "trainer.max_epochs=1", "hydra.run.dir=one")
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert len(without_seconds(tmp_path / "one")) == 3


@pytest.mark.slow
def test_a_sweep_of_several_processes_each_gives_every_job_its_directory(start, tmp_path):
    job = ["trainer=ddp_cpu", "trainer.max_epochs=1", "pruning.rounds=1", "name=swept"]
    process = start(*job, "seed=0,1", flags=["-m"])
    printed, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (0, "")
    assert re.findall(r"^round (\d)/1 ", printed, re.M) == ["0", "1"] * 2
    (sweep,) = (tmp_path / "outputs/swept/sweeps").iterdir()
    jobs = [without_seconds(sweep / job) for job in ("0", "1")]
    assert [len(job) for job in jobs] == [2, 2]
    assert jobs[0] != jobs[1]
    logs = [(sweep / job / "train.log").read_text() for job in ("0", "1")]
    assert all(len(re.findall(r"round \d/1 ", log)) == 2 for log in logs)
    assert not [path for path in tmp_path.rglob("*") if "ddp_hydra" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "number"), [(0, signal.SIGKILL), (1, signal.SIGTERM)])
def test_a_rank_that_is_killed_ends_the_run_with_a_line_that_names_it(start, tmp_path, rank, number):
    process = start(*ENDLESS)
    ranks = wait_until_training(process, tmp_path)
    os.kill(ranks[rank], number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    said = f"error: trainer.devices: rank {rank} of 2 processes was killed by signal {number.value} ({number.name})"
    assert errors.startswith(said)
    assert errors.count("\n") == 1
    assert not any(is_running(pid) for pid in ranks)


@pytest.mark.slow
@pytest.mark.parametrize("starting", [False, True])
def test_a_supervisor_that_is_killed_takes_its_processes_along(start, tmp_path, starting):
    process = start(*ENDLESS)
    if starting:
        assert wait_for(lambda: len(workers(process.pid)) == 2, 60)
    ranks = workers(process.pid) if starting else wait_until_training(process, tmp_path)
    process.kill()
    assert wait_for(lambda: not any(is_running(pid) for pid in ranks), 30)


@pytest.mark.slow
def test_a_run_in_two_processes_that_was_killed_goes_on_to_the_same_bytes(start, tmp_path):
    common = ["trainer=ddp_cpu", "model.dropout=0.5", "trainer.max_epochs=12", "test_on=best", "scheduler=cosine"]
    whole = start(*common, "hydra.run.dir=whole")
    assert (whole.wait(120), whole.communicate()[1]) == (0, "")
    killed = start(*common, "hydra.run.dir=killed")
    assert wait_for(lambda: list((tmp_path / "killed/state").glob("round_01_epoch_*.ckpt")), 60)
    ranks = workers(killed.pid)
    os.kill(ranks[1], signal.SIGKILL)
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == 2
    assert errors.startswith("error: trainer.devices: rank 1 of 2 processes was killed by signal 9 (SIGKILL)")
    assert errors.endswith("; resume with: python -m lt_lightning.train resume=killed\n")
    assert errors.count("\n") == 1
    assert not any(is_running(pid) for pid in ranks)
    resumed = run_train("resume=killed", folder=tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "going on with round 1 after epoch" in resumed.stdout
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_a_rank_that_is_killed_before_they_meet_ends_the_run(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(*ENDLESS)
    assert wait_for(lambda: len(workers(process.pid)) == 2, 60)
    os.kill(workers(process.pid)[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: trainer.devices: rank 1 of 2 processes was killed by signal 9 (SIGKILL)")


@pytest.mark.slow
def test_an_interrupt_from_the_keyboard_is_the_supervisors_affair(start, tmp_path):
    process = start(*ENDLESS)
    ranks = wait_until_training(process, tmp_path)
    for pid in ranks:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.5)
    assert all(is_running(pid) for pid in ranks)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.startswith("stopped by Ctrl-C: resume with: python -m lt_lightning.train resume=outputs/endless/")
    assert errors.count("\n") == 1
    assert not any(is_running(pid) for pid in ranks)


@pytest.mark.slow
def test_a_mistake_that_only_the_processes_find_is_said_once(start, tmp_path):
    process = start("trainer=ddp_cpu", "pruning.exclude=[nosuch]", "name=typo")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: pruning.exclude: ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "outputs/typo").exists()  # a start that fails leaves no folder


@pytest.mark.slow
def test_a_defect_in_one_process_ends_the_run_with_its_traceback(start, tmp_path):
    (tmp_path / "trouble.py").write_text(TROUBLE)
    process = start("trainer=ddp_cpu", "trainer.callbacks=[{_target_: trouble.Trouble}]", "name=broken")
    _, errors = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert len(re.findall(r"^OSError: the disk of rank 1 is full$", errors, re.M)) == 1
    assert errors.splitlines()[-1].endswith("rank 1 of 2 processes: OSError: the disk of rank 1 is full")
    assert errors.count("some advice") == 1
    (log,) = (tmp_path / "outputs/broken").glob("*/train.log")
    assert "output of rank 1:\nsome advice" in log.read_text()


@pytest.mark.slow
def test_what_a_process_says_of_the_settings_is_raised_where_it_was_started(configure, tmp_path):
    config = configure("data=files", r"data.path=/no/such/\${folder}", "trainer=ddp_cpu")
    with pytest.raises(SettingError, match=r"^data\.path: /no/such/\$\{folder\} does not exist"):
        supervise(Job(config, tmp_path), 2)
    assert not workers(os.getpid())


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "processes"), [
    ({}, 0), ({"devices": 2}, 2), ({"devices": "3", "accelerator": "cpu"}, 3),
    ({"devices": 2, "strategy": "ddp_find_unused_parameters_true"}, 2), ({"devices": 1, "strategy": "ddp"}, 1),
    ({"devices": 1, "strategy": "auto"}, 0), ({"devices": "auto", "accelerator": "cpu"}, 0),
    ({"devices": "auto", "accelerator": "cpu", "strategy": "ddp"}, 1),
    ({"devices": 2, "accelerator": "cpu", "strategy": {"_target_": "pytorch_lightning.strategies.DDPStrategy"}}, 2),
])  # fmt: skip
def test_as_many_processes_are_started_as_the_settings_ask_for(configure, settings, processes):
    trainer = dataclasses.replace(configure().trainer, **settings)
    assert find_launch(trainer, {}) == Launch(start=processes)


SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "lottery", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}


@pytest.mark.parametrize(("environ", "launch"), [
    (TORCHRUN, Launch(rank=3, launcher="torchrun")),
    ({**TORCHRUN, **SLURM, "SLURM_PROCID": "1"}, Launch(rank=3, launcher="torchrun")),
    ({**SLURM, "SLURM_PROCID": "2"}, Launch(rank=2, launcher="slurm")),
    ({"LOCAL_RANK": "0"}, Launch(rank=0, launcher="environ")),
    ({"LOCAL_RANK": "1", "NODE_RANK": "1"}, Launch(rank=3, launcher="environ")),
])  # fmt: skip
def test_the_processes_of_a_launcher_start_none_and_know_their_rank(environ: dict[str, str], launch: Launch) -> None:
    assert find_launch(TrainerConfig(devices=2, strategy="ddp", num_nodes=2), environ) == launch


def test_several_machines_need_a_launcher() -> None:
    trainer = TrainerConfig(devices=2, strategy="ddp", num_nodes=2)
    for environ in ({}, {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "bash"}, {"SLURM_NTASKS": "1"}, {"RANK": "1"}):
        with pytest.raises(SettingError, match=r"^trainer\.num_nodes: 2 machines need a launcher; .*torchrun.*srun"):
            find_launch(trainer, environ)


@pytest.mark.parametrize("environ", [
    {"LOCAL_RANK": "1"}, {"RANK": "1"}, {"SLURM_PROCID": "2"}, {"JSM_NAMESPACE_RANK": "1"},
    {**SLURM, "SLURM_PROCID": "3"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}, TORCHRUN,
])  # fmt: skip
def test_a_run_of_one_process_is_alone_whatever_the_environment_says(environ: dict[str, str]) -> None:
    assert find_launch(TrainerConfig(devices=1), environ) == Launch()
    assert find_launch(TrainerConfig(devices="auto", accelerator="cpu", max_epochs=1), environ) == Launch()
    assert find_launch(TrainerConfig(devices=1, strategy="ddp"), environ) == Launch(start=1)
