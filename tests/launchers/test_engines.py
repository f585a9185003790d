"""Engines without their clusters: resources that no node has, stops while jobs are submitted, and full disks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from test_launcher_settings import engine

from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.launchers.job import JobError, SweepJob, WorkerTask, _sendable, run_here
from lt_lightning.launchers.loky import LokyEngine
from lt_lightning.launchers.ray import RayEngine
from lt_lightning.launchers.submitit_job import RequeuedTask
from lt_lightning.launchers.submitit_slurm import SlurmEngine
from lt_lightning.launchers.surroundings import Surroundings
from lt_lightning.runtime import signals
from lt_lightning.runtime.cluster import describe_standstill

RAY = "hydra.launcher.ray"
_NO_MORE = "and no node of the Ray cluster has"


@pytest.mark.parametrize(("settings", "line"), [
    (["remote.num_gpus=1"], f"remote.num_gpus: a job asks for 1 GPU, {_NO_MORE} more than 0"),
    (["remote.num_cpus=8"], f"remote.num_cpus: a job asks for 8 CPU, {_NO_MORE} more than 4"),
    (["remote.num_cpus=3", "+remote.resources={tpu: 1}"],
     f"remote.resources.tpu: a job asks for 3 CPU, 1 tpu, {_NO_MORE} all of these"),
    (["remote.num_cpus=4"], None),
])  # fmt: skip
def test_ray_refuses_what_no_node_has_but_only_warns_of_a_cluster_that_may_grow(
    settings: list[str], line: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray = pytest.importorskip("ray", reason="part of the extra ray")
    alive = [{"CPU": 4.0}, {"CPU": 2.0, "tpu": 1.0}]
    nodes = [{"Alive": True, "Resources": one} for one in alive] + [{"Alive": False, "Resources": {"GPU": 8.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    here = engine(RayEngine, "hydra/launcher=ray", *(one.replace("remote", f"{RAY}.remote", 1) for one in settings))
    if line is None:
        here._check_resources()
        return
    with pytest.raises(SettingError) as raised:
        here._check_resources()
    assert str(raised.value) == f"{RAY}.{line}; ask for less"
    here._is_here = False
    here._check_resources()
    assert caplog.messages == [f"{RAY}.{line}; jobs wait until the cluster has such a node"]


def test_ray_begins_a_cluster_of_its_own_unless_an_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="part of the extra ray")
    asked: list[str] = []
    monkeypatch.setattr(ray, "init", lambda *, address, **_: asked.append(address))
    settings = [], [f"{RAY}.init.address=auto"]
    engines = [engine(RayEngine, "hydra/launcher=ray", *one) for one in settings]
    for one in engines:
        one._connect()
    assert (asked, [one._is_here for one in engines]) == (["local", "auto"], [True, False])


def test_the_setting_behind_a_wish_for_cores_or_gpus_is_named() -> None:
    by_trainer = engine(RayEngine, "hydra/launcher=ray", "trainer=gpu")
    assert [by_trainer._name_setting(one) for one in ("num_cpus", "num_gpus", "resources.tpu")] == [
        "hydra.launcher.threads", "trainer.devices", f"{RAY}.remote.resources.tpu"
    ]  # fmt: skip


@pytest.fixture
def listening() -> Iterator[None]:
    """Handle SIGTERM as a command does."""
    before = {one: signal.getsignal(one) for one in signals.SIGNALS}
    signal.signal(signal.SIGTERM, signals._interrupt)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


SBATCH = """#!/bin/sh
kill -TERM $PPID; kill -TERM $$  # as Ctrl-C in a terminal: to both
echo Submitted batch job 4711
"""


@pytest.mark.usefixtures("listening")
def test_jobs_that_slurm_has_are_cancelled_when_a_signal_comes_before_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    for name, script in (("sbatch", SBATCH), ("srun", "#!/bin/sh\n"), ("scancel", '#!/bin/sh\necho "$@" >cancelled\n')):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    slurm = engine(SlurmEngine, "hydra/launcher=slurm")
    with pytest.raises(signals.Interruption, match="stopped by SIGTERM"):
        list(slurm.run([a_job(tmp_path), a_job(tmp_path, number=1)]))
    assert Path("cancelled").read_text().split() == ["4711_0", "4711_1"]


def a_job(folder: Path, number: int = 0) -> SweepJob:
    """A job whose configuration is its overrides alone."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.create({"hydra": {"overrides": {"task": ["seed=1"]}}})
    context: Any = None
    return SweepJob(number, folder / str(number), config, context, ("os", "getcwd"), "train")


def test_an_error_outside_of_a_jobs_task_is_that_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "log"))
    said = f"{tmp_path / 'log'}: cannot be written (No space left on device); free some disk space or check permissions"

    def fail(**arguments: object) -> None:
        raise full

    monkeypatch.setattr("hydra.core.utils.run_job", fail)
    job = a_job(tmp_path)
    result = _sendable(run_here(job, print))
    assert (type(result._return_value), str(result._return_value)) == (ResumableError, said)
    assert result.overrides == ["seed=1"]

    sent: Future[Any] = Future()
    sent.set_exception(full)
    assert str(engine(LokyEngine, "hydra/launcher=joblib")._result(job, sent)._return_value) == said
    sent = Future()
    sent.set_exception(KeyError("a defect"))
    broken = engine(LokyEngine, "hydra/launcher=joblib")._result(job, sent)
    assert type(broken._return_value) is JobError and str(broken._return_value).endswith("KeyError: 'a defect'")
    assert _sendable(broken)._return_value is broken._return_value


def test_a_lifeline_leaves_no_folder_when_its_owner_ends(tmp_path: Path) -> None:
    program = "from lt_lightning.runtime.lifeline import Lifeline; print(Lifeline().address)"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert Path(ran.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_a_job_that_its_time_limit_stops_before_an_epoch_ends_is_not_requeued_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "0"
    assert [describe_standstill(run) for _ in range(2)] == [None, None]
    (run / "state" / "round_00_epoch_001_a.ckpt").touch()
    assert [describe_standstill(run) for _ in range(2)] == [None, None]  # an epoch more: counted anew
    (run / "state" / "round_00.json").touch()
    assert [describe_standstill(tmp_path) for _ in range(2)] == [None, None]  # a sweep: its runs count
    fault = "it reached its time limit 3 times without finishing an epoch"
    assert describe_standstill(tmp_path) == fault
    assert [describe_standstill(tmp_path) for _ in range(3)] == [None, None, fault]  # started again by hand

    monkeypatch.setattr("lt_lightning.launchers.submitit_job._requeued", False)
    task = RequeuedTask(WorkerTask(Surroundings(str(tmp_path), (), {})), a_job(Path()))
    pytest.importorskip("submitit", reason="part of the extra submitit")
    assert [task.checkpoint().function for _ in range(2)] == [task, task]
    with pytest.raises(ResumableError) as raised:
        task.checkpoint()
    assert str(raised.value) == (
        f"hydra.launcher.timeout_min: the job is not requeued, as {fault}; raise the limit above the duration of an "
        "epoch"
    )
    preempted = replace(task, limit=3600.0)
    assert [preempted.checkpoint().function for _ in range(4)] == [preempted] * 4


def test_a_requeued_job_leaves_no_result_also_if_it_swallows_the_request_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    monkeypatch.setattr("lt_lightning.launchers.submitit_job._requeued", False)
    task: Any = RequeuedTask(WorkerTask(Surroundings(str(tmp_path), (), {})), a_job(Path()))
    result = JobReturn()
    assert replace(task, task=lambda job: result)() is result
    task.checkpoint()
    with pytest.raises(SystemExit):
        replace(task, task=lambda job: result)()
