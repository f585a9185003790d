"""What the documents show is there, and the study's tables are what its runs say."""

import csv
import doctest
import io
import re
from pathlib import Path

import pytest

from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import all_tables
from lt_lightning.study.file import find_file, read_study
from lt_lightning.study.results import write_results
from lt_lightning.study.rounds import read_rounds
from trials import results_page

ROOT = Path(__file__).parents[1]
STUDIES = sorted(path.parent for path in (ROOT / "docs/results").glob("*/comparison"))
REPOSITORY = [
    "https://github.com/lt-lightning/lt-lightning/blob/main/",
    "https://raw.githubusercontent.com/lt-lightning/lt-lightning/main/",
]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(path for pattern in ("docs/*.md", "docs/api/*.md", "examples/*.ipynb") for path in sorted(ROOT.glob(pattern))),
]


def cells(table: str) -> list[list[float | str]]:
    """A table's rows, its numbers to nine decimals: the last digits are the machine's."""

    def read(cell: str) -> float | str:
        try:
            return round(float(cell), 9)
        except ValueError:
            return cell

    return [[read(cell) for cell in row] for row in csv.reader(io.StringIO(table))]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_the_tables_of_a_study_are_those_of_its_runs(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    gathered = gather([study.relative_to(ROOT)])
    assert gathered.left_out == ()
    tables = all_tables(gathered, study.relative_to(ROOT))
    assert {path.stem for path in (study / "comparison").iterdir()} == {*tables}
    for name, table in tables.items():
        kept = (study / "comparison" / f"{name}.csv").read_text(encoding="utf-8")
        assert cells(kept) == cells(table.to_csv(index=False))


RESULTS = results_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", results_page.studies(RESULTS))
def test_the_tables_of_a_study_of_claims_are_those_of_its_rounds(name: str, tmp_path: Path) -> None:
    study, folder = read_study(find_file(name)), results_page.RESULTS / name
    write_results(study, read_rounds(folder / "rounds.csv", study), tmp_path)
    for table in ("rounds", "arms", "areas", "claims"):
        assert cells((folder / f"{table}.csv").read_text()) == cells((tmp_path / f"{table}.csv").read_text())
    assert (folder / "tables.md").read_text() == (tmp_path / "tables.md").read_text()
    assert results_page.fill(RESULTS, results_page.RESULTS) == RESULTS


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_in_the_project_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [page.parent / target for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    targets += [ROOT / target for target in re.findall(rf"\]\((?:{'|'.join(REPOSITORY)})([^)#]+)\)", text)]
    assert [target for target in targets if not target.exists()] == []
    # PyPI shows the README without the files beside it.
    assert page.name != "README.md" or not re.search(r"\]\((?!https?:)", text)


def test_the_python_on_a_page_says_what_the_page_says() -> None:
    failed, tried = doctest.testfile(str(ROOT / "docs/recurrent.md"), module_relative=False)
    assert failed == 0
    assert tried > 10
