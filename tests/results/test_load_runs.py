"""All rounds of many runs, of several corpora, are one table."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.runs import load_runs

MakeRun = Callable[..., Path]


def test_a_row_is_a_run_and_round_with_the_values_of_its_files(
    make_run: MakeRun, tmp_path: Path, description: dict[str, Any]
) -> None:
    make_run(3, name="sweep/10", seed=1, settings={"pruning.rewind": "random"})
    make_run(2, name="sweep/9", seed=2, changes={"corpus": description["corpus"] | {"name": "IMDB"}})
    table = load_runs(tmp_path)
    about = ["run", "corpus", "rewind", "seed", "round"]
    assert table[about].values.tolist() == [
        *(["sweep/9", "IMDB", "init", 2, round_] for round_ in range(2)),
        *(["sweep/10", "AG News", "random", 1, round_] for round_ in range(3)),
    ]
    for name, rows in table.groupby("run"):
        with (tmp_path / str(name) / "results.csv").open(encoding="utf-8") as file:
            own = list(csv.DictReader(file))
        for column in own[0]:
            assert rows[column].tolist() == [float(row[column]) for row in own], column
        assert rows["density"].tolist() == [int(row["alive"]) / int(row["total"]) for row in own]


def test_a_run_that_cannot_be_read_is_left_out_with_a_warning(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(2, name="whole")
    (make_run(2, name="torn") / "run.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*torn.run\.json: cannot be read"):
        assert set(load_runs(tmp_path)["run"]) == {"whole"}


@pytest.mark.parametrize("config", [None, 3, [], {"pruning": {"rewind": ["\ud800"]}}])
def test_a_description_of_any_shape_has_a_row(make_run: MakeRun, tmp_path: Path, config: Any) -> None:
    make_run(1, changes={"config": config, "seed": None, "corpus": "\ud800"})
    load_runs(tmp_path).to_csv().encode()


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no runs in it"):
        load_runs(tmp_path)


def test_pandas_waits_for_a_table() -> None:
    code = "import sys; from lt_lightning.runs import load_runs; import lt_lightning.report.__main__; " + (
        "print({'pandas', 'jinja2', 'matplotlib', 'scipy'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
