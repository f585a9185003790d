"""Runs of every task have a report and a comparison in their own words, drawn with their own metric."""

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.comparison import Group, curve, has_collapsed, winning_point
from lt_lightning.report.comparison.grouping import comparable
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.figures.gallery import compose
from lt_lightning.report.figures.run import learning_figure, metric_figure
from lt_lightning.runs.metrics import ACCURACY, BITS, EXACT_MATCH, Baseline, Metric
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import EpochRecord, Record

MakeRun = Callable[..., Path]
N_GRAM = {"name": "order-2 n-gram with back-off", "value": 2.2}
# By bits round 1 is the best and round 3 the smallest winner; by accuracy rounds 2 and 4 would be.
BITS_OF_ROUNDS = (2.0, 1.9, 2.1, 2.0, 2.3)
ACCURACIES = (0.5, 0.4, 0.7, 0.3, 0.6)


@pytest.fixture
def model(make_run: MakeRun) -> Callable[..., Path]:
    def make(bits: Sequence[float] = BITS_OF_ROUNDS, baseline: Any = N_GRAM, **more: Any) -> Path:
        changes = {"task": "language model", "baseline": baseline, **more.pop("changes", {})}
        more.setdefault("accuracies", ACCURACIES[: len(bits)])
        return make_run(perplexities=[2.0**one for one in bits], changes=changes, **more)

    return make


def words_of(page: Path) -> str:
    text = re.sub(r"<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r'src="data:[^"]*"', "", text)))


def test_a_language_models_report_is_about_bits(model: Callable[..., Path]) -> None:
    run = model()
    assert main([str(run)]) == 0
    assert {path.stem for path in (run / "figures").iterdir()} == {"bits_per_character", "layers", "learning"}
    said = words_of(run / "report.html")
    for words in (
        "Full network 2.000 bits per character with all 544 weights",
        "Best ticket 1.900 bits per character in round 1 with 79.96 % of the weights",
        "Smallest winning ticket 51.10 % of the weights, 1.96× smaller: 2.000 bits per character in round 3",
        "whose bits per character on the validation part are at most the full network's",
        "order-2 n-gram with back-off: 2.200 bits",
        "50 letters",
        "test acc test bits",
        "Loss and letters right on the validation part",
    ):
        assert words in said
    assert "accurac" not in said.lower()
    assert "accurac" not in (run / "report.html").read_text(encoding="utf-8").lower()


@pytest.mark.slow
def test_each_task_has_its_words(make_run: MakeRun) -> None:
    tagging = make_run(name="tagging", changes={"task": "tagging"}, confusion=True)
    answers = make_run(name="answers", changes={"task": "sequence to sequence"}, exact=(0.5, 0.6, 0.4, 0.5, 0.1))
    for run, figure in ((tagging, "accuracy"), (answers, "exact_match")):
        assert main([str(run)]) == 0
        assert (run / "figures" / f"{figure}.svg").exists()
    said = words_of(tagging / "report.html")
    for words in (
        "Full network 80.00 % letters right",
        "Share right of each letter",
        "whose letters right on the validation part are at least",
    ):
        assert words in said
    assert "accurac" not in said.lower()
    said = words_of(answers / "report.html")
    assert "Full network 50.00 % exact match with all 544 weights" in said
    assert "84,000 pairs to train on" in said
    assert "accurac" not in said.lower()


def rounds(metric: Metric, *values: float) -> list[Record]:
    alive = [round(5_000_000 * 0.8**i) for i in range(len(values))]
    return [
        Record(
            i, 0.0, alive[i], alive[0], 1, 0.1, value * math.log(2), value, 0.1, 0.5, 1.0,
            test_perplexity=2.0**value if metric is BITS else None, test_exact=value,
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def test_bits_are_drawn_as_they_are_and_shares_in_per_cent() -> None:
    for metric, scale, axis in (
        (BITS, 1, "bits per character (lower is better)"),
        (EXACT_MATCH, 100, "exact match (%)"),
    ):
        values = (0.8, 0.7, 0.9)
        axes = metric_figure(rounds(metric, *values), "", "", metric).axes[0]
        full, line, _ = axes.lines
        np.testing.assert_allclose(np.asarray(line.get_ydata()), [scale * value for value in values])
        np.testing.assert_allclose(np.asarray(full.get_ydata()), [scale * 0.8] * 2)
        assert axes.get_ylabel() == axis


def test_the_ring_is_around_the_smallest_winner_by_bits() -> None:
    axes = metric_figure(rounds(BITS, *BITS_OF_ROUNDS), "", "", BITS).axes[0]
    np.testing.assert_allclose(np.asarray(axes.lines[-1].get_xydata()), [[51.2, 2.0]])
    assert axes.texts[-1].get_text() == "smallest winning ticket\n2.000 bits with 51.20 % alive"


def nothing_meets(figure: Figure) -> None:
    figure.draw_without_rendering()
    (axes,) = figure.axes
    curve_ = next(line for line in axes.lines if line.get_linestyle() == "-")
    corners = axes.transData.transform(np.asarray(curve_.get_xydata()))
    # Points along the curve, so that no segment passes through the words unseen.
    along = np.concatenate([np.linspace(a, b, 50) for a, b in itertools.pairwise(corners)] or [corners])
    boxes = [Text.get_window_extent(text) for text in [*figure.texts, *axes.texts]]
    for position, box in enumerate(boxes):
        assert not any(box.contains(x, y) for x, y in along)
        assert not any(box.overlaps(other) for other in boxes[:position])
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)
        assert figure.bbox.containsy(box.y0)
        assert figure.bbox.containsy(box.y1)


UP, DOWN = [tuple(0.9 + sign * round_ for round_ in range(21)) for sign in (0.001, -0.02)]


@pytest.mark.parametrize("accuracies", [(0.89,), (0.89, 0.9), (0.8, 0.95, 0.81), UP, DOWN])
def test_the_words_of_a_figure_meet_neither_curve_nor_each_other(accuracies: tuple[float, ...]) -> None:
    nothing_meets(metric_figure(rounds(ACCURACY, *accuracies), "A title", "and a line below it"))


@pytest.mark.parametrize("baseline", [1.5, 1.99, 2.0, 2.001, 2.05, 2.3, 4.5])
@pytest.mark.parametrize("bits", [BITS_OF_ROUNDS, (2.0, 2.5), tuple(2 + 0.1 * i for i in range(20)), (2.0, 1.2, 1.1)])
def test_the_words_of_baseline_and_full_network_never_meet(bits: tuple[float, ...], baseline: float) -> None:
    for name in ("order-2 n-gram with back-off", "x" * 99):
        nothing_meets(metric_figure(rounds(BITS, *bits), "A title", "below it", BITS, Baseline(name, baseline)))


def test_the_baseline_is_a_dotted_line_and_not_the_full_networks() -> None:
    axes = metric_figure(rounds(BITS, *BITS_OF_ROUNDS), "", "", BITS, Baseline("n-gram", 2.2)).axes[0]
    found = {line.get_gid(): line for line in axes.lines}
    np.testing.assert_allclose(np.asarray(found["baseline"].get_ydata()), [2.2, 2.2])
    assert [text.get_text() for text in axes.texts][:2] == ["full network\n2.000", "n-gram\n2.200"]


@pytest.mark.slow
def test_means_winners_and_differences_are_of_bits(model: Callable[..., Path], tmp_path: Path) -> None:
    thin, thick = (2.0, 1.8, 2.0, 2.2), (2.0, 2.1, 2.3, 2.9)
    for rewind, bits in (("init", thin), ("random", thick)):
        for seed in (0, 1):
            model(
                [one + 0.01 * seed * (rewind == "init") for one in bits], name=f"runs/{rewind}{seed}", seed=seed,
                settings={"pruning.rewind": rewind},
            )  # fmt: skip
    assert main([str(tmp_path / "runs")]) == 0
    tables = {
        path.stem: list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        for path in (tmp_path / "runs/comparison").iterdir()
    }
    init, random = tables["groups"]
    assert (init["best_round"], init["winner_round"]) == ("1", "2")
    assert float(init["winner_bits"]) == pytest.approx(2.005)
    assert float(init["full_bits"]) == pytest.approx(2.005)
    assert random["winner_round"] == ""
    assert float(tables["rounds"][1]["test_bits"]) == pytest.approx(1.805)
    assert float(tables["runs"][0]["last_bits"]) == pytest.approx(2.2)
    last = tables["paired"][-1]
    assert float(last["difference_bits"]) == pytest.approx(-0.695)
    assert float(last["difference_bits_low"]) < float(last["difference_bits_high"]) < 0
    assert last["verdict"] == "first better"
    assert {path.stem for path in (tmp_path / "runs/figures").iterdir()} == {
        "bits_per_character", "paired", "validation_loss", "learning", "layers",
    }  # fmt: skip
    said = words_of(tmp_path / "runs/report.html")
    for words in (
        "Full network 2.002 mean bits per character, ± 0.032, n = 2",
        "of the weights: 2.005 mean bits per character, n = 2",
        "no ticket wins; the best has 2.100 bits, the full network 2.000 bits",
        "are at most those of the group's full networks",
        "Bits per character of the first minus those of the second, seed by seed, in bits",
        "Below zero the first is better",
        "2.005 ± 0.064",
        "−0.695",
        "The dotted line is the score of a simple model, order-2 n-gram with back-off: 2.200 bits.",
    ):
        assert words in said
    assert "accurac" not in said.lower()


def test_a_baseline_that_differs_is_not_drawn(model: Callable[..., Path], tmp_path: Path) -> None:
    for seed, value in enumerate((2.2, 2.3)):
        model((2.0, 1.9), N_GRAM | {"value": value}, name=f"runs/{seed}", seed=seed)
    _, figure, _, caption = next(iter(compose(gather([tmp_path / "runs"]), [])))
    assert [line.get_gid() for line in figure.axes[0].lines].count("baseline") == 0
    assert "dotted" not in caption


def test_however_many_bits_a_ticket_needs_it_stays_in_the_picture(model: Callable[..., Path]) -> None:
    points = curve(Group("g", {}, (read_run(model((2.0, 2.5, 6.5, 1.0))),)))
    assert [has_collapsed(point, points) for point in points] == [False] * 4
    winner = winning_point(points)
    assert winner is not None
    assert winner.round == 3


def test_runs_of_other_tasks_are_left_out_by_name(make_run, model, tmp_path):
    odd = read_run(model((2.0, 1.9), name="odd"))
    plain = [read_run(make_run(2, name=f"{i}", seed=i)) for i in range(2)]
    said = read_run(make_run(2, name="said", seed=2, changes={"task": "classification"}))
    kept, left_out = comparable([odd, *plain, said])
    assert kept == [*plain, said]
    assert left_out == [
        f"{odd.folder}: task is language model, but classification in {plain[0].folder}; compare runs of the same task"
    ]


@pytest.mark.slow
def test_without_perplexities_a_language_model_has_no_bits_and_still_a_report(make_run, tmp_path):
    for seed in (0, 1):
        make_run(name=f"runs/{seed}", seed=seed, changes={"task": "language model"})
    assert main([str(tmp_path / "runs/0")]) == 0
    assert main([str(tmp_path / "runs")]) == 0
    assert "Full network - bits per character" in words_of(tmp_path / "runs/0/report.html")
    assert math.isnan(BITS.read(read_run(tmp_path / "runs/0").records[0]))
    assert ACCURACY.read(read_run(tmp_path / "runs/0").records[0]) == 0.8


def test_networks_that_were_not_pruned_are_a_line_each_with_their_interval(model, tmp_path):
    bits = {("gru", 0): 2.0, ("gru", 1): 2.2, ("lstm", 0): 1.9, ("lstm", 1): 1.9}
    for (cell, seed), value in bits.items():
        changes = {"config": {"model": {"name": "char_lm", "cell": cell}, "seed": seed}, "seed": seed}
        model(bits=(value,), name=f"{cell}{seed}", changes=changes)
    drawn = {name: figure for name, figure, *_ in compose(gather([tmp_path]), [])}
    assert "validation_loss" not in drawn
    (axes,) = drawn["bits_per_character"].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cell gru (n = 2)", "cell lstm (n = 2)"]
    means = [container.lines[0].get_xdata()[0] for container in axes.containers]  # pyright: ignore
    assert means == pytest.approx([2.1, 1.9])
    (baseline,) = [line for line in axes.lines if line.get_gid() == "baseline"]
    assert list(baseline.get_xdata()) == [2.2, 2.2]


def test_of_many_epochs_every_so_many_have_a_marker(make_run: MakeRun) -> None:
    for epochs, marked in ((10, 10), (100, 20)):
        figure = learning_figure([EpochRecord(0, epoch + 1, 1.0, 1.0, 0.5) for epoch in range(epochs)], "title")
        line = figure.axes[0].lines[0]
        every = line.get_markevery()
        assert isinstance(every, int)
        assert len(np.asarray(line.get_xdata())[::every]) == marked
