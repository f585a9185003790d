"""Writes `docs/errors.md`: `python tests/errors/document.py` makes all cases, and sets down what came of each."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from observing import Case, Kind, Outcome, observe

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "errors.md"
COMMAND = "python tests/errors/document.py"

LONGEST = 300
"""So many characters of a line stand on the page."""

OPENING = f"""\
# What goes wrong, and what is said

Whatever is wrong with a setting or a file, the answer is one line on stderr that names it, says what is wrong and what
to do, and the exit code 2. Nothing else is printed: where a run has begun, the traceback is in its `train.log`. A start
that fails before its run began leaves no folder; `HYDRA_FULL_ERROR=1` in the environment prints its traceback. Nothing
that was there is changed.

The tables below are not written by hand: each line was printed by the program when `{COMMAND}`
gave it the wrong input, and a test fails where it prints another. Of lines that are too long for a page the middle is
left out.
"""


def kinds() -> list[Kind]:
    """The cases of all files beside this one that are called `wrong_….py`."""
    return sorted((import_module(path.stem).KIND for path in HERE.glob("wrong_*.py")), key=lambda kind: kind.place)


def page(outcomes: dict[tuple[str, str], Outcome]) -> str:
    """The page; outcomes by the kind's title and the case's words."""
    parts = [OPENING]
    for kind in kinds():
        heading = "| what is wrong | what is said |"
        lines = [_row(case, outcomes[kind.title, case.wrong]) for case in kind.cases]
        parts.append("\n".join([f"## {kind.title}", "", kind.about, "", heading, "|---|---|", *lines, ""]))
    return "\n".join(parts)


def _row(case: Case, outcome: Outcome) -> str:
    said = outcome.says if case.accepted else _code(_short(outcome.says))
    return f"| {_cell(case.wrong)} | {_cell(said)} |"


def _short(line: str) -> str:
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} … {line[-half:]}"


def _code(text: str) -> str:
    """As code, whatever backticks it holds."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Make all cases and write the page."""
    outcomes = {}
    for kind in kinds():
        for case in kind.cases:
            with tempfile.TemporaryDirectory() as folder:
                outcomes[kind.title, case.wrong] = observe(case, Path(folder).resolve())
    PAGE.write_text(page(outcomes), encoding="utf-8")
    print(f"{len(outcomes)} cases: {PAGE}")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.exit(main())
