"""A branch that was cut off goes on to the same numbers, without its trunk unless a round must begin anew."""

import json
import shutil
from pathlib import Path

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.experiment.start_run import _is_over
from lt_lightning.runs.rounds import find_standing, ticket_path
from lt_lightning.runtime.job import Job
from trials.kills import outcome

MASK = ("pruning.mask=shuffle", "optimizer.lr=0.01")


@pytest.fixture
def trunk(whole: Path, tmp_path: Path) -> Path:
    """A run that is over, which may be moved."""
    return shutil.copytree(whole, tmp_path / "trunk")


@pytest.fixture(scope="module")
def alone(play, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch that was not cut off."""
    return play(tmp_path_factory.mktemp("alone") / "run", f"branch.of={whole}", *MASK)


def same(left: Path, right: Path) -> bool:
    return outcome(left) == outcome(right)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [20, 60], ids=["in round 1", "in round 2"])
def test_it_ends_as_if_it_had_not_been_cut_off_without_its_trunk(play, cut, trunk, alone, tmp_path, stop):
    run, settings = tmp_path / "cut", (f"branch.of={trunk}", *MASK)
    cut(run, *settings, at=stop)
    kept = {path.name for path in (run / "state").glob("start_*")}
    assert kept == {f"start_{number:02}.safetensors" for number in ((1, 2) if stop == 20 else (2,))}
    said = json.loads((run / "run.json").read_text())["branch"]
    trunk.rename(tmp_path / "moved")
    play(run, *settings, resuming=True)
    assert same(run, alone)
    assert json.loads((run / "run.json").read_text())["branch"] == said
    assert not [*(run / "state").glob("start_*")]


@pytest.mark.slow
def test_a_round_that_is_damaged_begins_anew_from_the_trunk(play, trunk, alone, tmp_path):
    run, settings = tmp_path / "run", (f"branch.of={trunk}", *MASK)
    play(run, *settings)
    ticket = ticket_path(run, 2)
    ticket.write_bytes(ticket.read_bytes()[:-7])
    assert [one.record.round for one in find_standing(run).rounds] == [1]
    moved = trunk.rename(tmp_path / "moved")
    with pytest.raises(SettingError, match=r"branch\.of: round 2 of .*run begins anew, for which its trunk is needed"):
        play(run, *settings, resuming=True)
    moved.rename(trunk)
    play(run, *settings, resuming=True)
    assert same(run, alone)


@pytest.mark.slow
def test_a_round_does_not_begin_anew_with_another_ticket(play, trunk, tmp_path):
    run, settings = tmp_path / "run", (f"branch.of={trunk}", *MASK)
    play(run, *settings)
    ticket_path(run, 2).unlink()
    shutil.rmtree(trunk)
    play(trunk, "optimizer.lr=0.03")
    with pytest.raises(SettingError, match=r"branch\.of: round 2 of .*trunk has another ticket than when .*run began"):
        play(run, *settings, resuming=True)


@pytest.mark.slow
def test_without_the_record_of_its_trunk_it_does_not_go_on(play, alone, whole, tmp_path):
    run = shutil.copytree(alone, tmp_path / "run")
    (run / "state/branch.json").write_text("{}")
    with pytest.raises(SettingError, match=r"state/branch\.json: cut off or changed since it was written"):
        play(run, f"branch.of={whole}", *MASK, resuming=True)
    (run / "state/branch.json").unlink()
    with pytest.raises(SettingError, match=r"has no record of the run that it is a branch of"):
        play(run, f"branch.of={whole}", *MASK, resuming=True)


def test_a_branch_that_is_over_is_left_alone(alone, whole, corpus, configure, capsys):
    from lt_lightning.data.corpus import load_corpus
    from trials.kills import SMALL

    (alone / "report.html").touch()
    config = configure("data=files", f"data.path={corpus}", *SMALL, f"branch.of={whole}", *MASK)
    assert _is_over(Job(config, alone), load_corpus(config.data), is_writer=True)
    assert capsys.readouterr().out == f"{alone}: nothing to do, rounds 1 to 2 are done\n"
    (alone / "report.html").unlink()
