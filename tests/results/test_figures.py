"""The figures show the values of the records, and are the same every time."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lt_lightning.report.figures.run import layers_figure, learning_figure, metric_figure
from lt_lightning.report.figures.style import save_figure
from lt_lightning.runs.records import EpochRecord, LayerRecord, Record


def rounds(*accuracies: float, amount: float = 0.2, total: int = 5_121_704) -> list[Record]:
    alive = [round(total * (1 - amount) ** round_) for round_ in range(len(accuracies))]
    return [
        Record(round_, 1 - alive[round_] / total, alive[round_], total, 10, 0.1, 0.2, accuracy, 0.3, accuracy, 1.0)
        for round_, accuracy in enumerate(accuracies)
    ]


def points(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata())


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]]


def xticks(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    axes = figure.axes[0]
    right, left = sorted(axes.get_xlim())
    return [tick.label1.get_text() for tick in axes.xaxis.get_major_ticks() if right <= tick.get_loc() <= left]


def test_accuracy_is_drawn_against_density_in_per_cent() -> None:
    full, curve, ring = metric_figure(rounds(0.8, 0.9, 0.7, 0.8, 0.6), "").axes[0].lines
    np.testing.assert_allclose(points(curve)[:, 0], [100, 80, 64, 51.2, 40.96], rtol=1e-6)
    np.testing.assert_allclose(points(curve)[:, 1], [80, 90, 70, 80, 60])
    assert full.get_linestyle() == "--"
    np.testing.assert_allclose(full.get_ydata(), [80, 80])
    np.testing.assert_allclose(points(ring), [[51.2, 80]], rtol=1e-6)


def test_the_full_network_and_the_smallest_winning_ticket_are_named() -> None:
    words = texts(metric_figure(rounds(0.8, 0.9, 0.7, 0.8, 0.6), "Accuracy", "AG News · seed 1"))
    assert words == [
        "Accuracy", "AG News · seed 1", "full network\n80.00 %",
        "smallest winning ticket\n80.00 % with 51.20 % alive",
    ]  # fmt: skip


def test_no_ticket_is_marked_where_none_wins() -> None:
    figure = metric_figure(rounds(0.8, 0.7, 0.6), "")
    assert len(figure.axes[0].lines) == 2
    assert not any("winning" in text for text in texts(figure))


@pytest.mark.parametrize(("count", "ticks"), [
    (1, ["100", "90"]), (3, ["100", "90", "80", "70", "60"]), (9, ["100", "70", "50", "30", "20", "15"]),
    (21, ["100", "50", "20", "10", "5", "2", "1"]),
    (41, ["100", "50", "20", "10", "5", "2", "1", "0.5", "0.2", "0.1", "0.05", "0.02"]),
])  # fmt: skip
def test_density_falls_to_the_right_on_a_log_axis_with_readable_ticks(count: int, ticks: list[str]) -> None:
    figure = metric_figure(rounds(*[0.9] * count), "")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    left, right = axes.get_xlim()
    assert left > 100 > right
    assert xticks(figure) == ticks


def test_rounds_without_numbers_are_left_out() -> None:
    records = [*rounds(float("nan"), 0.5), Record(2, 1.0, 0, 5_121_704, 1, 0.1, 0.1, 0.5, 0.1, 0.5, 1.0)]
    figure = metric_figure(records, "")
    figure.draw_without_rendering()
    (curve,) = figure.axes[0].lines
    assert points(curve)[:, 0] == pytest.approx([100, 80])


def layers(count: int, amount: Callable[[str], float] = lambda _: 0.2) -> list[LayerRecord]:
    sizes = {"embedding.weight": 50_000, "fc.weight": 400, "fc.bias": 4}
    return [
        LayerRecord(round_, name, round(size * (1 - amount(name)) ** round_), size, (size,))
        for round_ in range(count)
        for name, size in sizes.items()
    ]


def test_the_heat_map_has_a_row_a_parameter_and_a_column_a_round() -> None:
    rows = layers(3)
    axes = layers_figure(rows, "").axes[0]
    (mesh,) = axes.collections
    values = np.asarray(mesh.get_array()).reshape(3, 3)
    np.testing.assert_allclose(values, [[100, 80, 64], [100, 80, 64], [100, 75, 75]])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["embedding.weight", "fc.weight", "fc.bias"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "2"]
    assert [text.get_text() for text in axes.texts][:9] == ["100", "80", "64", "100", "80", "64", "100", "75", "75"]
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first parameter on top


def test_the_heat_map_names_the_sizes() -> None:
    (entries,) = layers_figure(layers(2), "").axes[0].child_axes
    assert [tick.get_text() for tick in entries.get_yticklabels()] == ["50,000", "400", "4"]


def test_darker_is_denser_also_in_grey() -> None:
    figure = layers_figure(layers(21), "")
    figure.draw_without_rendering()
    (mesh,) = figure.axes[0].collections
    colours = np.asarray(mesh.get_facecolor())[:21, :3]  # the embedding's row, from dense to sparse
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > 0)


def test_numbers_stand_out_from_their_cells() -> None:
    figure = layers_figure(layers(21), "")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (mesh,) = axes.collections

    def luminance(colour: object) -> float:
        rgb = np.asarray(mpl.colors.to_rgb(colour))  # pyright: ignore[reportArgumentType]
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    for cell, text in zip(np.asarray(mesh.get_facecolor()), axes.texts, strict=False):
        dark, light = sorted([luminance(tuple(cell)), luminance(text.get_color())])
        assert (light + 0.05) / (dark + 0.05) > 3


def test_a_parameter_with_nothing_alive_is_a_zero() -> None:
    figure = layers_figure([LayerRecord(0, "a", 5, 5, (5,)), LayerRecord(1, "a", 0, 5, (5,))], "")
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts][:2] == ["100", "0"]


def test_of_many_rounds_some_are_shown_the_first_and_the_last_among_them() -> None:
    axes = layers_figure(layers(100, lambda _: 0.01), "").axes[0]
    shown = [int(tick.get_text()) for tick in axes.get_xticklabels()]
    assert (shown[0], shown[-1], len(shown)) == (0, 99, 24)
    assert shown == sorted(set(shown))


def epochs(count: int, each: int = 3) -> list[EpochRecord]:
    return [
        EpochRecord(round_, epoch, 0.1, 1 / (epoch + round_), 0.5 + 0.01 * epoch - 0.001 * round_)
        for round_ in range(count)
        for epoch in range(1, each + 1)
    ]


@pytest.mark.parametrize(("count", "shown"), [(1, [0]), (3, [0, 1, 2]), (21, [0, 5, 10, 15, 20])])
def test_learning_curves_of_the_first_some_middle_and_the_last_round(count: int, shown: list[int]) -> None:
    rows = epochs(count)
    figure = learning_figure(rows, "")
    losses, accuracies = figure.axes
    assert [line.get_label() for line in losses.lines] == [f"round {round_}" for round_ in shown]
    assert [text.get_text() for text in figure.legends[0].texts] == [f"round {round_}" for round_ in shown]
    for round_, loss, accuracy in zip(shown, losses.lines, accuracies.lines, strict=True):
        np.testing.assert_allclose(points(loss), [(epoch, 1 / (epoch + round_)) for epoch in (1, 2, 3)])
        np.testing.assert_allclose(
            points(accuracy), [(epoch, 50 + epoch - 0.1 * round_) for epoch in (1, 2, 3)], rtol=1e-9
        )


def test_learning_curves_differ_without_colour_too() -> None:
    lines = learning_figure(epochs(21), "").axes[0].lines
    assert len({line.get_marker() for line in lines}) == len(lines)


def test_axes_are_labelled_with_units() -> None:
    figures = (metric_figure(rounds(0.9, 0.8), ""), learning_figure(epochs(2), ""))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for figure in figures for axes in figure.axes]
    assert labels == [
        ("weights alive (%), log scale", "test accuracy (%)"),
        ("epoch of the round", "validation loss"),
        ("epoch of the round", "validation accuracy (%)"),
    ]


def every_figure(title: str = "T") -> Sequence[Figure]:
    return (
        metric_figure(rounds(0.9, 0.91, 0.8), title, title),
        layers_figure(layers(3), title, title),
        learning_figure(epochs(3), title, title),
    )


@pytest.mark.slow
def test_figures_are_the_same_byte_for_byte_and_point_nowhere(tmp_path: Path) -> None:
    for figure, again in zip(every_figure(), every_figure(), strict=True):
        png, svg = save_figure(figure, tmp_path / "a.b")
        assert (png.name, svg.name) == ("a.b.png", "a.b.svg")
        first = svg.read_bytes()
        assert first == save_figure(again, tmp_path / "c")[1].read_bytes()
        links = re.findall(r'(?:href|src|resource)="(?!#)[^"]*"', first.decode())
        assert links == []
        assert b"<metadata" not in first
        assert ET.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"
        assert png.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.png", "a.b.svg", "c.png", "c.svg"]


def test_pngs_have_200_dots_an_inch(tmp_path: Path) -> None:
    figure = every_figure()[0]
    png, _ = save_figure(figure, tmp_path / "figure")
    header = png.read_bytes()[16:24]
    width, height = figure.get_size_inches()
    assert int.from_bytes(header[:4], "big") == pytest.approx(200 * width, abs=1)
    assert int.from_bytes(header[4:], "big") == pytest.approx(200 * height, abs=1)


@pytest.mark.parametrize("title", ["$x^", "a_b<&>\"'--", "뉴스", "bell\a\0", "x" * 1000, r"\frac{$1$}"])
def test_names_of_any_kind_can_be_drawn(tmp_path: Path, title: str) -> None:
    _, svg = save_figure(metric_figure(rounds(0.9, 0.8), title, title), tmp_path / "figure")
    ET.fromstring(svg.read_bytes())


@pytest.mark.slow
def test_drawing_leaves_matplotlib_as_it_was_and_needs_no_pyplot(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figure(every_figure()[0], tmp_path / "figure")
    assert dict(mpl.rcParams) == before
    code = "import sys, lt_lightning.report.run; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
