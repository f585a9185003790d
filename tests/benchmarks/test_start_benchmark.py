"""`benchmarks.start`, run small: whole processes, with the exit codes that they must come to."""

import json
from pathlib import Path

import pytest

from benchmarks.start import FIRST_STEP, complete, main, parse, run, sum_imports
from lt_lightning.errors import SettingError


@pytest.mark.slow
def test_commands_are_timed_until_they_answer_and_a_run_until_its_first_step(tmp_path, capsys):
    names = ["a rejected value", FIRST_STEP]
    tiny = ["--settings", "+experiment=hihello", "trainer=cpu"]
    main(["--times", "2", "--only", *names, *tiny, "--json", str(tmp_path / "start.json")])
    kept = json.loads((tmp_path / "start.json").read_text())
    assert {name: len(numbers) for name, numbers in kept["seconds"].items()} == dict.fromkeys(names, 2)
    assert kept["imports"][FIRST_STEP]["torch"] > 0
    assert "| a rejected value" in capsys.readouterr().out


def test_a_command_that_ends_otherwise_than_it_must_is_no_measurement(tmp_path: Path) -> None:
    python, *_ = complete("import torch", [], tmp_path)[0]
    assert run(([python, "-c", "raise SystemExit(2)"], 2)) > 0
    with pytest.raises(SettingError, match="exit code 3, not 0: oh"):
        run(([python, "-c", "import sys; print('oh', file=sys.stderr); sys.exit(3)"], 0))


def test_imports_are_summed_by_package() -> None:
    lines = "import time: self [us] | cumulative | imported package\nimport time:       100 |        900 | a.b\n"
    assert sum_imports(lines + "import time:        50 |       1000 | a\nimport time:  7 | 7 |   c\nerror: no\n") == {
        "a": 0.00015,
        "c": 0.000007,
    }


def test_options_out_of_range_are_refused_here_too() -> None:
    with pytest.raises(SettingError, match="--times: 1 is too small; give at least 2"):
        parse(["--times", "1"])
