"""A search at the command line: killed, resumed, and its values compared with the tables of its runs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lt_lightning.search.storage import open_storage
from trials.kills import SMALL

optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")

TINY = ("data=files", "data.path=corpus", *SMALL[:-2], "trainer.max_epochs=1", "objective=auc")
VARIED = ("optimizer.lr=tag(log,interval(1e-3,1e-1))", "pruning.amount=choice(0.3,0.6)")
WITHOUT_LR = tuple(one for one in TINY if not one.startswith("optimizer.lr"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lt_lightning.train", *arguments]


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, timeout=400)


def kill_at(folder: Path, number: int, *arguments: str) -> None:
    """Start a search, and kill it and its workers once a trial's first round is on disk."""
    with (
        (folder / "killed.log").open("w") as log,
        subprocess.Popen(command(*arguments), cwd=folder, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        awaited = folder / "sweep" / str(number) / "state" / "round_00.json"
        ends = time.monotonic() + 200
        while not awaited.exists() and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.02)
        assert awaited.exists(), (folder / "killed.log").read_text()
        os.killpg(process.pid, signal.SIGKILL)


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def mean_over_log_density(run: Path) -> float:
    """Return the area under a run's table by NumPy, which shares no line with the objective."""
    import numpy as np

    table = np.genfromtxt(run / "results.csv", delimiter=",", names=True)
    logs = np.log(table["alive"] / table["total"])
    return float(np.trapezoid(table["valid_acc"], logs) / (logs[-1] - logs[0]))


@pytest.mark.slow
def test_a_search_on_two_workers_goes_on_after_a_kill_to_the_best_value_of_the_tables(corpus, tmp_path) -> None:
    pytest.importorskip("joblib", reason="needs the extra [joblib]")
    (tmp_path / "corpus").symlink_to(corpus)
    of_hydra = ("hydra/sweeper=optuna", "hydra/launcher=joblib", "hydra.sweeper.n_jobs=2", "hydra.sweep.dir=sweep")
    # Each round is told and judged, and none is this bad.
    of_hydra += ("hydra.sweeper.pruner=threshold", "+hydra.sweeper.pruner_options.lower=-1")
    kill_at(tmp_path, 5, "-m", *WITHOUT_LR, "pruning.rounds=1", *VARIED, *of_hydra, "hydra.sweeper.n_trials=12")
    before = trials(tmp_path / "sweep")
    assert [one["state"] for one in before] == ["complete"] * 4
    resumed = search(tmp_path, "resume=sweep", "trust=true")
    assert resumed.returncode == 0, resumed.stderr
    found = trials(tmp_path / "sweep")
    assert found[:4] == before
    assert [one["state"] for one in found] == ["complete"] * 12
    assert [one["folder"] for one in found] == [str(number) for number in range(12)]
    assert len({one["optimizer.lr"] for one in found}) == 12
    values = {}
    for one in found:
        run = tmp_path / "sweep" / one["folder"]
        values[one["trial"]] = mean_over_log_density(run)
        assert float(one["value"]) == pytest.approx(values[one["trial"]], abs=1e-12)
        config = json.loads((run / "run.json").read_text())["config"]
        assert config["optimizer"]["lr"] == float(one["optimizer.lr"])
        assert config["pruning"]["amount"] == float(one["pruning.amount"])
    best = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert best["best_value"] == pytest.approx(max(values.values()), abs=1e-12)
    assert values[str(best["best_trial"])] == max(values.values())
    told = optuna.load_study(study_name="custom", storage=open_storage(str(tmp_path / "sweep/study.journal"))).trials
    assert [(one.last_step, one.intermediate_values[1]) for one in told] == [(1, one.value) for one in told]
    assert f"best trial: {best['best_trial']}, with the highest auc" in resumed.stdout
