"""A trunk and its branches on a small corpus, and the weights that each round's training began with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from torch import Tensor
from trunks import TRUNK

Play = Callable[..., Path]


@pytest.fixture(scope="module")
def starts(watch_starts: Callable[..., AbstractContextManager[None]]) -> Iterator[list[dict[str, Tensor]]]:
    """Return the weights of the network as training began, of each round since the list was cleared."""
    begun: list[dict[str, Tensor]] = []
    with watch_starts(begun):
        yield begun


@pytest.fixture(scope="module")
def branch(play_small: Play, tmp_path_factory: pytest.TempPathFactory, starts: list[dict[str, Tensor]]) -> Play:
    """Run a branch with the trunk's settings: `branch(trunk, *overrides)`."""

    def branch(trunk: Path, *overrides: str, run: Path | None = None, resuming: bool = False) -> Path:
        starts.clear()
        run = run or tmp_path_factory.mktemp("branch") / "run"
        return play_small(run, *TRUNK, f"branch.of={trunk}", *overrides, resuming=resuming)

    return branch


@pytest.fixture(scope="module")
def trunk(play_small: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that rewinds to its first weights."""
    return play_small(tmp_path_factory.mktemp("trunk") / "run", *TRUNK)
