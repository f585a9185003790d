"""Writes `docs/errors.md`: `python tests/errors/document.py [TITLE …]` makes all cases, or those of some sections."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from observing import Case, Kind, Outcome, observe

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "errors.md"
COMMAND = "python tests/errors/document.py"

LONGEST = 300
"""So many characters of a line stand on the page."""

OPENING = f"""\
# Wrong inputs and the answers to them

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


def page(outcomes: dict[tuple[str, str], Outcome], kept: Mapping[str, str] = MappingProxyType({})) -> str:
    """The page; outcomes by the kind's title and the case's words, and whole sections by the kind's title."""
    parts = [OPENING]
    for kind in kinds():
        heading = "| wrong input | answer |"
        if kind.title in kept:
            parts.append(kept[kind.title])
            continue
        lines = [_row(case, outcomes[kind.title, case.wrong]) for case in kind.cases]
        parts.append("\n".join([f"## {kind.title}", "", kind.about, "", heading, "|---|---|", *lines, ""]))
    return "\n".join(parts)


def sections() -> dict[str, str]:
    """The sections of the page as it is, by their titles."""
    found = re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    *others, last = found
    texts = [*(one.removesuffix("\n") for one in others), last]
    return {one.partition("\n")[0].removeprefix("## "): one for one in texts}


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


def main(titles: Sequence[str]) -> None:
    """Make all cases, or those of some kinds, and write the page."""
    kept = {title: text for title, text in sections().items() if titles and title not in titles}
    outcomes = {}
    for kind in kinds():
        for case in kind.cases if kind.title not in kept else ():
            with tempfile.TemporaryDirectory() as folder:
                outcomes[kind.title, case.wrong] = observe(case, Path(folder).resolve())
    PAGE.write_text(page(outcomes, kept), encoding="utf-8")
    print(f"{len(outcomes)} cases: {PAGE}")


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.exit(main(sys.argv[1:]))
