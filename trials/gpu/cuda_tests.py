"""Run the tests that need a CUDA device, those that are marked `gpu`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from trials.gpu.results import Outcome, Request

ROOT = Path(__file__).parents[2]
MARK = "pytest.mark.gpu"


def run_tests(request: Request) -> Outcome:
    """Run them in a process, and count."""
    return count(
        run_pytest(find_files(ROOT / "tests"), request.folder / "junit.xml"), is_needed=request.device == "cuda"
    )


def find_files(folder: Path) -> list[Path]:
    """Return the files of tests that are marked; the others need not be imported."""
    return [path for path in sorted(folder.rglob("test_*.py")) if MARK in path.read_text(encoding="utf-8")]


def run_pytest(files: Sequence[Path], report: Path) -> Path:
    """Run the marked tests of files, and return the file of the results."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run([*command, *map(str, files)], cwd=ROOT, check=False)
    return report


def count(report: Path, *, is_needed: bool = True) -> Outcome:
    """Return the outcome of a JUnit file: the numbers, and each test that failed with the first line of its reason.

    Args:
        report: the file.
        is_needed: whether a run in which no test passed is a fault.
    """
    if not report.exists():
        return Outcome("pytest wrote no results", ["the tests did not run"])
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = {
        f"{case.get('classname')}.{case.get('name')}": (reason.get("message") or "").split("\n")[0][:200]
        for case in cases
        if (reason := case.find("failure")) is not None or (reason := case.find("error")) is not None
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(failed) - skipped
    faults = [f"{name}: {reason}" for name, reason in failed.items()]
    if is_needed and not passed and not faults:
        faults.append("no test ran")
    return Outcome(
        f"{passed} passed, {len(failed)} failed, {skipped} skipped",
        faults,
        {"passed": passed, "failed": failed, "skipped": skipped},
    )
