"""What the tests of the data share: settings, small corpora, and a check of how errors are worded."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from hypothesis import settings

from lt_lightning.config.models import EmbeddingConfig, Glove
from lt_lightning.config.sources import Texts
from lt_lightning.errors import SettingError

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

DATA = Texts(max_vocab=1000, batch_size=4, test_fraction=None)


@pytest.fixture(scope="session")
def data_config() -> Callable[..., Texts]:
    """The `data` group of `data=files`, with changes."""
    return lambda **changes: replace(DATA, **changes)


@pytest.fixture(scope="session")
def embedding_config() -> Callable[..., EmbeddingConfig]:
    """The `embedding` group of a file of vectors, with changes."""
    return lambda **changes: replace(Glove(dim=3, max_vocab=1000), **changes)


@pytest.fixture(scope="session")
def refused() -> Callable[..., AbstractContextManager[pytest.ExceptionInfo[SettingError]]]:
    """Expect an error for people: one line that holds all of these words."""

    @contextmanager
    def refused(*words: str) -> Iterator[pytest.ExceptionInfo[SettingError]]:
        with pytest.raises(SettingError) as raised:
            yield raised
        message = str(raised.value)
        assert "\n" not in message
        assert [word for word in words if word not in message] == [], message

    return refused


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own: what the test before it left is not there."""
    monkeypatch.setattr("lt_lightning.data.corpus.HF_DATASETS_CACHE", tmp_path / "own_cache")
    return tmp_path / "own_cache" / "lt_lightning"


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., datasets.Dataset]:
    def rows_of(texts: Sequence[str | None], labels: Sequence[object], **types: object) -> datasets.Dataset:
        features = datasets.Features({"text": datasets.Value("string"), **types}) if types else None
        return datasets.Dataset.from_dict({"text": list(texts), "label": list(labels)}, features=features)

    return rows_of
