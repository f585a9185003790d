"""The report of a run directory, from the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from lt_lightning.errors import SettingError
from lt_lightning.report.__main__ import main
from lt_lightning.report.figures.style import titled_figure
from lt_lightning.report.run import draw_report
from lt_lightning.runs.reading import Run, read_run

MakeRun = Callable[..., Path]
FIGURES = [f"{name}.{kind}" for name in ("accuracy", "layers", "learning") for kind in ("png", "svg")]


@pytest.mark.slow
def test_a_report_is_figures_and_a_page_the_same_if_drawn_again(make_run, capsys):
    run = make_run()
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main([str(run)]) == 0
    page = run / "report.html"
    assert capsys.readouterr() == (f"{page}\n", "")
    assert sorted(path.name for path in (run / "figures").iterdir()) == FIGURES
    assert page.read_text(encoding="utf-8").count("<figure>") == 3
    assert {path.name for path in run.iterdir()} == {*before, "figures", "report.html"}
    assert {name: (run / name).read_bytes() for name in before} == before
    first = page.read_bytes()
    assert draw_report(run).read_bytes() == first


def test_a_run_after_its_first_round_without_curves_has_a_report(make_run: MakeRun) -> None:
    run = make_run(rounds=1)
    (run / "epochs.csv").unlink()
    page = draw_report(run).read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert sorted(path.name for path in (run / "figures").iterdir()) == FIGURES[:4]


def test_a_table_that_is_a_round_ahead_is_read_up_to_the_last_whole_round(make_run: MakeRun) -> None:
    run = make_run()
    rows = (run / "results.csv").read_text().splitlines(keepends=True)
    (run / "results.csv").write_text("".join(rows[:3]))
    read = read_run(run)
    assert [record.round for record in read.records] == [0, 1]
    assert {layer.round for layer in read.layers} == {0, 1}
    assert {epoch.round for epoch in read.epochs} == {0, 1}


def test_what_was_taken_for_what_is_drawn_and_told(make_run: MakeRun) -> None:
    run = make_run(confusion=True)
    page = draw_report(run).read_text(encoding="utf-8")
    assert sorted(path.name for path in (run / "figures").iterdir()) == sorted(
        [*FIGURES, "confusion.png", "confusion.svg"]
    )
    assert page.count("<figure>") == 4
    assert "smallest winning ticket, round 3" in page
    # Of 100 rows of each class 80 are right, and one more of the first class.
    assert '<td class="text">World</td><td>100</td><td>81.00 %</td><td>81.00 %</td>' in page
    assert '<td class="text">Sports</td><td>100</td><td>80.00 %</td><td>80.00 %</td>' in page


def test_where_no_ticket_wins_the_best_is_looked_at(make_run: MakeRun) -> None:
    run = make_run(accuracies=(0.8, 0.5, 0.6), confusion=True)
    assert "best ticket, none wins, round 2" in draw_report(run).read_text(encoding="utf-8")


def damage(run: Path, kind: str) -> str:
    if kind == "no rounds":
        (run / "results.csv").unlink()
        text = (run / "run.json").read_text().replace('"finished": "2026', '"stopped": "2026')
        (run / "run.json").write_text(text)
        return "no rounds yet; wait until"
    if kind == "no results":
        (run / "results.csv").unlink()
        return "results.csv: no such file, but the run has finished; restore it from a copy"
    if kind == "only a header":
        text = (run / "results.csv").read_text()
        (run / "results.csv").write_text(text[: text.index("\n") + 1])
        return "no rounds yet"
    if kind == "no run":
        for path in run.iterdir():
            path.unlink()
        return "no runs in it"
    if kind == "half a row":
        with (run / "results.csv").open("a") as file:
            file.write("5,0.67")
        return "results.csv: line 7: 2 values for 11 columns"
    if kind == "a gap":
        rows = (run / "results.csv").read_text().splitlines(keepends=True)
        (run / "results.csv").write_text("".join(rows[:2] + rows[3:]))
        return "results.csv: line 3: round 2 where round 1 belongs"
    if kind == "no layers":
        (run / "layers.csv").unlink()
        return "layers.csv: no such file"
    if kind == "layers":
        (run / "layers.csv").write_text("round,parameter\n")
        return "layers.csv: line 1: no column alive, total, shape"
    if kind == "epochs":
        (run / "epochs.csv").write_bytes(b"\xff")
        return "epochs.csv: cannot be read as a table"
    texts = {"no json": "{,}", "a list": "[]", "no text": "\udcff"}
    (run / "run.json").write_bytes(texts[kind].encode(errors="surrogateescape"))
    return "run.json: is not a JSON object" if kind == "a list" else "run.json: cannot be read as JSON"


@pytest.mark.parametrize("kind", ["no rounds", "no results", "only a header", "no run", "no json", "a list", "no text"])
def test_what_is_wrong_with_a_run_is_one_line_and_nothing_is_drawn(make_run, capsys, kind):
    run = make_run()
    said = damage(run, kind)
    before = sorted(path.name for path in run.iterdir())
    assert main([str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(str(run))
    assert said in err
    assert "; " in err  # and what to do
    assert err.count("\n") == 1
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize("kind", ["half a row", "a gap", "no layers", "layers", "epochs"])
def test_what_is_sound_of_a_damaged_run_is_drawn_and_the_damage_told(make_run, capsys, kind):
    run = make_run()
    said = damage(run, kind)
    assert main([str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == f"{run / 'report.html'}\n"
    assert err.startswith(str(run))
    assert said in err
    assert "; " in err  # and what to do
    assert err.count("\n") == 1
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>Damaged files</h2>" in page
    assert said in page
    assert page.count("<figure>") == (2 if kind in ("no layers", "layers", "epochs") else 3)


def test_rows_before_a_damaged_one_are_read(make_run: MakeRun) -> None:
    run = make_run(confusion=True)
    for name in ("results", "layers", "epochs", "confusion"):
        text = (run / f"{name}.csv").read_text()
        (run / f"{name}.csv").write_text(text[:-2])
    read = read_run(run)
    assert [damage.partition(": ")[0] for damage in read.damages] == [
        str(run / f"{name}.csv") for name in ("results", "layers", "epochs", "confusion")
    ]
    assert [record.round for record in read.records] == [0, 1, 2, 3]
    assert len(read.layers) == 4 * 3
    assert len(read.epochs) == 4 * 2
    assert {row.round for row in read.confusion} == {0, 1, 2, 3}


def test_a_round_that_lacks_some_of_its_rows_is_not_summed_up(make_run: MakeRun) -> None:
    run = make_run(confusion=True)
    for name, rows in (("layers", 5), ("confusion", 6)):
        lines = (run / f"{name}.csv").read_text().splitlines(keepends=True)
        (run / f"{name}.csv").write_text("".join(lines[: rows + 1]) + "x\n")
    read = read_run(run)
    assert len(read.records) == 5
    assert {layer.round for layer in read.layers} == {0}
    assert {row.round for row in read.confusion} == {0}
    assert "layers.csv: line 7: 1 values for 5 columns" in read.damages[0]


def test_a_folder_of_runs_is_pointed_out(make_run: MakeRun) -> None:
    runs = [make_run(rounds=1, name=name) for name in ("0", "1")]
    with pytest.raises(SettingError, match=r"give one of the 2 runs in it, e\.g\. .*0$"):
        draw_report(runs[0].parent)


def test_a_folder_that_cannot_be_written_to_is_named(make_run: MakeRun) -> None:
    run = make_run(rounds=1)
    (run / "figures").write_text("in the way")
    with pytest.raises(SettingError, match="figures: cannot be written") as caught:
        draw_report(run)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_a_missing_folder_is_one_line_and_help_says_what_to_give(tmp_path, capsys, monkeypatch):
    assert main([str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr() == (
        "",
        f"{tmp_path / 'nothing'}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>\n",
    )
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    usage = "usage: python -m lt_lightning.report [-h] [--version] [-o FOLDER] [--rounds ROUNDS] [--pdf]"
    assert usage in capsys.readouterr().out


def losses(run: Run) -> Figure:
    """Loss on the two parts
    after each round.

    The second paragraph is for programmers.
    """
    figure = titled_figure(8, 4, "Losses", "of a test")
    figure.add_subplot().plot([one.train_loss for one in run.records], [one.valid_loss for one in run.records])
    return figure


@pytest.mark.slow
def test_a_figure_of_ones_own_is_drawn_on_the_page_and_on_paper(make_run: MakeRun) -> None:
    run = make_run()
    assert main([str(run), "--figure", f"{__name__}.losses", "--pdf", "--width", "4"]) == 0
    files = {path.name for path in (run / "figures").iterdir()}
    assert files >= {"losses.png", "losses.svg", "losses.pdf", "accuracy.pdf"}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 4
    assert "Loss on the two parts after each round." in page
    assert "The second paragraph" not in page
    assert b"/MediaBox [ 0 0 288 " in (run / "figures/losses.pdf").read_bytes()  # 4 inches


def no_figure(run: Run) -> str:
    return f"{run.nothing}" if run.folder.name == "broken" else ""


def layers(run: Run) -> Figure:
    return Figure()


@pytest.mark.parametrize(("given", "said"), [
    ([f"{__name__}.no_figure"], f"{__name__}.no_figure returned a str; return a matplotlib.figure.Figure"),
    (["no_such_package.f"], "'no_such_package.f' cannot be imported (ModuleNotFoundError: No module named 'no_"),
    (["math.pi"], "'math.pi' is a float, not a function"),
    ([f"{__name__}.layers"], f"{__name__}.layers would replace another figure layers; rename the function"),
    ([f"{__name__}.losses"] * 2, "would replace another figure losses"),
])  # fmt: skip
def test_a_function_that_draws_no_figure_is_one_line(make_run, capsys, given, said):
    arguments = [word for path in given for word in ("--figure", path)]
    assert main([str(make_run()), *arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert errors.startswith("--figure: ")
    assert said in errors


def test_a_figure_of_ones_own_that_fails_names_the_failure(make_run, capsys):
    run = make_run()
    run = run.rename(run.parent / "broken")
    assert main([str(run), "--figure", f"{__name__}.no_figure"]) == 2
    assert "no_figure failed (AttributeError: 'Run' object has no attribute 'nothing')" in capsys.readouterr().err
