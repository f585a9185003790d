"""What a release holds, and what its metadata promise."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from lt_lightning import __version__
from lt_lightning.data.sources.reference import VERSIONS
from lt_lightning.errors import SettingError
from lt_lightning.extras import TRAINING, NotInstalledError, require_training

if TYPE_CHECKING:
    from hatchling.metadata.core import ProjectMetadata

pytest.importorskip("hatchling", reason="part of the extra dev")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def metadata() -> ProjectMetadata:
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    return ProjectMetadata(str(ROOT), PluginManager())


def bounds(metadata: ProjectMetadata) -> dict[str, SpecifierSet]:
    """Return the versions that the package and its extra `dev` allow, which includes `train`, `onnx` and `serving`."""
    listed = map(Requirement, [*metadata.core.dependencies, *metadata.core.optional_dependencies["dev"]])
    return {one.name.lower(): one.specifier for one in listed if one.specifier}


def pins(name: str) -> dict[str, Version]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {
        key.lower().replace("_", "-"): Version(value) for key, value in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)
    }


def test_the_source_distribution_holds_what_is_needed_to_build_and_test_and_no_tables_of_results() -> None:
    from hatchling.builders.sdist import SdistBuilder

    members = {file.relative_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {"pyproject.toml", "README.md", "LICENSE", "lt_lightning/py.typed", "conf/config.yaml"} <= members
    assert {"tests/conftest.py", "constraints-lowest.txt", "docs/images/quickstart.png"} <= members
    assert [name for name in members if name.startswith(("docs/results/", ".venv"))] == []
    assert len(members) < 1000


def test_the_wheel_holds_the_package_and_the_configuration_tree() -> None:
    from hatchling.builders.wheel import WheelBuilder

    members = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {"lt_lightning/py.typed", "lt_lightning/__main__.py", "lt_lightning/report/templates/page.css"} <= members
    assert {name.partition("/")[0] for name in members} == {"lt_lightning", "hydra_plugins"}
    assert "lt_lightning/conf/config.yaml" in members


def test_versions_links_and_classifiers_are_valid(metadata: ProjectMetadata) -> None:
    from trove_classifiers import classifiers

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert metadata.version == __version__ == citation["version"]
    assert set(metadata.core.urls) >= {"Homepage", "Documentation", "Changelog", "Issues"}
    assert metadata.core.urls["Homepage"] == citation["repository-code"]
    assert set(metadata.core.classifiers) <= classifiers
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").count(f"\n## {__version__}") == 1


def test_the_console_script_is_a_function(metadata: ProjectMetadata) -> None:
    module, _, function = metadata.core.scripts["lt-lightning"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_lowest_versions_are_the_lower_bounds(metadata: ProjectMetadata) -> None:
    lowest = pins("constraints-lowest.txt")
    for name, allowed in bounds(metadata).items():
        [bound] = [Version(one.version) for one in allowed if one.operator == ">="]
        if name in ("torch", "ruff", "pyright", "import-linter", "hatchling"):  # pinned, or no part of the tests
            continue
        assert lowest[name] == bound, name
    assert lowest["torch"] == pins("constraints.txt")["torch"]


def names(requirements: Iterable[str]) -> set[str]:
    return {Requirement(one).name.lower() for one in requirements}


def test_the_extra_train_holds_what_refusals_check(metadata: ProjectMetadata) -> None:
    assert names(metadata.core.dependencies) == {"numpy"}
    assert names(metadata.core.optional_dependencies["train"]) == {one.lower() for one in TRAINING.values()}


def test_extras_for_training_include_train_and_those_for_prediction_nothing_of_it(metadata: ProjectMetadata) -> None:
    extras = {extra: names(listed) for extra, listed in metadata.core.optional_dependencies.items()}
    for extra, packages in extras.items():
        shared = packages & extras["train"]
        prediction = {"spacy": set(), "docs": set(), "serving": set(), "onnxruntime": {"tokenizers"}}
        assert shared == prediction.get(extra, extras["train"]), extra
    assert extras["dev"] >= extras["onnx"] >= extras["onnxruntime"]


def test_the_reference_corpus_has_one_set_of_versions(metadata: ProjectMetadata) -> None:
    exact = [Requirement(one) for one in metadata.core.optional_dependencies["pydocs"] if "==" in one]
    assert {one.name: str(one.specifier).removeprefix("==") for one in exact} == VERSIONS
    pinned = pins("constraints.txt")
    assert {library: str(pinned[library]) for library in VERSIONS} == VERSIONS


def test_every_extra_that_a_message_or_a_page_names_exists(metadata: ProjectMetadata) -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    files = [path for kind in ("py", "j2") for path in (ROOT / "lt_lightning").rglob(f"*.{kind}")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*pages, *files, *(ROOT / "conf").rglob("*.yaml")])
    groups = re.findall(r"(?:lt-lightning|(?:-e|--editable) \"\.)\[([\w, ]+)\]", text)
    named = {name.strip() for group in groups for name in group.split(",")}
    assert {"train", "bert", "onnx", "pydocs", "glove"} <= named
    assert named - {"EXTRA"} <= metadata.core.optional_dependencies.keys()


def test_pinned_versions_are_allowed(metadata: ProjectMetadata) -> None:
    pinned = pins("constraints.txt")
    assert [name for name, allowed in bounds(metadata).items() if name in pinned and pinned[name] not in allowed] == []


def test_the_workflow_tests_the_versions_of_python_that_the_classifiers_name(metadata: ProjectMetadata) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in metadata.core.classifiers]
    assert workflow["jobs"]["newest"]["strategy"]["matrix"]["python"] == [one[1] for one in named if one]
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert {"make test-newest", "make test-lowest", ".ci/run"} <= set(commands)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_training("this")
    monkeypatch.setitem(TRAINING, "no_such_module", "no-such-package")
    said = "this needs no-such-package, which is not installed: pip install 'lt-lightning[train]'"
    with pytest.raises(NotInstalledError, match=rf"^{re.escape(said)}$"):
        require_training("this")
    require_training("this", "torch")
    assert issubclass(NotInstalledError, ImportError) and issubclass(NotInstalledError, SettingError)
