"""A trunk and its branches on a small corpus, and the weights that each round's training began with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import Tensor
from trunks import TRUNK

from lt_lightning.models import Learner

Play = Callable[..., Path]


@pytest.fixture(scope="module")
def starts() -> Iterator[list[dict[str, Tensor]]]:
    """Return the weights of the network as training began, of each round since the list was cleared."""
    begun: list[dict[str, Tensor]] = []

    def look(learner: Learner) -> None:
        begun.append({name: value.clone() for name, value in learner.network.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "on_train_start", look)
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
