"""`--rounds` chooses whose learning curves are drawn, for a run and for a comparison."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.figures.gallery import compose, shared_rounds
from lt_lightning.report.run import choose_rounds

MakeRun = Callable[..., Path]


def test_without_a_choice_rounds_are_spread_from_the_first_to_the_last() -> None:
    assert choose_rounds(None, range(21)) == [0, 5, 10, 15, 20]
    assert choose_rounds(None, range(3)) == [0, 1, 2]


def test_a_round_that_was_not_trained_is_named() -> None:
    with pytest.raises(SettingError, match=r"^--rounds: there is no round 9; there are rounds 0 to 4$"):
        choose_rounds([0, 9], range(5))
    with pytest.raises(SettingError, match=r"there are no learning curves"):
        choose_rounds([0], [])


def test_a_comparison_draws_the_chosen_rounds_that_all_groups_have(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(5, name="runs/a", settings={"pruning.rewind": "init"})
    make_run(4, name="runs/b", settings={"pruning.rewind": "random"})
    study = gather([tmp_path / "runs"])
    assert shared_rounds(study) == [0, 1, 2, 3]
    (figure,) = [figure for name, figure, *_ in compose(study, [1, 3]) if name == "learning"]
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes[:2]] == ["round 1", "round 3"]


@pytest.mark.slow
def test_the_choice_changes_the_figure_of_a_run(make_run: MakeRun) -> None:
    run = make_run()
    assert main([str(run), "--rounds", "0,4"]) == 0
    chosen = (run / "figures/learning.svg").read_bytes()
    assert main([str(run)]) == 0
    assert (run / "figures/learning.svg").read_bytes() != chosen


@pytest.mark.parametrize(("rounds", "message"), [
    ("1;2", "'1;2' is no list of rounds, such as 0,3,6"),
    ("-1", "'-1' is no list of rounds"),
    ("0,1,2,3,4,5", "6 rounds are more than one figure holds; choose 5"),
])  # fmt: skip
def test_what_is_no_list_of_rounds_is_refused(make_run, capsys, rounds, message):
    with pytest.raises(SystemExit) as stopped:
        main([str(make_run()), f"--rounds={rounds}"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_round_leaves_the_report_that_was_there(make_run, capsys):
    run = make_run()
    assert main([str(run)]) == 0
    before = (run / "report.html").read_bytes()
    assert main([str(run), "--rounds", "7"]) == 2
    assert "--rounds: there is no round 7; there are rounds 0 to 4" in capsys.readouterr().err
    assert (run / "report.html").read_bytes() == before
