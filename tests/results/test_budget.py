"""The budget of a run, its optimizer steps a round, stands beside every figure and table."""

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lt_lightning.report.__main__ import main
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record

MakeRun = Callable[..., Path]

ALT = re.compile(r'<img[^>]* alt="([^"]*)"')


def test_a_round_records_the_optimizer_steps_that_it_trained(play_small: Callable[..., Path], tmp_path: Path) -> None:
    settings = (
        "pruning.rounds=1",
        "trainer.max_epochs=3",
        "trainer.accumulate_grad_batches=2",
        "scheduler=linear_warmup",
    )
    run = play_small(tmp_path / "run", *settings)
    said = json.loads((run / "run.json").read_text())
    batches = math.ceil(said["corpus"]["rows"]["train"] / said["config"]["data"]["batch_size"])
    assert batches > 1
    steps = [record.steps for record in read_records(run / "results.csv", Record)]
    assert steps == [3 * math.ceil(batches / 2)] * 2


def test_the_page_of_a_run_has_its_steps_beside_each_figure(make_run: MakeRun) -> None:
    run = make_run(3, steps=(1200, 75, 80))
    assert main([str(run)]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    pictures = ALT.findall(page)
    assert len(pictures) >= 3
    assert all("seed 7 · 75 to 1,200 steps a round" in one for one in pictures)
    assert page.count("75 to 1,200 steps a round") > len(pictures)  # in its head and among its facts, too


@pytest.mark.slow
def test_a_comparison_has_the_steps_beside_each_figure_and_in_its_rounds(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        for rewind in ("init", "random"):
            make_run(
                3, name=f"study/{rewind}_{seed}", seed=seed, settings={"pruning.rewind": rewind}, confusion=True,
                steps=(50, 60 + seed, 70),
            )  # fmt: skip
    study = tmp_path / "study"
    assert main([str(study), "--latex"]) == 0
    page = (study / "report.html").read_text(encoding="utf-8")
    pictures = ALT.findall(page)
    assert len(pictures) >= 4
    assert all("50 to 70 steps a round" in one for one in pictures)
    with (study / "comparison" / "rounds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["steps"]) for row in rows] == [50, 60.5, 70] * 2
    assert "& 60.5 &" in (study / "comparison" / "rounds.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [1, 2])
def test_runs_that_have_not_recorded_their_steps_name_none(make_run: MakeRun, tmp_path: Path, number: int) -> None:
    for seed in range(number):
        make_run(2, name=f"study/{seed}", seed=seed)
    study = tmp_path / "study"
    assert main([str(study if number > 1 else study / "0")]) == 0
    page = (study / ("" if number > 1 else "0") / "report.html").read_text(encoding="utf-8")
    assert "steps a round" not in page
