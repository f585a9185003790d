"""Runs and tickets of version 0.4 are read, compared, exported and resumed: those in `tests/runs_of_0_4`."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from lt_lightning.evaluate.__main__ import main as evaluate
from lt_lightning.export.__main__ import main as export
from lt_lightning.report.__main__ import main as report
from lt_lightning.runs.reading import read_run
from lt_lightning.tickets import Ticket
from trials.forking import run_train

KEPT = Path(__file__).parents[1] / "runs_of_0_4"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_records_and_description_of_0_4_read_as_they_were_written(kept: Path) -> None:
    run = read_run(kept / "init_0")
    rows = table(KEPT / "init_0" / "results.csv")
    assert [one.test_acc for one in run.records] == [float(row["test_acc"]) for row in rows]
    assert [one.alive for one in run.records] == [443, 221, 111]
    assert not run.damages


@pytest.mark.slow
def test_a_report_and_a_comparison_are_drawn_of_runs_of_0_4(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("init_0", "init_1")
    described = json.loads(Path("init_1/run.json").read_text(encoding="utf-8"))
    described["seed"] = described["config"]["seed"] = 1
    Path("init_1/run.json").write_text(json.dumps(described), encoding="utf-8")
    assert report(["init_0"]) == 0
    assert "small_0.4" in Path("init_0/report.html").read_text(encoding="utf-8")
    report(["init_0", "init_1", "-o", "both"])
    assert "93.3" in Path("both/report.html").read_text(encoding="utf-8")


def test_export_packs_the_ticket_that_0_4_packed(kept: Path) -> None:
    assert export(["init_0", "--round", "2", "-o", "now.safetensors"]) == 0
    texts = ["the fish was in the deep river", "a loaf of warm bread", "every hour one tick"]
    then, now = (Ticket.load(file).logits(texts) for file in ("packed.safetensors", "now.safetensors"))
    assert now.tolist() == then.tolist()


@pytest.mark.slow
def test_a_packed_ticket_of_0_4_is_evaluated(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["packed.safetensors", "data=files", "data.path=corpus"]) == 0
    assert "84.44 %" in capsys.readouterr().out  # as results.csv has it for round 2


@pytest.mark.slow
def test_a_run_of_0_4_goes_on_and_keeps_its_rounds(kept: Path) -> None:
    earlier = table(kept / "init_0/results.csv")
    alive = [int(row["alive"]) for row in table(kept / "init_0/layers.csv") if row["round"] == "2"]
    ran = run_train("resume=init_0", "pruning.rounds=3", folder=kept)
    assert ran.returncode == 0, ran.stderr
    rows = table(kept / "init_0/results.csv")
    assert [{key: row[key] for key in earlier[0]} for row in rows[:3]] == earlier
    assert int(rows[3]["alive"]) == sum(one - round(0.5 * one) for one in alive)
