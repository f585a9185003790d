"""An installed library is read from its distribution's own files, wherever one stands, and as installed."""

import base64
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lt_lightning.data.sources.built_in import load_built_in
from lt_lightning.data.sources.installed import LIBRARIES, LIBRARY_NAME, Installed, find_installed
from lt_lightning.data.sources.pydocs import harvest, select

FILES = {"__init__.py": "x = 1\n", "deep/er.py": '"""Naïve."""\n', "data.txt": "", "tests/test_x.py": "", "a, b.py": ""}


def install(site: Path, name: str, files: dict[str, str] = FILES, *, record: bool = True, version: str = "1.0") -> Path:
    lines = [f"{name}-{version}.dist-info/METADATA,,", f"../../bin/{name},sha256=x,1"]
    for file, content in files.items():
        path = site / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")
        entry = f'"{name}/{file}"' if "," in file else f"{name}/{file}"
        lines.append(f"{entry},sha256={digest},{len(content)}")
    about = site / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if record:
        (about / "RECORD").write_text("\n".join(lines) + "\n")
    return site / name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_is_installed_and_named(library: str) -> None:
    found = find_installed(library, "names")
    assert found.version[0].isdigit()
    assert found.files.keys() >= {"__init__.py"}
    assert found.files == Installed.of_folder(library, found.version, found.root).files
    assert LIBRARY_NAME.fullmatch(library)


def test_a_library_that_is_not_installed_is_named_with_who_asks_and_the_remedy(refused: Callable) -> None:
    with refused("data=names reads no_such_library's source", "pip install 'lt-lightning[pydocs]'"):
        find_installed("no_such_library", "names")


@pytest.mark.parametrize("record", [True, False])
def test_the_python_files_of_a_distribution_are_found_with_their_digests(site: Path, record: bool) -> None:
    root = install(site, "zoo", record=record)
    found = find_installed("zoo", "names")
    assert (found.name, found.version, found.root) == ("zoo", "1.0", root)
    assert found.files == Installed.of_folder("zoo", "1.0", root).files
    assert sorted(found.files) == ["__init__.py", "a, b.py", "deep/er.py", "tests/test_x.py"]
    assert found.read("deep/er.py").decode() == FILES["deep/er.py"]


@pytest.mark.parametrize("entry", ["", ".", "whole path"])
@pytest.mark.parametrize("with_record", [True, False])
def test_the_working_directory_changes_nothing(site, tmp_path, monkeypatch, entry, with_record):
    install(site, "zoo")
    before = find_installed("zoo", "names")
    clone = tmp_path / "clone"
    install(clone, "zoo", {"__init__.py": "partial\n"}, record=with_record, version="9.0")
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "path", [str(clone) if entry == "whole path" else entry, *sys.path])
    assert find_installed("zoo", "names") == before


def test_a_site_folder_counts_even_if_one_stands_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_installed("networkx", "names")
    monkeypatch.chdir(before.root.parent)
    assert find_installed("networkx", "names") == before


def test_a_folder_of_a_library_s_name_in_the_working_directory_changes_no_corpus(tmp_path, monkeypatch):
    keys: list[list[str]] = []

    def load(cache: Path) -> list[str]:
        # The real distributions; of each library two files, as all of them take too long.
        def some(library: Installed) -> list:
            two = {name: library.files[name] for name in sorted(library.files)[:2]}
            return harvest(Installed(library.name, library.version, library.root, two))

        load_built_in(cache, "pydocs", "some", some, select, lambda row: row.text)
        return sorted(path.name for path in cache.iterdir())

    keys.append(load(tmp_path / "one"))
    for name in ("networkx", "sympy"):
        (tmp_path / "here" / name).mkdir(parents=True)
        (tmp_path / "here" / name / "__init__.py").write_text('"""A tiny folder that has the name of a library."""')
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    keys.append(load(tmp_path / "two"))
    assert keys[0] == keys[1]
    one, two = (next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two"))
    assert one == two


def test_what_a_distribution_did_not_install_is_not_read(site: Path) -> None:
    root = install(site, "zoo")
    before = find_installed("zoo", "names")
    (root / "extra.py").write_text("left over from an older version")
    assert find_installed("zoo", "names") == before


@pytest.mark.parametrize("harm", [lambda path: path.write_text("x = 2\n"), lambda path: path.unlink()])
def test_a_file_that_is_not_as_it_was_installed_is_refused(site, refused, harm):
    root = install(site, "zoo")
    harm(root / "__init__.py")
    found = find_installed("zoo", "names")
    with refused(f"data: {root / '__init__.py'} is not as zoo 1.0 was installed", "zoo==1.0"):
        found.read("__init__.py")


def test_a_working_copy_is_refused(site: Path, refused: Callable) -> None:
    # As `pip install -e` leaves it: the record lists a link to the working copy alone.
    install(site, "zoo", {})
    with refused("data=names reads zoo's source", "zoo 1.0 is a working copy", "without -e"):
        find_installed("zoo", "names")


def test_digests_differ_with_any_file_and_the_version(site: Path) -> None:
    found = find_installed("networkx", "names")
    file = next(iter(found.files))
    others = [
        Installed(found.name, "0", found.root, found.files),
        Installed(found.name, found.version, found.root, {**found.files, file: "sha256=0"}),
        Installed(
            found.name, found.version, found.root, {name: found.files[name] for name in found.files if name != file}
        ),
    ]
    assert len({found.digest, *(other.digest for other in others)}) == 4
    assert found.digest == Installed(found.name, found.version, Path(os.sep), found.files).digest


def test_a_deleted_working_directory_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert find_installed("networkx", "names").files
