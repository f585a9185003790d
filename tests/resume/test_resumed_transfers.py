"""A run that began with a ticket goes on: before round 0 is over only with the same file, afterwards without it."""

import json
from pathlib import Path

import pytest
import torch
from cutting import packed

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import write_content
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import find_standing, ticket_path


@pytest.fixture
def ticket(whole: Path, tmp_path: Path) -> Path:
    """The ticket of the last round of another run, with weights to rewind to."""
    return packed(whole, 2, tmp_path / "ticket.safetensors")


def same_rounds(left: Path, right: Path, rounds: int) -> bool:
    """Whether both runs have the same tickets, to the last bit."""
    pairs = [[RoundTicket.load(ticket_path(run, number)) for run in (left, right)] for number in range(rounds)]
    return all(
        a.mask == b.mask and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights) for a, b in pairs
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "rewind"), [(20, "init"), (50, "none"), (100, "init")], ids=["in round 0", "in round 1", "in round 2"]
)
def test_it_ends_as_if_it_had_not_been_cut_off(play, cut, ticket, tmp_path, stop, rewind):
    settings = (f"pruning.ticket={ticket}", f"pruning.rewind={rewind}", "seed=4", "scheduler=linear_warmup")
    alone = play(tmp_path / "alone", *settings)
    run = tmp_path / "cut"
    cut(run, *settings, at=stop)
    origin = json.loads((run / "run.json").read_text())["ticket"]
    if find_standing(run).rounds:
        ticket.unlink()  # round 0 is over
    play(run, *settings, resuming=True)
    assert same_rounds(alone, run, 3)
    assert json.loads((run / "run.json").read_text())["ticket"] == origin
    assert origin["alive"] == RoundTicket.load(ticket_path(alone, 0)).mask.alive


@pytest.mark.slow
def test_round_nought_goes_on_only_with_the_file_that_it_began_with(play, cut, whole, ticket, tmp_path):
    settings = (f"pruning.ticket={ticket}", "seed=4")
    run = tmp_path / "cut"
    cut(run, *settings, at=20)
    sound = ticket.read_bytes()
    packed(whole, 1, ticket)
    with pytest.raises(SettingError, match=r"pruning\.ticket: .*ticket.* is not the file that round 0 began with"):
        play(run, *settings, resuming=True)
    ticket.unlink()
    with pytest.raises(SettingError, match=r"no such file; bring it back, or give pruning\.ticket=WHERE IT LIES NOW"):
        play(run, *settings, f"resume={run}", resuming=True)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(sound)
    play(run, f"pruning.ticket={moved}", "seed=4", resuming=True)
    assert json.loads((run / "run.json").read_text())["ticket"]["file"] == str(moved)


@pytest.mark.slow
def test_once_round_nought_is_over_another_place_is_not_even_looked_at(play, cut, ticket, tmp_path, caplog):
    cut(tmp_path / "cut", f"pruning.ticket={ticket}", "seed=4", at=50)
    before = json.loads((tmp_path / "cut/run.json").read_text())
    run = play(tmp_path / "cut", "pruning.ticket=elsewhere", "seed=4", resuming=True)
    after = json.loads((run / "run.json").read_text())
    assert after["ticket"] == before["ticket"]
    assert after["config"]["pruning"]["ticket"] == str(ticket)
    assert "pruning.ticket is no longer read" in caplog.text


@pytest.mark.slow
def test_half_a_round_is_not_gone_on_with_under_a_mask_that_may_be_another(play, cut, ticket, tmp_path):
    settings = (f"pruning.ticket={ticket}", "seed=4")
    alone = play(tmp_path / "alone", *settings)
    run = tmp_path / "cut"
    cut(run, *settings, at=20)
    said = json.loads((run / "run.json").read_text())
    del said["ticket"]
    write_content(run, said)
    with pytest.raises(SettingError, match=r"the file that round 0 of .* began with is unknown") as refused:
        play(run, *settings, resuming=True)
    (kept,) = (run / "state").glob("round_00*")
    assert f"remove {kept}" in str(refused.value)
    kept.unlink()
    play(run, *settings, resuming=True)
    assert same_rounds(alone, run, 3)


@pytest.mark.slow
def test_a_ticket_is_a_setting_that_matters(play, check, whole, ticket, tmp_path):
    run = play(tmp_path / "run", f"pruning.ticket={ticket}", "pruning.rounds=0", "trainer.max_epochs=1")

    short = ("pruning.rounds=0", "trainer.max_epochs=1")
    check(run, f"pruning.ticket={ticket}", *short)
    with pytest.raises(SettingError, match=r"pruning\.ticket was .*, not null"):
        check(run, *short)
    check(run, "pruning.ticket=elsewhere", *short)
    with pytest.raises(SettingError, match=r"pruning\.ticket was null, not "):
        check(whole, f"pruning.ticket={ticket}")
