"""Faults are planted where they are said to be, and one that no test sees is reported."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trials.faults import FAULTS, Fault
from trials.planted import misplaced

CHECKOUT = Path(__file__).parents[2]
TESTS = """
from pathlib import Path
from lt_lightning.sums import add, double

def test_add():
    assert add(1, 2) == 3

def test_double():
    assert double(0) == 0

def test_of_this_checkout_alone():
    assert Path(add.__code__.co_filename).is_relative_to(Path(__file__).parents[1])

def test_that_fails():
    assert add(1, 2) == 4
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "lt_lightning").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "lt_lightning/__init__.py").touch()
    (folder / "lt_lightning/sums.py").write_text(
        "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n"
    )
    (folder / "tests/test_sums.py").write_text(TESTS)
    (folder / "pyproject.toml").touch()
    return folder


def plant(checkout: Path, *faults: tuple[str, str, str]) -> tuple[int, str]:
    """Plant faults, each an old text, a new text and a test, in a process of their own."""
    listed = [
        Fault(f"fault {place}", "lt_lightning/sums.py", old, new, (f"tests/test_sums.py::{test}",))
        for place, (old, new, test) in enumerate(faults)
    ]
    script = "import sys\nfrom pathlib import *\nfrom trials import planted\nfrom trials.faults import Fault\n"
    script += f"sys.exit(planted.try_all({listed!r}, {checkout!r}, 2, ['pytest']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert not done.stderr
    return done.returncode, done.stdout


ADD = ("a + b", "a - b", "test_add")


def test_faults_that_tests_see_are_well(checkout: Path) -> None:
    source = (checkout / "lt_lightning/sums.py").read_bytes()
    code, said = plant(checkout, ADD, ("a * 2", "a + 2", "test_double"), ADD, ADD)
    assert code == 0, said
    assert len(re.findall(r"^seen .* fault \d: tests/test_sums.py::test_", said, re.MULTILINE)) == 4
    assert said.endswith("4 faults planted, 4 seen by all that must see them\n")
    assert (checkout / "lt_lightning/sums.py").read_bytes() == source


def test_a_fault_that_no_test_sees_is_reported(checkout: Path) -> None:
    code, said = plant(checkout, ADD, ("a * 2", "a * 3", "test_double"), ADD)
    assert code == 1
    assert re.search(r"^NOT SEEN +[\d.]+ s  fault 1: tests/test_sums.py::test_double$", said, re.MULTILINE)
    assert said.endswith("3 faults planted, 2 seen by all that must see them\n")


@pytest.mark.parametrize(("new", "test"), [("a ++++ ", "test_add"), ("a - b", "test_of_another_name")])
def test_what_breaks_the_tests_or_is_none_does_not_count_as_seen(checkout: Path, new: str, test: str) -> None:
    code, said = plant(checkout, ("a + b", new, test))
    assert code == 1
    assert "BROKEN" in said


def test_a_test_that_fails_without_a_fault_counts_for_nothing(checkout: Path) -> None:
    code, said = plant(checkout, ("a + b", "a - b", "test_that_fails"))
    assert code == 1
    assert "FAILS" in said and "seen" not in said
    assert said.endswith("these must pass without a fault\n")


def test_the_copy_is_what_is_tested(checkout: Path) -> None:
    code, said = plant(checkout, ("a + b", "b - a", "test_add"), ("a * 2", "a", "test_of_this_checkout_alone"))
    assert (code, said.count("NOT SEEN")) == (1, 1)  # `test_add` sees its fault, the other only that all is in place


def test_an_old_text_that_is_not_there_once_is_an_error(checkout: Path) -> None:
    code, said = plant(checkout, ("a + c", "a - b", "test_add"), ("return ", "", "test_add"))
    assert code == 1
    assert said == (
        "fault 0: its old text is 0 times in lt_lightning/sums.py; bring trials/faults.py up to date\n"
        "fault 1: its old text is 2 times in lt_lightning/sums.py; bring trials/faults.py up to date\n"
    )


def test_all_faults_can_be_planted_and_name_tests_that_there_are() -> None:
    assert misplaced(FAULTS, CHECKOUT) == []
    assert len(FAULTS) >= 20
    for fault in FAULTS:
        assert fault.old != fault.new and fault.seen_by
        for watcher in fault.seen_by:
            path, _, test = watcher.partition("::")
            if test:
                assert f"def {test.partition('[')[0]}(" in (CHECKOUT / path).read_text(encoding="utf-8"), fault.name
            else:
                assert (CHECKOUT / f"{watcher.split()[0].replace('.', '/')}.py").is_file(), fault.name


def test_two_faults_of_one_name_are_an_error() -> None:
    (line,) = misplaced([FAULTS[0], FAULTS[0]], CHECKOUT)
    assert line == f"{FAULTS[0].name}: the name of more than one fault"
