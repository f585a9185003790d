"""Figures for a paper's column, tables as LaTeX, and all runs as one table."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.figures.gallery import compose
from lt_lightning.report.figures.style import on_paper
from lt_lightning.report.latex import latex_table
from lt_lightning.runs.records import Record, columns, optional_columns

MakeRun = Callable[..., Path]


@pytest.fixture
def study(make_run: MakeRun, tmp_path: Path, description: dict[str, Any]) -> Path:
    for rewind in ("init", "random"):
        for seed in (0, 1):
            make_run(name=f"s/{rewind}{seed}", seed=seed, settings={"pruning.rewind": rewind}, confusion=True)
    make_run(2, name="s/other", changes={"corpus": description["corpus"] | {"name": "IMDB"}})
    return tmp_path / "s"


@pytest.mark.slow
@pytest.mark.parametrize("width", [3.0, 3.3, 6.9])
def test_type_on_paper_is_legible_and_lies_within_the_figure(study: Path, width: float) -> None:
    with on_paper(width):
        for name, figure, *_ in compose(gather([study]), range(4)):
            figure.draw_without_rendering()
            assert figure.get_figwidth() == width, name
            texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
            assert min(text.get_fontsize() for text in texts if text.get_visible()) >= 6, name
            box = figure.get_tightbbox()
            assert box.x0 >= -0.02 and box.x1 <= width + 0.02, name


@pytest.mark.slow
def test_a_comparison_writes_pdf_and_latex_and_all_runs(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(study), "--pdf", "--width", "3.3", "--latex"]) == 2  # one run is of other data, which is said
    assert "IMDB" in capsys.readouterr().err
    for path in (study / "figures").glob("*.svg"):
        drawn = path.with_suffix(".pdf").read_bytes()
        assert b"/Type3" not in drawn
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", drawn)
        assert box and float(box[1]) == pytest.approx(72 * 3.3)
    text = (study / "comparison" / "groups.tex").read_text(encoding="utf-8")
    assert r"rewind init & 2 & 0 1 & 80.00 $\pm$ 0.00 \%" in text
    with (study / "rounds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 5 + 2
    assert {row["corpus"] for row in rows} == {"AG News", "IMDB"}
    assert {*columns(Record), *optional_columns(Record)} < set(rows[0])
    assert len((study / "runs.csv").read_text(encoding="utf-8").splitlines()) == 1 + 5


@pytest.mark.slow
def test_a_run_writes_pdf_and_latex(make_run: MakeRun) -> None:
    run = make_run(3)
    assert main([str(run), "--pdf", "--latex"]) == 0
    assert {path.stem for path in (run / "figures").glob("*.pdf")} == {
        path.stem for path in (run / "figures").glob("*.svg")
    }
    assert r"80.00 \%" in (run / "rounds.tex").read_text(encoding="utf-8")


def test_latex_escapes_whatever_names_hold() -> None:
    text = latex_table(["a_b"], [[r"50 % of $x^2$ & \input{~} #1 − …"]])
    assert r"50 \% of \$x\textasciicircum 2\$ \& \textbackslash input\{\textasciitilde \} \#1 $-$ \dots{} \\" in text


@pytest.mark.parametrize("given", [["--width", "3.3"], ["--pdf", "--width", "1"], ["--pdf", "--width", "nan"]])
def test_widths_that_fit_no_paper_are_refused(make_run, given, capsys):
    run = make_run(1)
    with pytest.raises(SystemExit, match="2"):
        main([str(run), *given])
    assert "--width" in capsys.readouterr().err
    assert not (run / "figures").exists()
