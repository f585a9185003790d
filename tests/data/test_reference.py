"""The built-in corpora are the same everywhere with the reference versions, and say so where they are not."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_installed import install

from lt_lightning.config.sources import Names, Texts
from lt_lightning.data import corpus
from lt_lightning.data.sources import built_in, reference
from lt_lightning.data.sources.installed import LIBRARIES, Installed
from lt_lightning.data.sources.pydocs import _clean

PYDOCS = Texts(name="PyDocs", test_fraction=None)
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def files_of(library: str) -> dict[str, str]:
    """Return forty files, each with a docstring and a function of its own."""
    of = library[::-1]  # names no library
    said = [(one, two) for one in WORDS[:4] for two in WORDS]
    return {
        f"m{n}.py": f'"""A paragraph of {of}, its {one} and {two}, has enough words."""\ndef {of}_{one}_{two}(): ...\n'
        for n, (one, two) in enumerate(said)
    }


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install other versions of the libraries into a site folder that comes first, one as the reference has it."""
    site = tmp_path / "site"
    for library in LIBRARIES:
        install(site, library, files_of(library), version="1.14.0" if library == "sympy" else "0.5")
    monkeypatch.syspath_prepend(site)
    return site


@pytest.mark.usefixtures("others", "own_cache")
def test_other_versions_are_named_with_the_reference_and_the_remedy() -> None:
    found = corpus.load_corpus(PYDOCS)
    [note] = found.notes
    assert note == (
        "PyDocs: not the reference corpus, so numbers differ from README's (networkx 0.5, not 3.6.1; pandas 0.5, not "
        "3.1.1; matplotlib 0.5, not 3.11.2): pip install 'lt-lightning[pydocs]'"
    )
    assert found.reading["difference"] == note.removeprefix("PyDocs: ")
    assert corpus.load_corpus(Names()).difference == found.difference


def test_other_files_of_the_same_versions_are_a_difference_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "find_version", reference.VERSIONS.get)
    for name, right in reference.FINGERPRINTS.items():
        assert reference.describe_difference(name, right) == ""
        said = reference.describe_difference(name, {**right, "test": "0" * 16})
        assert "the versions are the same, but the installed files are not those on PyPI" in said


@pytest.mark.usefixtures("others", "own_cache")
def test_texts_without_labels_are_compared_as_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = corpus.load_corpus(PYDOCS)
    monkeypatch.setitem(reference.FINGERPRINTS, "pydocs", found.fingerprints)  # what is here counts as the reference
    unlabelled = corpus.load_corpus(replace(PYDOCS, label_column=None))
    assert unlabelled.fingerprints != found.fingerprints
    assert unlabelled.notes == corpus.load_corpus(PYDOCS).notes == []


def test_the_order_in_which_files_are_listed_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lt_lightning.data.sources.pydocs import load_pydocs

    listed = {library: install(tmp_path / "site", library, files_of(library)) for library in LIBRARIES}
    seen = []
    for order in (1, -1):

        def find(library: str, _: str, order: int = order) -> Installed:
            whole = Installed.of_folder(library, "1.0", listed[library])
            return replace(whole, files=dict([*sorted(whole.files.items())][::order]))

        monkeypatch.setattr(built_in, "find_installed", find)
        splits = load_pydocs(tmp_path / f"cache{order}")
        [file] = (tmp_path / f"cache{order}").iterdir()
        seen.append(({split: rows._fingerprint for split, rows in splits.items()}, file.name, file.read_bytes()))
    assert seen[0] == seen[1]


@settings(max_examples=50)
@given(st.text(" \t\na", max_size=40))
@example("  a\n\n   b\n  c\n\n")
@example("\n    a\n\tb\n  ")
def test_docstrings_are_cleaned_as_python_does_it(docstring: str) -> None:
    assert _clean(docstring) == inspect.cleandoc(docstring).splitlines()


TINY = ("data=pydocs", "trainer.max_epochs=1", "pruning.rounds=0", "embedding.dim=4", "model.filters=2")


@pytest.mark.slow
@pytest.mark.usefixtures("others", "own_cache")
def test_the_record_and_the_page_of_a_run_have_the_note(
    run_settings: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_settings((*TINY, "trainer.accelerator=cpu"), report=True)
    difference = json.loads((run / "run.json").read_text())["corpus"]["difference"]
    assert "pandas 0.5, not 3.1.1" in difference
    assert f"PyDocs: {difference}\n" in capsys.readouterr().out
    page = (run / "report.html").read_text().replace("&#39;", "'")
    assert page.count(f"PyDocs: {difference}.") == 2  # below the title, and among what ran
