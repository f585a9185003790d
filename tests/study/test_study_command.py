"""`python -m lt_lightning.study` plans, runs and judges; kills, launchers and budgets change no number."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lt_lightning.connect.records import Curve, RoundCurves, write_curves
from trials.kills import SMALL

pytestmark = pytest.mark.slow

STUDY = """
question: Is the mask what matters?
densities: [0.5]
seeds: 2
corpora:
  own: {{set: [data=files, {settings}], epochs: 2}}
arms:
  init: {{set: [pruning.rewind=init]}}
  shuffled: {{of: init, set: [{arm}]}}
claims:
  - {{claim: The mask matters., first: init, second: shuffled}}
"""


def start(folder: Path, corpus: Path, *options: str, arm: str = "pruning.mask=shuffle") -> "subprocess.Popen[str]":
    settings = ", ".join(one for one in SMALL if not one.startswith(("report", "trainer.max_epochs", "pruning.rounds")))
    (folder / "small.yaml").write_text(STUDY.format(settings=settings, arm=arm))
    command = [sys.executable, "-m", "lt_lightning.study", "small.yaml", "--data", f"own={corpus}", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def play(folder: Path, corpus: Path, *options: str) -> "tuple[int, str, str]":
    process = start(folder, corpus, *options)
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


def rounds(folder: Path) -> "list[dict[str, str]]":
    rows = csv.DictReader((folder / "outputs/studies/small/rounds.csv").read_text().splitlines())
    return sorted(({key: one for key, one in row.items() if key != "seconds"} for row in rows), key=str)


def test_a_study_that_is_killed_goes_on_under_another_launcher_to_the_same_numbers(corpus, tmp_path):
    pytest.importorskip("joblib", reason="part of the extra joblib")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    stopped.mkdir()
    code, output, errors = play(whole, corpus)
    assert (code, errors) == (0, "")
    assert output.splitlines()[-3] == "The mask matters."

    killed = start(stopped, corpus)
    first = stopped / "outputs/studies/small/own/x1/init/seed_0/results.csv"
    while not first.exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGTERM)
    _, errors = killed.communicate(timeout=300)
    assert (killed.returncode, errors) == (
        143, "stopped by SIGTERM: start the same command again: it goes on with what is missing\n"
    )  # fmt: skip
    code, output, _ = play(stopped, corpus, "--plan")
    assert code == 0
    assert output.splitlines()[-1].split(" runs are missing")[0] in ("3 of 4", "4 of 4")
    code, output, _ = play(stopped, corpus, "--budget", "0.0000001")
    assert (code, output.count("begin job")) == (0, 0)
    assert "runs are left after 1e-07 hours; the same command goes on with them" in output

    code, output, errors = play(stopped, corpus, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert (code, errors) == (0, "")
    assert rounds(stopped) == rounds(whole)
    assert {(row["arm"], row["seed"], row["round"]) for row in rounds(whole)} == {
        (arm, seed, round_) for arm in ("init", "shuffled") for seed in "01" for round_ in "01"
    }
    # What `connect` has measured of a run stands in the table from then on.
    curves = (Curve(("a", "b"), {"test": (0.2, 0.5, 0.4), "train": (0.0, 0.0, 0.0)}),)
    run = stopped / "outputs/studies/small/own/x1/init/seed_1"
    write_curves(run / "connectivity", RoundCurves(1, 5, 10, {"a": "0", "b": "1"}, "test", curves))
    code, again, errors = play(stopped, corpus)
    assert (code, errors, "job" in again) == (0, "", False)
    assert again.splitlines() == output.splitlines()[-3:]
    measured = [row for row in rounds(stopped) if row["instability"]]
    assert [(row["arm"], row["seed"], row["round"]) for row in measured] == [("init", "1", "1")]
    assert float(measured[0]["instability"]) == pytest.approx(0.5 - (0.2 + 0.4) / 2)


def test_runs_that_fail_are_named_and_the_others_are_kept(corpus, tmp_path):
    process = start(tmp_path, corpus, arm="pruning.mask=shuffle, pruning.scope=global")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    for seed in (0, 1):
        place = f"outputs/studies/small/own/x1/shuffled/seed_{seed}"
        assert (
            f"{place}: failed: pruning.scope: a branch prunes nothing, and does not read it; leave it out\n" in output
        )
    assert errors == (
        "2 of the study's runs failed, for the reasons above; correct them, and start the same command again\n"
    )
    assert {(row["arm"], row["seed"]) for row in rounds(tmp_path)} == {("init", "0"), ("init", "1")}
    assert "The mask matters.\n  not judged: needs two seeds of both arms" in output


def test_a_setting_that_is_refused_is_refused_before_anything_runs(corpus, tmp_path):
    process = start(tmp_path, corpus, "optimizer.lr=-1", "--plan")
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (2, "a trial of own failed: optimizer.lr: -1.0 is not above 0\n")
    assert not (tmp_path / "outputs/studies/small/own").exists()
