"""The figures of a comparison show its means, and can be read in grey and beside wide intervals."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from lt_lightning.report.comparison.comparison import Point, has_collapsed
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.pairing import Difference, Pair, pairs
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.figures.axes import levels_of
from lt_lightning.report.figures.comparison import looks, means_figure, networks_figure, paired_figure, readable_range
from lt_lightning.report.figures.confusion import Panel, confusion_figure
from lt_lightning.report.figures.curves import compared_learning_figure
from lt_lightning.report.figures.gallery import compose, layers_agree, mean_layers
from lt_lightning.report.statistics import Estimate, estimate, scaled
from lt_lightning.runs.metrics import ACCURACY
from lt_lightning.runs.records import LayerRecord

MakeRun = Callable[..., Path]


def points_of(*rounds: Sequence[float], offset: float = 0.0) -> list[Point]:
    return [
        Point(i, 0.5**i, {"test_acc": estimate([value + offset for value in one])}, estimate(one))
        for i, one in enumerate(rounds)
    ]


def per_cent(point: Point) -> Estimate:
    return scaled(point.test, 100)


def draw_accuracy(curves: dict[str, list[Point]], full: float | None = None) -> Figure:
    levels = [] if full is None else levels_of(full / 100, None, ACCURACY)
    return means_figure(curves, per_cent, ("T", "S", "mean test accuracy (%)"), levels)


def lines_of(figure: Figure) -> dict[str, np.ndarray]:
    named = {str(line.get_label()): np.asarray(line.get_xydata()) for line in figure.axes[0].lines}
    return {label: drawn for label, drawn in named.items() if not label.startswith("_")}


ROUNDS = ((0.80, 0.82), (0.81, 0.83), (0.70, 0.71))


def test_a_line_a_group_is_the_mean_over_its_seeds() -> None:
    figure = draw_accuracy({"a": points_of(*ROUNDS), "b": points_of(*ROUNDS, offset=-0.1)}, 81)
    drawn = lines_of(figure)
    np.testing.assert_allclose(drawn["a (n = 2)"], [[100, 81], [50, 82], [25, 70.5]])
    np.testing.assert_allclose(drawn["b (n = 2)"], [[100, 71], [50, 72], [25, 60.5]])
    (full,) = (line for line in figure.axes[0].lines if line.get_gid() == "full")
    assert full.get_linestyle() == "--"
    np.testing.assert_allclose(full.get_ydata(), [81, 81])
    assert [text.get_text() for text in figure.legends[0].texts] == ["a (n = 2)", "b (n = 2)"]
    assert figure.axes[0].get_xscale() == "log"


def test_the_bands_are_the_intervals() -> None:
    figure = draw_accuracy({"a": points_of((0.80, 0.81, 0.82), (0.7, 0.75, 0.77))})
    low, high = (line.get_ydata() for line in figure.axes[0].lines if line.get_gid() == "edge")
    half = 4.302653 * np.std([80, 81, 82], ddof=1) / 3**0.5
    assert (np.asarray(low)[0], np.asarray(high)[0]) == pytest.approx((81 - half, 81 + half))
    assert len(figure.axes[0].collections) == 1


def test_of_one_seed_there_is_no_band_and_of_many_groups_neither() -> None:
    assert len(draw_accuracy({"a": points_of((0.8,), (0.7,))}).axes[0].collections) == 0
    many = {f"group {i}": points_of(*ROUNDS, offset=i / 100) for i in range(12)}
    assert len(draw_accuracy(many).axes[0].collections) == 0


def test_lines_are_not_squeezed_by_a_wide_band() -> None:
    wide = [Estimate(80, 0, 160, 2), Estimate(70, 69, 71, 2)]
    low, high, beyond = readable_range(wide)
    assert beyond
    assert low < 70 < 80 < high
    assert high - low < 30
    assert readable_range([Estimate(80, 79, 81, 2), Estimate(70, 69, 71, 2)]) == pytest.approx((68.4, 81.6, False))
    low, high, beyond = readable_range([Estimate(80, None, None, 1)])
    assert low < 80 < high
    assert not beyond
    assert readable_range([]) == (0.0, 1.0, False)


def test_lines_differ_in_marker_and_dashes_and_never_in_colour_alone() -> None:
    first = list(itertools.islice(looks(), 12))
    assert len({look["marker"] for look in first}) == 12
    assert len({str(look["linestyle"]) for look in first[:5]}) == 5


def luminance(colour: object) -> float:
    rgb = np.asarray(mpl.colors.to_rgb(colour))  # pyright: ignore[reportArgumentType]
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def group(label: str) -> Group:
    return Group(label, {}, ())


def test_a_panel_a_pair_shows_differences_and_intervals() -> None:
    first = Difference(0, 1.0, Estimate(1.5, 0.5, 2.5, 3))
    second = Difference(1, 0.5, Estimate(-2.0, -2.25, -1.75, 3))
    shown = [Pair(f"pair {i}", group("a"), group("b"), (first, second)) for i in range(4)]
    figure = paired_figure(shown, "T", "S", "A")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [f"pair {i}\nn = 3" for i in range(4)]
    zero, line, *_ = panels[0].lines
    np.testing.assert_allclose(zero.get_ydata(), [0, 0])
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [[100, 1.5], [50, -2]])
    (bars,) = panels[0].collections
    ends = [sorted(segment[:, 1]) for segment in bars.get_segments()]  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(ends, [[0.5, 2.5], [-2.25, -1.75]])


def test_learning_curves_are_means_over_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, accuracies in enumerate(((0.8, 0.7), (0.8, 0.6))):
        make_run(name=f"runs/{seed}", seed=seed, accuracies=accuracies)
    study = gather([tmp_path / "runs"])
    epochs = {one.label: [run.epochs for run in one.runs] for one in study.groups}
    figure = compared_learning_figure(epochs, study.curves, [0, 1], "T", "S")
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == [
        "round 0: 100.00 % alive",
        "round 1: 79.96 % alive",
    ]
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[0].get_xydata()), [[1, 40], [2, 80]])
    np.testing.assert_allclose(np.asarray(figure.axes[2].lines[0].get_xydata()), [[1, 0.8], [2, 0.4]])


def test_a_ticket_that_has_collapsed_does_not_squeeze_the_others(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, last in enumerate((0.3, 0.5)):
        for rewind, accuracies in (("init", (0.9, 0.91, last)), ("random", (0.9, 0.87, 0.25))):
            settings = {"pruning.rewind": rewind}
            make_run(name=f"runs/{rewind}{seed}", seed=seed, settings=settings, accuracies=accuracies)
    drawn = {name: (figure, caption) for name, figure, _, caption in compose(gather([tmp_path / "runs"]), [])}
    low, high = drawn["accuracy"][0].axes[0].get_ylim()
    assert 80 < low < 87
    assert 91 < high <= 100
    low, high = drawn["paired"][0].axes[0].get_ylim()
    assert -3 < low < 0
    assert 4 < high < 8  # 91 − 87, and not 40 − 25
    assert all("go on beyond the figure" in drawn[name][1] for name in ("accuracy", "paired"))
    axes = drawn["accuracy"][0].axes[0]
    marked = [np.asarray(line.get_xydata()).tolist() for line in axes.lines if line.get_gid() == "below"]
    (x, y), (_, y_too) = (one for (one,) in marked)
    assert y == y_too == axes.get_ylim()[0]
    assert x == pytest.approx(64, abs=0.5)


def test_a_short_trial_whose_tickets_are_all_bad_shows_them(make_run: MakeRun, tmp_path: Path) -> None:
    for rewind, accuracies in (("init", (0.9, 0.7, 0.6)), ("random", (0.9, 0.65, 0.55))):
        make_run(name=f"runs/{rewind}", settings={"pruning.rewind": rewind}, accuracies=accuracies)
    drawn = {name: figure for name, figure, *_ in compose(gather([tmp_path / "runs"]), [])}
    low, high = drawn["accuracy"].axes[0].get_ylim()
    assert low < 55 < 90 < high
    assert [line for line in drawn["accuracy"].axes[0].lines if line.get_gid() == "below"] == []
    low, high = drawn["paired"].axes[0].get_ylim()
    assert low < 0 < 5 < high


@pytest.mark.parametrize("losses", [(0.2,), (0.2, 0.3), (0.0, 0.5, 0.5), (0.5, 0.0, 0.01, 0.6), (0.3, 0.3, 0.3, 0.6)])
def test_at_least_half_of_the_tickets_stay_in_the_picture(losses: Sequence[float]) -> None:
    points = points_of((0.9,), *([0.9 - loss] for loss in losses))
    collapsed = [has_collapsed(point, points) for point in points[1:]]
    assert sum(collapsed) <= len(losses) / 2
    assert not any(gone for gone, loss in zip(collapsed, losses, strict=True) if loss <= 0.1)


def test_groups_whose_names_begin_alike_are_all_drawn_and_told_apart() -> None:
    labels = [f"{'a long name of a setting ' * 3}{number}" for number in range(3)]
    estimates = {label: Estimate(80.0 + number, None, None, 1) for number, label in enumerate(labels)}
    axes = networks_figure(estimates, ("T", "S", "test accuracy (%)")).axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len({*names}) == 3
    assert all(name.endswith(" (n = 1)") for name in names)
    legend = draw_accuracy({label: points_of(*ROUNDS) for label in labels}).legends[0]
    assert len({text.get_text() for text in legend.texts}) == 3


CONFUSION = {(0, 0): 90, (0, 1): 10, (1, 0): 40, (1, 1): 60}


def test_confusions_are_shares_of_the_true_class_with_their_counts() -> None:
    panels = [Panel("full network\n100 %", CONFUSION), Panel("ticket\n1 %", {(0, 0): 1, (1, 0): 3, (1, 1): 1})]
    figure = confusion_figure(panels, "T", "S", {0: "World", 1: "Sports"})
    full, ticket, points = figure.axes
    (mesh,) = full.collections
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(2, 2), [[90, 10], [40, 60]])
    assert [text.get_text() for text in full.texts] == ["90.0", "90", "10.0", "10", "40.0", "40", "60.0", "60"]
    assert [text.get_text() for text in ticket.texts][:4] == ["100.0", "1", "0.0", "0"]
    assert [label.get_text() for label in full.get_yticklabels()] == ["World", "Sports"]
    np.testing.assert_allclose(points.lines[0].get_xdata(), [90, 60])
    np.testing.assert_allclose(points.lines[1].get_xdata(), [100, 25])
    bottom, top = full.get_ylim()
    assert bottom > top  # the first class on top, as beside it
    assert points.get_ylim() == (bottom, top)


def test_numbers_of_confusions_stand_out_from_their_cells() -> None:
    counts = {(row, taken): 10 * taken + row + 1 for row in range(12) for taken in range(12)}
    counts |= {(row, row): 40 * row for row in range(12)}
    figure = confusion_figure([Panel("T", counts)], "T", "", {i: f"class {i}" for i in range(12)})
    figure.draw_without_rendering()
    (mesh,) = figure.axes[0].collections
    texts = figure.axes[0].texts
    assert len(texts) == 2 * 144
    for cell, text in zip(np.repeat(np.asarray(mesh.get_facecolor()), 2, axis=0), texts, strict=True):
        dark, light = sorted([luminance(tuple(cell)), luminance(text.get_color())])
        assert (light + 0.05) / (dark + 0.05) > 3


def test_many_classes_have_no_numbers_and_few_names() -> None:
    figure = confusion_figure(
        [Panel("T", {(i, i): 1 for i in range(40)})], "T", "", {i: f"class {i}" for i in range(40)}
    )
    assert len(figure.axes[0].texts) == 0
    assert len(figure.axes[0].get_yticklabels()) == 20


def test_names_below_columns_do_not_meet() -> None:
    names = {i: f"a rather long name {i}" for i in range(20)}
    for count in (4, 12, 20):
        shown = dict(list(names.items())[:count])
        figure = confusion_figure([Panel("T", CONFUSION)] * 2, "T", "", shown)
        figure.draw_without_rendering()
        for axes in figure.axes[:2]:
            corners = [label.get_transform().transform((0, 0)) for label in axes.get_xticklabels()]
            assert len(corners) == count
            height = Text.get_window_extent(figure.axes[0].yaxis.label).width  # of a line of words
            steps = np.diff([label.get_window_extent().x1 for label in axes.get_xticklabels()])
            assert np.all(steps > 0.7 * height)


def test_parameters_are_averaged_over_seeds_and_groups_compared(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(3, name=f"runs/{seed}", seed=seed)
    (one,) = gather([tmp_path / "runs"]).groups
    assert mean_layers(one) == list(one.runs[0].layers)
    rows = [LayerRecord(0, "fc", 4000, 5000, (5000,))]
    assert layers_agree([rows, [LayerRecord(0, "fc", 4005, 5000, (5000,))]])
    assert not layers_agree([rows, [LayerRecord(0, "fc", 4006, 5000, (5000,))]])
    assert layers_agree([])


@pytest.mark.slow
def test_the_words_of_a_comparison_fit_into_its_figures(make_run: MakeRun, tmp_path: Path) -> None:
    for lr in range(7):
        for rewind in ("init", "random"):
            settings = {"optimizer.lr": lr / 10, "pruning.rewind": rewind}
            make_run(3, name=f"runs/{lr}{rewind}", settings=settings)
    study = gather([tmp_path / "runs"])
    assert len(pairs(study.groups)) == 7
    drawn = {name: (figure, caption) for name, figure, _, caption in compose(study, [0, 1])}
    assert set(drawn) == {"accuracy", "paired", "validation_loss", "learning", "layers"}
    assert "Of 14 groups, the first 12 are drawn" in drawn["accuracy"][1]
    for figure, _ in drawn.values():
        figure.draw_without_rendering()
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes if axes.get_visible())
