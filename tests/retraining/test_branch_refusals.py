"""What cannot be a branch is refused before torch is loaded, each in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trunks import TRUNK

from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.trunk import Trunk, check_corpus, read_trunk
from lt_lightning.runs.description import write_content
from lt_lightning.runs.rounds import rewind_path, ticket_path
from trials.kills import SMALL

Read = Callable[..., Trunk | None]


@pytest.fixture
def copy(trunk: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trunk, tmp_path / "trunk")


@pytest.fixture
def read(configure, corpus: Path) -> Read:
    """Read the trunk of a branch with the trunk's settings and others: `read(trunk, *overrides)`."""

    def read(trunk: Path, *overrides: str) -> Trunk | None:
        return read_trunk(
            configure("data=files", f"data.path={corpus}", *SMALL, *TRUNK, f"branch.of={trunk}", *overrides)
        )

    return read


def describe(run: Path, **changes) -> None:
    write_content(run, {**json.loads((run / "run.json").read_text()), **changes})


@pytest.mark.slow
def test_what_a_branch_takes_over_is_read(read, trunk):
    found = read(trunk, "branch.rounds=[2,0]")
    assert found is not None
    assert (found.branch.rounds, found.source, found.branch.full.round) == ((0, 2), "kept", 0)
    sources = {"epoch:0": "kept", "none": "trained", "last": "full", "random": "drawn", "shuffle": "kept"}
    assert {rewind: read(trunk, f"pruning.rewind={rewind}").source for rewind in sources} == sources


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.filters=5"], r"branch\.of: .* is a run of another model: model\.filters is 4 there, not 5"),
        (["embedding.dim=7"], r"branch\.of: .* is a run of another model: embedding\.dim is 6 there, not 7"),
        (["data.limit=30"], r"branch\.of: .* is a run on other data: data\.limit is null there, not 30"),
        (["pruning.exclude=[fc.*]"], r"is a run of another model: pruning\.exclude is \[\] there, not \[fc\.\*\]"),
        (["seed=4"], r"seed: 4, but seed=3 chose the rows and the words of .*; leave it out, and give seed\.order=4"),
        (["branch.rounds=[2,7]"], r"branch\.rounds: .* has no round 7; give some of 0 to 2"),
        (["pruning.rewind=epoch:1"], r"pruning\.rewind: .* has not kept the weights of epoch:1, as it rewinds to init"),
        (
            ["pruning.mask=invert", "pruning.criterion=random"],
            r"pruning\.mask: a branch inverts masks of pruning\.criterion=magnitude alone, not of random",
        ),
    ],
)
def test_settings_that_do_not_fit_the_trunk_are_refused(read, trunk, overrides, said):
    with pytest.raises(SettingError, match=said) as error:
        read(trunk, *overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["branch.rounds=[]"], r"branch\.rounds: \[\] are no rounds"),
        (["branch.rounds=[-1]"], r"branch\.rounds: \[-1\] are no rounds"),
        (["branch.rounds=[1,1]"], r"branch\.rounds: \[1, 1\] has a round twice"),
        (["pruning.ticket=x"], r"pruning\.ticket: not read by a branch"),
        (["pruning.schedule=set", "pruning.density=0.5"], r"pruning\.schedule: a branch prunes nothing"),
        (["branch.of=''"], r"branch\.of: empty"),
    ],
)
def test_settings_that_no_branch_has_are_refused(configure, overrides, said):
    with pytest.raises(SettingError, match=said):
        configure("branch.of=somewhere", *overrides)


@pytest.mark.slow
def test_rounds_without_a_trunk_are_refused(configure):
    with pytest.raises(SettingError, match=r"branch\.rounds: only read with branch\.of=RUN"):
        configure("branch.rounds=[1]")


@pytest.mark.slow
def test_the_rewinding_epoch_may_lie_beyond_the_epochs_of_a_branch(configure):
    with pytest.raises(SettingError, match="lies beyond the 2 epochs"):
        configure("pruning.rewind=epoch:5", "trainer.max_epochs=2")
    assert configure("pruning.rewind=epoch:5", "trainer.max_epochs=2", "branch.of=x").branch.of == "x"


@pytest.mark.slow
def test_missing_tickets_are_named(read, copy):
    ticket_path(copy, 1).unlink()
    with pytest.raises(SettingError, match=r"branch\.rounds: .*round_01.*: no such file; rounds 0, 2 are there: give"):
        read(copy, "branch.rounds=[1,2]")
    ticket_path(copy, 0).unlink()
    with pytest.raises(SettingError, match=r"round_00.*no such file; round 2 is there: give branch\.rounds=\[2\]"):
        read(copy, "pruning.rewind=last")
    ticket_path(copy, 2).unlink()
    with pytest.raises(SettingError, match=r"branch\.rounds: .* has no ticket of a pruned round; give branch\.rounds"):
        read(copy)


@pytest.mark.slow
def test_damaged_files_are_named(read, copy):
    path = ticket_path(copy, 2)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SettingError, match=r"^branch\.of: .*round_02\.safetensors: cut off or changed"):
        read(copy)
    shutil.copy(ticket_path(copy, 1), path)
    with pytest.raises(SettingError, match=r"^branch\.of: .*round_02\.safetensors: sound, but not the file that"):
        read(copy)
    read(copy, "branch.rounds=[1]")
    rewind_path(copy).unlink()
    with pytest.raises(SettingError, match=r"^branch\.of: .*rewind\.safetensors: no such file"):
        read(copy, "branch.rounds=[1]")
    (copy / "state/round_01.json").unlink()
    with pytest.raises(SettingError, match=r"branch\.rounds: .* has no round 1; give some of 0, 2"):
        read(copy, "branch.rounds=[1]", "pruning.rewind=none")


@pytest.mark.slow
def test_a_run_without_a_round_or_with_strange_settings_is_refused(read, copy):
    said = json.loads((copy / "run.json").read_text())["config"]
    describe(copy, config={**said, "pruning": {**said["pruning"], "rewind": "odd"}})
    with pytest.raises(SettingError, match=r"^branch\.of: .*run\.json: pruning\.rewind: 'odd' is none of"):
        read(copy)
    describe(copy, config=said)
    shutil.rmtree(copy / "state")
    with pytest.raises(SettingError, match=r"branch\.of: .* has no round that is over yet"):
        read(copy)


@pytest.mark.slow
def test_a_branch_is_no_trunk(read, branch, trunk):
    run = branch(trunk, "branch.rounds=[1]")
    with pytest.raises(
        SettingError, match=rf"branch\.of: {run} is a branch itself; give its trunk, branch\.of={trunk}"
    ):
        read(run)


@pytest.mark.slow
def test_other_rows_are_refused(configure, copy, corpus, tmp_path):
    fewer = shutil.copytree(corpus, tmp_path / "corpus")
    train = next(fewer.glob("test.*"))
    train.write_text("\n".join(train.read_text().splitlines()[:-1]) + "\n")
    config = configure("data=files", f"data.path={fewer}", *SMALL, f"branch.of={copy}")
    with pytest.raises(SettingError, match=r"branch\.of: .* is a run on other data \(test differs\)"):
        check_corpus(config, load_corpus(config.data).fingerprints)
    same = configure("data=files", f"data.path={corpus}", *SMALL, f"branch.of={copy}")
    check_corpus(same, load_corpus(same.data).fingerprints)
