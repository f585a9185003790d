"""What comes of wrong inputs: one line that names what is wrong, exit code 2, and a page that says so."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
from document import COMMAND, PAGE, kinds, page
from observing import Case, Outcome, observe, report, train

from lt_lightning.storage.atomic import write_whole

CASES = {(kind.title, case.wrong): case for kind in kinds() for case in kind.cases}
KEYS = [pytest.param(key, id=f"{key[0]}: {key[1]}"[:90]) for key in CASES]

Watch = Callable[[tuple[str, str]], tuple[Case, Outcome, Path]]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """Makes a case and says what came of it; each once, whichever of several test processes made it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "outcomes"
    shared.mkdir(exist_ok=True)

    def watch(key: tuple[str, str]) -> tuple[Case, Outcome, Path]:
        known = shared / f"{list(CASES).index(key)}.pickle"
        if not known.exists():
            folder = tmp_path_factory.mktemp("case").resolve()
            write_whole(known, pickle.dumps((observe(CASES[key], folder), folder)))
        outcome, folder = pickle.loads(known.read_bytes())
        return CASES[key], outcome, folder

    return watch


def test_there_are_many_cases_and_none_twice() -> None:
    assert len(CASES) == sum(len(kind.cases) for kind in kinds()) >= 75
    assert [kind.place for kind in kinds()] == list(range(1, len(kinds()) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_input_is_one_line_that_names_it_and_nothing_is_lost(watch: Watch, key: tuple[str, str]) -> None:
    case, outcome, folder = watch(key)
    assert not outcome.trace, outcome.trace
    text = "\n".join(outcome.lines)
    assert outcome.code == (0 if case.accepted else 2), text
    assert [word for word in case.names if word not in text] == [], text
    assert "Traceback" not in text
    assert str(folder) not in text + outcome.says
    assert outcome.changed == ()
    strange = [path for path in outcome.left if not any(fnmatch(path, pattern) for pattern in case.leaves)]
    assert strange == []
    if case.accepted:
        assert all(line.startswith("WARNING: ") for line in outcome.lines), text
        return
    assert len(outcome.lines) == 1, text
    if case.program is train:
        assert text.startswith("error: ")
        assert bool(outcome.log) == ("Traceback" in outcome.log) == bool(outcome.left)
    if case.program is report:
        assert not text.startswith("usage:")


@pytest.mark.slow
def test_the_page_says_what_the_program_says_now(watch: Watch) -> None:
    now = page({key: watch(key)[1] for key in CASES})
    assert PAGE.read_text(encoding="utf-8") == now, f"run `{COMMAND}` to write {PAGE.name} anew"
