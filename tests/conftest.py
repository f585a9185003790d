"""Set up all tests: for small machines, without a network, and with a cache of their own."""

import functools
import importlib.metadata
import os

# Before anything imports torch or datasets: one thread keeps small networks quick, and nothing is downloaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hypothesis import HealthCheck, settings
from jaxtyping import config as shape_checks
from jaxtyping import install_import_hook

# Each Trainer searches all installed packages for callbacks, a sixth of the time of fitting a small network.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

# Shapes in signatures are claims; in the tests they are checked at every call, but in whole runs, whose time would
# grow by half, only in the first one of each network on each kind of data, and not while its corpus is read.
install_import_hook(["lt_lightning.models", "lt_lightning.data"], "beartype.beartype")

from composing import compose_once

from lt_lightning.config.folder import config_folder
from lt_lightning.config.messages import explain
from lt_lightning.config.schema import Config, register_schema
from lt_lightning.config.validation import read_config
from lt_lightning.errors import SettingError
from lt_lightning.experiment.start_run import check_strings

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test session's own, in place of the user's."""
    import datasets.config

    # Several workers share one: what is in it appears whole or not at all.
    base = tmp_path_factory.getbasetemp()
    folder = base.parent / "cache" if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("cache")
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        patch.setattr("lt_lightning.data.corpus.HF_DATASETS_CACHE", folder)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _composed_once() -> Iterator[None]:
    """Combine the same files of the configuration tree once: most tests compose it."""
    with compose_once():
        yield


@pytest.fixture(scope="session")
def configure() -> Callable[..., Config]:
    """Compose the real configuration tree with overrides, and check it."""

    def configure(*overrides: str) -> Config:
        register_schema()
        with initialize_config_dir(config_folder(), version_base="1.3"):
            try:
                config = read_config(compose("config", list(overrides)))
            except HydraException as error:
                raise SettingError(explain(error)) from error
            check_strings(config)
            return config

    return configure


@pytest.fixture(scope="session")
def run_settings(configure: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run an experiment in this process, without its figures unless `report`, and return its run directory.

    `run_settings(common, *overrides, run=None, report=False, resuming=False, trial=None)` records `overrides` as the
    command.
    """
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.data.sources.pairs import load_pairs
    from lt_lightning.experiment.experiment import run_experiment

    checked: set[tuple[type, type]] = set()

    def run_settings(
        common: Sequence[str],
        *overrides: str,
        run: Path | None = None,
        report: bool = False,
        resuming: bool = False,
        trial: Any = None,
    ) -> Path:
        config = replace(configure(*common, *overrides), report=report)
        run = run or tmp_path_factory.mktemp("run")
        run.mkdir(exist_ok=True)
        kind = (type(config.model), type(config.data))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shape_checks, "jaxtyping_disable", True)
            data = load_pairs(config.data, config.seed) if config.data.kind.is_pairs else load_corpus(config.data)
            patch.setattr(shape_checks, "jaxtyping_disable", kind in checked)
            checked.add(kind)
            run_experiment(config, data, run, list(overrides), resuming=resuming, trial=trial)
        return run

    return run_settings


@pytest.fixture(scope="session")
def watch_starts() -> Callable[[list[dict[str, Any]]], AbstractContextManager[None]]:
    """Note the weights of networks as training begins.

    `with watch_starts(begun):` appends those of each fit to `begun`.
    """
    from lt_lightning.models import Learner

    @contextmanager
    def watch_starts(begun: list[dict[str, Any]]) -> Iterator[None]:
        start = Learner.on_train_start

        def look(learner: Learner) -> None:
            start(learner)
            begun.append({name: value.clone() for name, value in learner.network.state_dict().items()})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Learner, "on_train_start", look)
            yield

    return watch_starts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the corpus of `trials.kills`."""
    from trials.kills import write_corpus

    return write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def play_small(run_settings: Callable[..., Path], corpus: Path) -> Callable[..., Path]:
    """Run small settings on that corpus: `play_small(run, *overrides, resuming=False)`."""
    from trials.kills import small_run

    def play(run: Path, *overrides: str, resuming: bool = False, epochs: int | None = None) -> Path:
        more = () if epochs is None else (f"trainer.max_epochs={epochs}",)
        small = small_run(*overrides)[: -len(overrides) or None]
        common = ("data=files", f"data.path={corpus}", *small, *more)
        return run_settings(common, *overrides, run=run, resuming=resuming)

    return play


@pytest.fixture(scope="session")
def ag_news() -> Path:
    """The folder of real AG News, where there is one."""
    folder = SHARED_DATA / "ag_news"
    if not folder.is_dir():
        pytest.skip("needs AG News in ../shared/data")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that no worker is left alone with them; last what is about the others' work."""
    items.sort(key=lambda item: (item.name.startswith("test_the_page_says"), item.get_closest_marker("slow") is None))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need a GPU on machines without one."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
