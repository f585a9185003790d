"""Heavy tickets may go: those that are not to be kept, and those that someone removed, are not missed."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from cutting import EPOCHS, STEPS, Play

from lt_lightning.export import __main__ as export
from lt_lightning.report import __main__ as report
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import find_standing, ticket_path
from lt_lightning.runs.winners import kept_rounds
from trials.kills import outcome


def expected(run: Path, keep: str) -> list[int]:
    """The rounds to keep, from the table alone."""
    records = read_records(run / "results.csv", Record)
    if keep == "all":
        return [record.round for record in records]
    winners = [one.round for one in records[1:] if one.valid_acc >= records[0].valid_acc] if keep == "winners" else []
    return sorted({*winners, records[-1].round})


def without_old_tickets(whole: Path, run: Path) -> dict[str, bytes]:
    """The files of a whole run without the tickets that another run did not keep."""
    return {name: content for name, content in outcome(whole).items() if name[-4:] == ".csv" or _kept(run, name)}


def _kept(run: Path, name: str) -> bool:
    return (run / "tickets" / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["last", "winners"])
def test_only_the_wanted_tickets_stay_and_no_number_changes(whole: Path, play: Play, tmp_path: Path, keep: str) -> None:
    run = play(tmp_path / "run", f"tickets.keep={keep}")
    assert kept_rounds(run) == expected(whole, keep)
    assert outcome(run) == without_old_tickets(whole, run)
    standing = find_standing(run)
    assert (len(standing.rounds), standing.damages, standing.stale) == (3, (), ())
    for number in kept_rounds(run):  # with what they refer to, which stays
        found, before = (RoundTicket.load(ticket_path(one, number)) for one in (run, whole))
        assert found.mask == before.mask
        assert all(torch.equal(found.weights[name], weight) for name, weight in before.weights.items())


@pytest.mark.slow
def test_a_ticket_stays_until_the_next_round_is_on_record(play, tmp_path, monkeypatch):
    seen: list[list[int]] = []

    def look(run: Path, *given: object) -> None:
        seen.append(kept_rounds(run))
        write_tables(run, *given)  # pyright: ignore

    from lt_lightning.experiment.experiment import write_tables

    monkeypatch.setattr("lt_lightning.experiment.experiment.write_tables", look)
    play(tmp_path / "run", "tickets.keep=last", "trainer.max_epochs=1")
    assert seen == [[], [0], [0, 1], [1, 2]]  # as the tables are written: at the start, then after each round's record


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["last", "winners"])
def test_a_run_that_was_cut_off_goes_on_without_its_old_tickets(whole, play, tmp_path, steps, cut, keep):
    cut(tmp_path / "run", f"tickets.keep={keep}", at=2 * EPOCHS * STEPS + STEPS + 3)
    run = play(tmp_path / "run", f"tickets.keep={keep}", resuming=True)
    assert steps[0] == (EPOCHS - 1) * STEPS
    assert outcome(run) == without_old_tickets(whole, run)
    assert kept_rounds(run) == expected(run, keep)


@pytest.mark.slow
def test_tickets_that_were_to_go_when_the_run_was_killed_go_as_it_goes_on(whole, play, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    play(run, "tickets.keep=last", resuming=True)
    assert kept_rounds(run) == [2]


@pytest.mark.slow
def test_old_tickets_that_someone_removed_are_not_missed(whole, play, tmp_path, steps):
    run = shutil.copytree(whole, tmp_path / "run")
    for number in (0, 1):
        ticket_path(run, number).unlink()
    steps[:] = [0, sys.maxsize]
    play(run, "pruning.rounds=3", resuming=True)
    assert steps[0] == EPOCHS * STEPS  # round 3 alone
    more = play(tmp_path / "more", "pruning.rounds=3")
    assert outcome(run) == without_old_tickets(more, run)
    assert kept_rounds(run) == [2, 3]


def test_without_its_newest_ticket_a_run_goes_back_to_the_newest_that_is_there(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    for number in (1, 2):
        ticket_path(run, number).unlink()
    standing = find_standing(run)
    assert [one.record.round for one in standing.rounds] == [0]
    assert standing.damages[0] == f"{ticket_path(run, 2)}: no such file, and it is the newest ticket"
    ticket_path(run, 0).unlink()
    assert find_standing(run).rounds == ()


@pytest.mark.slow  # draws pages
def test_what_reads_a_run_does_with_the_tickets_that_are_left(whole, play, tmp_path, capsys):
    run = play(tmp_path / "run", "tickets.keep=last", "seed=1")
    assert report.main([str(run)]) == 0
    assert report.main([str(whole), str(run), "-o", str(tmp_path / "both")]) == 0
    (groups,) = tmp_path.glob("both/**/groups.csv")
    rows = groups.read_text().splitlines()
    assert len({row.split(",")[0] for row in rows[1:]}) == 1  # what is kept makes no other experiment
    assert export.main([str(run), "-o", str(tmp_path / "ticket.safetensors")]) == 0
    capsys.readouterr()
    assert export.main([str(run), "--round", "0"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"{ticket_path(run, 0)}: no such file: tickets.keep=last did not keep it; round 2 is there: give --round 2, or "
        "restore the file from a copy\n"
    )
    ticket_path(run, 2).unlink()
    assert export.main([str(run)]) == 2
    assert "no other round's ticket is there" in capsys.readouterr().err
