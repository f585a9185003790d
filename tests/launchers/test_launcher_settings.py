"""Check the settings of launchers: defaults of a job, and refusals in one line before anything is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from lt_lightning.config.folder import config_folder
from lt_lightning.config.launchers import LAUNCHERS, check_launcher
from lt_lightning.config.schema import register_schema
from lt_lightning.errors import InUseError, SettingError
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.launchers.job import EngineSetup, JobError, _sendable
from lt_lightning.launchers.ray import RayEngine
from lt_lightning.launchers.submitit_slurm import SlurmEngine, _outside_allocation
from lt_lightning.launchers.surroundings import Surroundings, count_cores, simultaneous
from lt_lightning.runtime.lifeline import Lifeline


def composed(*overrides: str) -> Any:
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("config", [*overrides, "hydra.sweep.dir=sweep"], return_hydra_config=True)


def engine(kind: Callable[[EngineSetup], Any], *overrides: str) -> Any:
    from omegaconf import OmegaConf

    config = composed(*overrides)
    settings: Any = OmegaConf.to_object(config.hydra.launcher)
    return kind(EngineSetup(settings, Path("sweep"), print, config, print))


@pytest.mark.parametrize(("threads", "overrides", "expected"), [
    ("2", [], {"cpus_per_task": 2, "gpus_per_node": None, "time": 240}),
    (None, [], {"cpus_per_task": min(4, count_cores())}),
    (None, ["hydra.launcher.threads=3", "data.num_workers=2"], {"cpus_per_task": 5}),
    ("1", ["trainer=gpu", "trainer.devices=2"], {"cpus_per_task": 1, "gpus_per_node": 2}),
    ("1", ["trainer=gpu", "trainer.devices=[0]", "hydra.launcher.mem_gb=1.5"], {"gpus_per_node": 1, "mem": "1536MB"}),
    ("1", ["trainer=gpu", "hydra.launcher.gres=gpu:1"], {"gpus_per_node": None, "gres": "gpu:1"}),
    ("1", ["+hydra.launcher.additional_parameters.reservation=mine"],
     {"additional_parameters": {"requeue": True, "reservation": "mine"}}),
])  # fmt: skip
def test_slurm_is_asked_for_what_a_job_uses(
    threads: str | None, overrides: Sequence[str], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    asked = engine(SlurmEngine, "hydra/launcher=slurm", *overrides)._parameters()
    assert {key: asked.get(key) for key in expected} == expected


def test_submitit_takes_all_parameters_and_slurm_reads_them_in_a_batch_script() -> None:
    slurm = pytest.importorskip("submitit.slurm.slurm", reason="part of the extra submitit")
    settings = ["partition=long", "setup=[module load x]", "nodes=2", "tasks_per_node=2", "account=me", "name=mine"]
    asked = engine(SlurmEngine, "hydra/launcher=slurm", *(f"hydra.launcher.{one}" for one in settings))._parameters()
    script = slurm._make_sbatch_string(command="run", folder=Path("logs"), **asked)  # SLURM itself is asked elsewhere
    for line in (
        "partition=long",
        "nodes=2",
        "ntasks-per-node=2",
        "account=me",
        "job-name=mine",
        "requeue",
        "time=240",
    ):
        assert f"#SBATCH --{line}\n" in script
    assert "\nmodule load x\n" in script
    assert "--signal=USR2@120" in script


def test_a_task_of_ray_reserves_its_threads_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    asked = engine(RayEngine, "hydra/launcher=ray", "trainer=gpu", "hydra.launcher.ray.remote.num_gpus=0.5")
    assert asked._of_each_job() == {
        "num_cpus": 2, "num_gpus": 0.5, "max_retries": 3, "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "2"}}
    }  # fmt: skip


@pytest.mark.parametrize(("overrides", "line"), [
    (["hydra/launcher=x"], "hydra/launcher: there is no 'x'; choose hydra/launcher=… from basic, joblib, ray, slurm, "
     "submitit_local, submitit_slurm, or give the --config-dir that has it"),
    (["hydra/launcher=joblib", "hydra.launcher.njobs=2"],
     "hydra.launcher.njobs: hydra/launcher=joblib does not read it; it reads threads, n_jobs; did you mean n_jobs?"),
    (["hydra/launcher=joblib", "+hydra.launcher.timeout_min=2"],
     "hydra.launcher.timeout_min: hydra/launcher=joblib does not read it; it reads threads, n_jobs; choose "
     "hydra/launcher=submitit_local or submitit_slurm, or leave it out"),
    (["+hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs: hydra/launcher=basic does not read it; it has no settings; "
     "choose hydra/launcher=joblib, or leave it out"),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=two"],
     "hydra.launcher.n_jobs: 'two' is not a whole number; give one, such as 3"),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs: 0 is neither -1 nor 1 to 4096"),
    (["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=0"],
     "hydra.launcher.timeout_min: 0 is too small: it must be at least 1"),
])  # fmt: skip
def test_a_wrong_setting_is_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(SettingError) as raised:
        check_launcher(compose_config(overrides, with_hydra=True).hydra)
    assert str(raised.value) == line


def test_a_missing_package_or_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lt_lightning.config.launchers.find_spec", lambda name: None)
    for one in LAUNCHERS:
        hydra = composed(f"hydra/launcher={one.choice}").hydra
        if one.extra is None:
            check_launcher(hydra)
            continue
        with pytest.raises(SettingError) as raised:
            check_launcher(hydra)
        line = f"hydra/launcher={one.choice}: needs the package {one.extra}; pip install 'lt-lightning[{one.extra}]'"
        assert str(raised.value) == line
    monkeypatch.setattr("lt_lightning.config.launchers.find_spec", lambda name: name)
    monkeypatch.setattr("lt_lightning.config.launchers.which", lambda name: None)
    with pytest.raises(SettingError, match="hydra/launcher=submitit_slurm: there is no sbatch on this machine; start"):
        check_launcher(composed("hydra/launcher=slurm").hydra)


@pytest.mark.slow
def test_a_refused_launcher_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lt_lightning.train", "-m", "seed=0,1", "hydra/launcher=joblib"]
    wrong = [*command, "hydra.launcher.n_jobs=0"]
    ran = subprocess.run(wrong, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (2, "error: hydra.launcher.n_jobs: 0 is neither -1 nor 1 to 4096\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_jobs_that_fail_before_they_begin_leave_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    command = [
        sys.executable,
        "-m",
        "lt_lightning.train",
        "-m",
        "data=files",
        "data.path=nowhere,elsewhere",
        "name=typo",
    ]
    wrong = [*command, "hydra/launcher=joblib", "hydra.launcher.threads=1"]
    ran = subprocess.run(wrong, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("error: data.path: nowhere does not exist")
    assert sorted(line.partition(" failed: ")[2][:15] for line in ran.stdout.splitlines()[1:]) == [
        "data.path: else", "data.path: nowh"
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_variables_of_an_allocation_are_hidden_from_sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "100", "SLURM_CONF": "there", "SBATCH_ACCOUNT": "me"}
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    with _outside_allocation():
        assert {name: os.environ.get(name) for name in inside} == {
            "SLURM_JOB_ID": None, "SLURM_MEM_PER_NODE": None, "SLURM_CONF": "there", "SBATCH_ACCOUNT": "me"
        }  # fmt: skip
    assert {name: os.environ.get(name) for name in inside} == inside


def test_errors_keep_their_kind_or_their_traceback() -> None:
    from hydra.core.utils import JobReturn, JobStatus

    def sent(error: Exception) -> Any:
        result = JobReturn(status=JobStatus.FAILED)
        result.return_value = error
        return _sendable(result)._return_value

    error = InUseError("run: in use")
    assert sent(error) is error
    try:
        raise RuntimeError("a defect")
    except RuntimeError as raised:
        told = sent(raised)
    assert type(told) is JobError
    assert str(told).startswith("Traceback") and str(told).endswith("RuntimeError: a defect")


ENTERED = """
import json, os, pickle, sys
pickle.loads(bytes.fromhex(sys.argv[1])).enter()
print(json.dumps([os.getcwd(), "mine" in sys.path, {name: os.environ.get(name) for name in sys.argv[2:]}]))
"""


def test_a_worker_gets_threads_caches_and_modules_but_not_its_engines_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import pickle

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("mine")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("HF_HOME", "there")
    told = pickle.dumps(Surroundings.of_this_process()).hex()
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HOME", "KEPT"]
    limits = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "KEPT": "yes"}
    ran = subprocess.run(
        [sys.executable, "-c", ENTERED, told, *names], cwd="/", env=limits, capture_output=True, check=True
    )
    expected = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": None, "HF_HOME": "there", "KEPT": "yes"}
    assert json.loads(ran.stdout) == [str(tmp_path), True, expected]
    assert simultaneous(None) == 1
    assert simultaneous(1) == count_cores()


WORKER = """
import signal, sys, time
from lt_lightning.runtime import lifeline
from lt_lightning.runtime.lifeline import hold
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lifeline.PATIENCE_SECONDS = 0.2
hold(sys.argv[1]); hold(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""
OWNER = """
import subprocess, sys, time
from lt_lightning.runtime.lifeline import Lifeline
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], Lifeline().address, "hearing"])
time.sleep(60)
"""


def start_worker(lifeline: Lifeline, kind: str) -> subprocess.Popen[str]:
    """A worker that holds the lifeline."""
    command = [sys.executable, "-c", WORKER, lifeline.address, kind]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None and worker.stdout.readline() == "held\n"
    return worker


def test_workers_end_when_their_lifeline_is_cut() -> None:
    with Lifeline() as lifeline:
        workers = [start_worker(lifeline, "hearing") for _ in range(2)]
    assert not Path(lifeline.address).exists()
    for worker in workers:
        worker.communicate(timeout=30)
        assert worker.returncode == -signal.SIGTERM
    late = [sys.executable, "-c", WORKER, lifeline.address, "hearing"]
    ran = subprocess.run(late, capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, b"")


def test_workers_end_when_the_owner_of_their_lifeline_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, WORKER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"  # the worker's, which has the same stdout
        owner.kill()
        assert owner.stdout.read() == ""  # it is closed when both have ended


def test_a_worker_that_does_not_hear_ends_all_the_same() -> None:
    with Lifeline() as lifeline:
        worker = start_worker(lifeline, "deaf")
    worker.communicate(timeout=30)
    assert worker.returncode == 128 + signal.SIGTERM
