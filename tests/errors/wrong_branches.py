"""Branches that cannot be made of a run."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from observing import Case, Kind, make_run
from samples import CSV, make_corpus
from wrong_resumes import resume

Change = Callable[[Path], object]

LOG = ("other/.hydra/*", "other/train.log", "other/state/lock")


def _case(
    wrong: str, names: Sequence[str], *arguments: str, change: Change = lambda _: None, leaves: Sequence[str] = ()
):
    """A small run of one round that is over; then something happens, and its ticket is to be trained again."""

    def make(folder: Path) -> list[str]:
        corpus = make_corpus(folder, {"train.csv": CSV, "test.csv": CSV})
        make_run(folder, [*corpus, "pruning.rounds=1", "pruning.amount=0.4"])
        change(folder)
        # Nothing here depends on how the folder of the branch is called.
        return [*arguments, *([] if "-m" in arguments else ["hydra.run.dir=other"])]

    return Case(wrong, make, tuple(names), resume, tuple(leaves))


def _another_row(folder: Path) -> None:
    with (folder / "corpus" / "test.csv").open("a") as file:
        file.write("one more film,a\n")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


OF = "branch.of=run"

CASES = (
    _case("no such folder", ["branch.of: nowhere: no such folder", "run directory"], "branch.of=nowhere"),
    _case("a folder that is no run", ["branch.of: corpus", "no run.json"], "branch.of=corpus"),
    _case("several runs", ["branch.of: run,other", "a branch each"], "branch.of=run,other"),
    _case("rounds without a run", ["branch.rounds: only read with branch.of=RUN"], "branch.rounds=[1]"),
    _case("a round that there is not", ["branch.rounds: run has no round 7", "0 to 1"], OF, "branch.rounds=[1,7]"),
    _case("no rounds", ["branch.rounds: []", "[2,4]"], OF, "branch.rounds=[]"),
    _case("a round without its ticket", ["round_01.safetensors", "branch.rounds=[0]"], OF, "branch.rounds=[1]",
          change=lambda folder: (folder / "run/tickets/round_01.safetensors").unlink()),
    _case("a run of another model", ["branch.of: run is a run of another model", "model.filters is 2 there, not 3"], OF,
          "model.filters=3"),
    _case("a run on other data", ["branch.of: run is a run on other data", "data.limit is null there, not 10"], OF,
          "data.limit=10"),
    _case("a run on other rows", ["branch.of: run is a run on other data", "test differs"], OF, change=_another_row,
          leaves=LOG),
    _case("other entries to prune", ["pruning.exclude is [] there, not [fc.*]"], OF, "pruning.exclude=[fc.*]"),
    _case("another seed", ["seed: 1, but seed=0", "seed.order=1"], OF, "seed=1"),
    _case("weights that the run has not kept", ["pruning.rewind: run has not kept", "epoch:1", "give init"], OF,
          "pruning.rewind=epoch:1"),
    _case("a schedule", ["pruning.schedule: a branch prunes nothing", "set"], OF, "pruning.schedule=set",
          "pruning.density=0.5"),
    _case("a criterion", ["pruning.criterion: a branch prunes nothing"], OF, "pruning.criterion=random"),
    _case("a number of rounds", ["pruning.rounds: ", "branch.rounds"], OF, "pruning.rounds=2"),
    _case("a packed ticket", ["pruning.ticket: not read by a branch"], OF, "pruning.ticket=x"),
    _case("the inverse of chance", ["pruning.mask: a branch inverts", "magnitude"], OF, "pruning.mask=invert",
          "pruning.criterion=random"),
    _case("a damaged ticket", ["branch.of: run/tickets/round_01.safetensors: cut off"], OF,
          change=lambda folder: _cut(folder / "run/tickets/round_01.safetensors")),
    _case("a run without its records", ["branch.of: run has no round that is over"], OF,
          change=lambda folder: shutil.rmtree(folder / "run/state")),
)  # fmt: skip

KIND = Kind(
    16,
    "Branches",
    "Given to `python -m lt_lightning.train`, once the run in `run` is over.",
    CASES,
)
