"""What all tests share: small machines, no network, no cache of the user's."""

import os

# Before anything imports torch or datasets: one thread keeps small networks quick, and nothing is downloaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from jaxtyping import install_import_hook

# Shapes in signatures are claims; in the tests they are checked at every call.
install_import_hook(["lt_lightning.models", "lt_lightning.data"], "beartype.beartype")

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


@pytest.fixture(scope="module")
def play_small(
    configure: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Path]]:
    """Plays a small run in this process, without its figures: `play_small(run, *overrides, resuming=False)`."""
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.experiment.experiment import run_experiment
    from trials.kills import SMALL, write_corpus

    corpus = tmp_path_factory.mktemp("data") / "corpus"
    write_corpus(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lt_lightning.experiment.experiment.draw_report", lambda run: run)

        def play(run: Path, *overrides: str, resuming: bool = False, epochs: int) -> Path:
            settings = ("data=files", f"data.path={corpus}", *SMALL, f"trainer.max_epochs={epochs}", *overrides)
            config = configure(*settings)
            run.mkdir(exist_ok=True)
            run_experiment(config, load_corpus(config.data), run, list(overrides), resuming=resuming)
            return run

        yield play


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
