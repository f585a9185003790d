"""Write the tables of `docs/results.md` anew: `python -m trials.results_page`.

The page has a block for each study whose `rounds.csv` lies in `docs/results/NAME`, between the lines
`<!-- tables of NAME -->` and `<!-- end -->`. All that is in a block, and all other files of the folder, come from that
table and `conf/study/NAME.yaml`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lt_lightning.study.file import find_file, read_study
from lt_lightning.study.results import write_results
from lt_lightning.study.rounds import read_rounds

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "docs" / "results"
_BLOCK = re.compile(r"(<!-- tables of (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def fill(page: str, results: Path) -> str:
    """Return a page with the tables of its studies.

    Args:
        page: the page; its blocks may be empty.
        results: the folder with a folder per study, whose `tables.md` are read.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}\n{(results / block[2] / 'tables.md').read_text()}{block[3]}", page)


def studies(page: str) -> list[str]:
    """Return the names of the studies that a page has blocks of."""
    return [block[2] for block in _BLOCK.finditer(page)]


def main() -> int:
    """Write the files of each study from its `rounds.csv`, and the page from them."""
    page = PAGE.read_text(encoding="utf-8")
    for name in studies(page):
        study = read_study(find_file(name))
        lines = write_results(study, read_rounds(RESULTS / name / "rounds.csv", study), RESULTS / name)
        print(f"{name}: {lines[-1]}")
    PAGE.write_text(fill(page, RESULTS), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
