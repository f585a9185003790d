"""A comparison says what the runs' own tables say, and leaves out by name what it cannot compare."""

import csv
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.comparison import best_point, curve, shown_ticket, winning_point
from lt_lightning.report.comparison.grouping import Group, group_runs
from lt_lightning.report.comparison.pairing import paired, pairs
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.figures.comparison import names_with_seeds
from lt_lightning.runs.reading import read_run

MakeRun = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

ACCURACIES = {
    ("init", 0): (0.80, 0.85, 0.81, 0.70), ("init", 1): (0.82, 0.84, 0.83, 0.72),
    ("init", 2): (0.81, 0.83, 0.79, 0.71), ("random", 0): (0.80, 0.79, 0.70, 0.60),
    ("random", 1): (0.82, 0.80, 0.74, 0.63), ("random", 3): (0.84, 0.83, 0.72, 0.61),
}  # fmt: skip


@pytest.fixture
def study(make_run: MakeRun, tmp_path: Path) -> Path:
    """Two groups of three seeds, two of which both have."""
    for position, ((rewind, seed), accuracies) in enumerate(ACCURACIES.items()):
        make_run(
            name=f"sweep/{position}", seed=seed, settings={"pruning.rewind": rewind}, accuracies=accuracies,
            confusion=True,
        )  # fmt: skip
    return tmp_path / "sweep"


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second or three; what is said does not need it."""
    monkeypatch.setattr("lt_lightning.report.comparison.report.compose", lambda *_: iter(()))


def compared(folder: Path) -> str:
    """Compare the runs of a folder and return the page."""
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


unseen = pytest.mark.usefixtures("no_figures")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def interval(values: list[float], quantile: float) -> tuple[float, float, float]:
    mean = sum(values) / len(values)
    scatter = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = quantile * scatter / math.sqrt(len(values))
    return mean, mean - half, mean + half


@pytest.mark.slow
def test_a_comparison_is_a_page_figures_and_tables_beside_the_runs(study: Path, capsys: Capture) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    assert main([str(study)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{study / 'report.html'}\n"
    assert [line.partition(":")[2].partition(":")[0] for line in err.splitlines()] == [
        " few seeds", " unpaired seeds", " another mask",
    ]  # fmt: skip
    names = ("accuracy", "confusion_1", "confusion_2", "layers", "learning", "paired", "validation_loss")
    assert sorted(path.name for path in (study / "figures").iterdir()) == [
        f"{name}.{kind}" for name in names for kind in ("png", "svg")
    ]
    assert sorted(path.name for path in (study / "comparison").iterdir()) == [
        f"{name}.csv"
        for name in ("against_full", "areas", "classes", "densities", "groups", "paired", "rounds", "runs")
    ]
    made = {study / "report.html", study / "runs.csv", study / "rounds.csv"}
    made |= {*(study / "figures").iterdir(), *(study / "comparison").iterdir()}
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file() and path not in made} == before
    page = (study / "report.html").read_bytes()
    assert page.count(b"<figure>") == 7
    # Drawn again, it is the same.
    assert main([str(study)]) == 0
    assert (study / "report.html").read_bytes() == page


@unseen
def test_means_and_intervals_are_those_of_the_runs_own_tables(study: Path) -> None:
    main([str(study)])
    rounds = rows_of(study / "comparison" / "rounds.csv")
    assert [(row["group"], row["round"]) for row in rounds] == [
        (f"rewind {rewind}", str(round_)) for rewind in ("init", "random") for round_ in range(4)
    ]
    for row in rounds:
        rewind, round_ = row["group"].split()[1], int(row["round"])
        own = [
            rows_of(study / str(position) / "results.csv")[round_]
            for position, (name, _) in enumerate(ACCURACIES)
            if name == rewind
        ]
        assert int(row["n"]) == len(own) == 3
        assert float(row["density"]) == pytest.approx(int(own[0]["alive"]) / int(own[0]["total"]))
        assert float(row["sparsity"]) == pytest.approx(float(own[0]["sparsity"]))
        for measure in ("test_acc", "valid_loss", "valid_acc"):
            expected = interval([float(one[measure]) for one in own], 4.302653)
            got = [float(row[f"{measure}{end}"]) for end in ("", "_low", "_high")]
            assert got == pytest.approx(expected, rel=1e-6)


@unseen
def test_differences_are_paired_by_the_seeds_that_both_have(study: Path) -> None:
    main([str(study)])
    rows = rows_of(study / "comparison" / "paired.csv")
    assert [row["round"] for row in rows] == ["0", "1", "2", "3"]
    for round_, row in enumerate(rows):
        both = [ACCURACIES["init", seed][round_] - ACCURACIES["random", seed][round_] for seed in (0, 1)]
        assert row["pair"] == "rewind init − random"
        assert row["n"] == "2"
        got = [float(row[f"difference_acc{end}"]) for end in ("", "_low", "_high")]
        assert got == pytest.approx(interval(both, 12.7062047), rel=1e-6, abs=1e-9)
    # 10 and 9 points, 9.5 ± 6.35 in the last round; 11 and 9 in the one before, 6 and 4 in round 1. With one degree of
    # freedom t is Cauchy's distribution: t is the mean over half the difference, p is 1 − 2/π arctan t.
    ps = [1 - 2 / math.pi * math.atan(t) for t in (5, 10, 19)]
    assert rows[0]["p"] == ""  # the full networks are the same
    assert [float(row["p"]) for row in rows[1:]] == pytest.approx(ps, rel=1e-5)
    assert [float(row["p_holm"]) for row in rows[1:]] == pytest.approx([2 * ps[1], 2 * ps[1], 3 * ps[2]], rel=1e-5)
    assert [row["verdict"] for row in rows] == [
        "–", "undecided", "undecided", "first better, not after Holm's correction",
    ]  # fmt: skip
    # The page shows the same in points.
    assert "<td>+9.50</td><td>3.15 … 15.85</td>" in (study / "report.html").read_text(encoding="utf-8")


@unseen
def test_groups_runs_and_classes_are_told(study: Path) -> None:
    main([str(study)])
    init, random = rows_of(study / "comparison" / "groups.csv")
    assert (init["seeds"], random["seeds"]) == ("0 1 2", "0 1 3")
    # Means of init: 81, 84, 81 and 71 per cent. A tie wins.
    assert (init["best_round"], init["winner_round"]) == ("1", "2")
    assert float(init["winner_acc"]) == pytest.approx(0.81)
    assert (random["best_round"], random["winner_round"]) == ("1", "")
    runs = rows_of(study / "comparison" / "runs.csv")
    assert [(row["folder"], row["group"], row["seed"], row["rounds"]) for row in runs] == [
        (str(position), f"rewind {rewind}", str(seed), "3") for position, (rewind, seed) in enumerate(ACCURACIES)
    ]
    assert [(float(row["full_acc"]), float(row["last_acc"])) for row in runs] == [
        (one[0], one[-1]) for one in ACCURACIES.values()
    ]
    classes = rows_of(study / "comparison" / "classes.csv")
    assert [row["ticket"] for row in classes] == [
        *["full network"] * 2, *["smallest winning ticket"] * 2, *["full network"] * 2,
        *["best ticket, none wins"] * 2,
    ]  # fmt: skip
    # Of 3 × 100 rows of class World 81 + 83 + 82 are right.
    assert (classes[0]["class"], classes[0]["rows"]) == ("World", "300")
    assert float(classes[0]["accuracy"]) == pytest.approx(246 / 300)


@unseen
def test_the_page_says_what_is_compared(study: Path) -> None:
    page = compared(study)
    for said in (
        "<h1>lt_agnews</h1>",
        "AG News, multi_cnn. What differs: pruning.rewind (init, random).",
        "6 runs in 2 groups · 3 seeds a group",
        "not corrected for looking at many; verdicts are",
        "corrected for the 3 tests of this table",
        "on its 7,600 rows an accuracy of 81.00 % has a standard error of 0.45 points",
        "few seeds: every group has 3, fewer than 5",
        "whose mean validation accuracy",
        "reported by test accuracy",
        "<td>81.00 ± 2.48 %</td>",
        "no ticket wins; the best has 80.67 %, the full network 82.00 %",
    ):
        assert said in page
    assert "Left out" not in page
    assert "<script" not in page


@unseen
def test_groups_of_several_numbers_of_seeds_are_counted(make_run: MakeRun, tmp_path: Path) -> None:
    for lr, seed in ((0.1, 0), (0.1, 1), (0.2, 0)):
        make_run(1, name=f"runs/{lr} {seed}", seed=seed, settings={"optimizer.lr": lr})
    page = compared(tmp_path / "runs")
    assert "3 runs in 2 groups · 1 to 2 seeds a group" in page
    # Other learning rates train other full networks: there is no tile for all of them.
    assert "<dt>Full network</dt>" not in page


@unseen
def test_more_classes_than_can_be_drawn_are_said(make_run, description, tmp_path):
    classes = {"class_names": [f"class {i}" for i in range(41)]}
    make_run(2, name="runs/0", changes={"corpus": description["corpus"] | classes}, confusion=True)
    for given in ("runs", "runs/0"):
        main([str(tmp_path / given)])
        assert "41 classes, more than 40, make no picture." in (tmp_path / given / "report.html").read_text("utf-8")
        assert not (tmp_path / given / "figures" / "confusion.svg").exists()


def test_groups_that_meet_at_the_full_networks_alone_have_no_picture_of_differences(make_run, tmp_path):
    make_run(2, name="runs/0")
    run = make_run(2, name="runs/1", settings={"pruning.amount": 0.5})
    text = (run / "results.csv").read_text().replace(",435,", ",272,")
    (run / "results.csv").write_text(text)
    assert main([str(tmp_path / "runs")]) == 0
    assert not (tmp_path / "runs" / "figures" / "paired.svg").exists()
    assert [row["round"] for row in rows_of(tmp_path / "runs" / "comparison" / "paired.csv")] == ["0"]


def test_rounds_meet_at_equal_density_whatever_their_numbers(make_run: MakeRun) -> None:
    thin, thick = (read_run(make_run(name=name, accuracies=(0.8, 0.7, 0.6, 0.5))) for name in ("thin", "thick"))
    every_other = [thin.records[0], *thin.records[2::2]]
    halved = [record.__class__(**{**record.__dict__, "round": i}) for i, record in enumerate(every_other)]
    short = thin.__class__(thin.folder, thin.description, tuple(halved), (), (), ())
    one, other = Group("one", {}, (short,)), Group("other", {}, (thick,))
    differences = paired(one, other)
    assert [round(difference.density, 2) for difference in differences] == [1.0, 0.64]
    assert [difference.value.mean for difference in differences] == [0, 0]
    assert all(difference.value.low is None for difference in differences)


def pair_labels(make_run: MakeRun, *settings: dict[str, Any]) -> list[str]:
    runs = [read_run(make_run(2, name=str(i), settings=values)) for i, values in enumerate(settings)]
    return [pair.label for pair in pairs(group_runs(runs)[0])]


def test_rewinds_are_held_against_the_control_and_against_init(make_run: MakeRun) -> None:
    rewinds = [{"pruning.rewind": rewind} for rewind in ("random", "epoch:1", "last", "init", "none")]
    assert pair_labels(make_run, *rewinds) == [
        "rewind init − random", "rewind epoch:1 − random", "rewind last − random", "rewind none − random",
        "rewind epoch:1 − init", "rewind last − init",
    ]  # fmt: skip


def test_pairs_differ_in_the_rewind_alone(make_run: MakeRun) -> None:
    settings = [{"optimizer.lr": lr, "pruning.rewind": rewind} for lr in (0.1, 0.2) for rewind in ("init", "random")]
    assert pair_labels(make_run, *settings) == ["rewind init − random, lr 0.1", "rewind init − random, lr 0.2"]


def test_without_rewinds_every_group_is_held_against_the_first(make_run: MakeRun) -> None:
    assert pair_labels(make_run, *({"optimizer.lr": lr} for lr in (0.3, 0.1, 0.2))) == [
        "lr 0.2 − lr 0.1",
        "lr 0.3 − lr 0.1",
    ]


def test_a_round_that_some_seeds_lack_is_no_ticket(make_run: MakeRun) -> None:
    runs = [read_run(make_run(name=str(seed), seed=seed, accuracies=one)) for seed, one in enumerate([
        (0.8, 0.7, 0.9), (0.8, 0.7),
    ])]  # fmt: skip
    points = curve(Group("g", {}, tuple(runs)))
    assert [point.test.n for point in points] == [2, 2, 1]
    assert winning_point(points) is None
    best = best_point(points)
    assert best is not None
    assert best.round == 1
    assert shown_ticket(points[:1]) is None


@unseen
def test_one_run_and_one_seed_are_compared_too(make_run: MakeRun, tmp_path: Path, capsys: Capture) -> None:
    make_run(1, name="folder/run")
    page = compared(tmp_path / "folder")
    assert "1 run in 1 group · seed 7" in page
    assert rows_of(tmp_path / "folder" / "comparison" / "paired.csv") == []
    assert rows_of(tmp_path / "folder" / "comparison" / "rounds.csv")[0]["test_acc_low"] == ""


@unseen
def test_several_arguments_go_where_output_says_or_below_outputs(make_run, tmp_path, capsys, monkeypatch):
    runs = [str(make_run(1, name=name, seed=seed)) for seed, name in enumerate(("a", "b"))]
    assert main([*runs, "-o", str(tmp_path / "new" / "place")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'new' / 'place' / 'report.html'}\n"
    monkeypatch.chdir(tmp_path)
    assert main([*runs, runs[0]]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.parts[:2] == ("outputs", "comparisons")
    assert page.is_file()


def test_a_run_is_no_place_for_a_comparison(make_run: MakeRun, capsys: Capture) -> None:
    runs = [str(make_run(1, name=name, seed=seed)) for seed, name in enumerate(("a", "b"))]
    assert main([*runs, "--output", runs[0]]) == 2
    assert "is a run directory; give another --output" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([runs[0], "--output", runs[1]])
    file = Path(runs[0], "results.csv")
    assert main([*runs, "--output", str(file)]) == 2
    assert capsys.readouterr().err.endswith("results.csv: is a file; give --output a folder\n")
    assert main([f"{runs[0]}x", "--output", runs[1]]) == 2
    assert "no such folder" in capsys.readouterr().err


@unseen
def test_a_run_whose_description_is_gone_is_named(make_run: MakeRun, tmp_path: Path, capsys: Capture) -> None:
    for seed in (0, 1):
        make_run(2, name=f"runs/{seed}", seed=seed)
    (tmp_path / "runs/1/run.json").unlink()
    assert main([str(tmp_path / "runs")]) == 2
    assert "run.json: no such file, but the run's tables are there" in capsys.readouterr().err


@unseen
def test_how_many_seeds_got_so_far_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, rounds in enumerate((3, 3, 1)):
        changes = {"finished": None} if rounds == 1 else {}
        make_run(rounds, name=f"runs/{seed}", seed=seed, changes=changes, confusion=True)
    page = compared(tmp_path / "runs")
    assert "3 runs in 1 group · seeds 0, 1, 2 · 1 not finished" in page
    assert "no round of pruning has all seeds yet" in page
    study = gather([tmp_path / "runs"])
    assert names_with_seeds(study.curves) == ["all runs (n = 2 to 3)"]


@pytest.mark.slow
def test_figures_of_an_earlier_comparison_go(make_run: MakeRun, tmp_path: Path) -> None:
    for rewind in ("init", "random"):
        make_run(2, name=f"runs/{rewind}", settings={"pruning.rewind": rewind}, confusion=True)
    assert main([str(tmp_path / "runs")]) == 0
    kept = tmp_path / "runs/figures/mine.png"
    kept.touch()
    shutil.rmtree(tmp_path / "runs/random")
    assert main([str(tmp_path / "runs")]) == 0
    left = {path.stem for path in (tmp_path / "runs/figures").iterdir()}
    assert left == {"accuracy", "validation_loss", "learning", "layers", "confusion", "mine"}


@unseen
@pytest.mark.parametrize(
    ("changes", "shown"), [({}, "package-0 0.0, package-1 1.0"), ({"package-29": "30.0"}, "differs</dd>")]
)
def test_facts_are_shown_if_they_are_equal_to_their_end(make_run, tmp_path, changes, shown):
    many = {f"package-{number}": f"{number}.0" for number in range(30)}
    for number, versions in enumerate((many, dict(reversed((many | changes).items())))):
        make_run(2, name=f"runs/{number}", seed=number, changes={"versions": versions})
    assert main([str(tmp_path / "runs")]) == 0
    assert f"<dt>Versions</dt><dd>{shown}" in (tmp_path / "runs/report.html").read_text(encoding="utf-8")


@unseen
def test_a_fact_that_only_some_runs_have_is_shown(make_run: MakeRun, tmp_path: Path) -> None:
    for number, changes in enumerate(({}, {"resumed": [{"at": "2026-11-22T10:00:00+00:00"}]})):
        make_run(2, name=f"runs/{number}", seed=number, changes=changes)
    page = compared(tmp_path / "runs")
    assert "<dt>Resumed</dt><dd>–; 2026-11-22 10:00 UTC</dd>" in page


def spoil(study: Path, kind: str, description: dict[str, Any]) -> str:
    run = study / "1"
    if kind == "no results":
        (run / "results.csv").unlink()
        return "results.csv: no such file, but the run has finished"
    if kind == "no json":
        (run / "run.json").write_text("{,}")
        return "run.json: cannot be read as JSON"
    if kind == "other data":
        text = (run / "run.json").read_text(encoding="utf-8").replace('"AG News"', '"IMDB"')
        (run / "run.json").write_text(text, encoding="utf-8")
        return f"corpus.name is IMDB, but AG News in {study / '0'}"
    if kind == "seed again":
        text = (run / "run.json").read_text(encoding="utf-8").replace('"seed": 1', '"seed": 2')
        (run / "run.json").write_text(text, encoding="utf-8")
        return f"seed 2 again, as in {study / '2'}"
    name, line, rest = kind.split(":")
    lines = (run / f"{name}.csv").read_text().splitlines(keepends=True)
    (run / f"{name}.csv").write_text("".join(lines[: int(line) - 1]) + rest)
    return f"{name}.csv: line {line}: "


@unseen
@pytest.mark.parametrize("kind", [
    "no results", "no json", "other data", "seed again", "results:2:0,x\n", "results:4:2,0.3", "layers:5:1,fc",
    "epochs:3:0,2,a,b,c\n", "confusion:6:1,0,0,-1\n",
])  # fmt: skip
def test_what_is_left_out_is_named_once_and_the_rest_is_drawn(study, description, capsys, kind):
    said = spoil(study, kind, description)
    assert main([str(study)]) == 2
    out, err = capsys.readouterr()
    assert out == f"{study / 'report.html'}\n"
    assert sum(not line.startswith("note: ") for line in err.splitlines()) == 1
    assert err.startswith(str(study / "1"))
    assert said in err
    assert "; " in err
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "<h2>Left out</h2>" in page
    assert said in page
    whole_run = kind in ("no results", "no json", "other data", "seed again", "results:2:0,x\n")
    runs = rows_of(study / "comparison" / "runs.csv")
    assert len(runs) == (5 if whole_run else 6)
    if kind == "results:4:2,0.3":
        assert next(row["rounds"] for row in runs if row["folder"] == "1") == "1"


@unseen
def test_where_nothing_is_left_it_is_one_line_and_nothing_is_written(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"{tmp_path / 'empty'}: no runs in it, however deep; give run directories, or a folder that holds some\n"
    )
    assert list((tmp_path / "empty").iterdir()) == []


@unseen
@pytest.mark.parametrize("value", [None, -1.5, [[], {}], "\ud800"])
def test_descriptions_of_any_shape_are_compared(make_run: MakeRun, description: dict[str, Any], value: Any) -> None:
    for name in ("a", "b"):
        run = make_run(2, name=f"odd/{name}", changes=dict.fromkeys(description, value), confusion=True)
    make_run(2, name="odd/c", changes=dict.fromkeys(description, value) | {"config": {"x": value}, "seed": 1})
    assert main([str(run.parent)]) == 2  # one seed comes twice
    assert "80.00" in (run.parent / "report.html").read_text(encoding="utf-8")
