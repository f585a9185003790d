"""What a run will write is estimated before it begins, and said in a line; too little room is a warning."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lt_lightning.config.schema import Config
from lt_lightning.experiment.disk_space import DiskUse, estimate, expected_counts, report_use
from lt_lightning.lottery import Mask, Settings
from lt_lightning.runs.bases import FROZEN, REWIND
from trials.kills import SMALL

Play = Callable[..., Path]
_HEADER = 4096
"""Bytes of a ticket's names, settings and results."""


WIDE = ("embedding.dim=200", "model.filters=40", "trainer.max_epochs=1")


@pytest.mark.parametrize(
    "settings",
    [
        ("pruning.rounds=2", "pruning.amount=0.5"),
        pytest.param(("pruning.rounds=1", "pruning.rewind=none", "pruning.scope=global"), marks=pytest.mark.slow),
    ],
)
def test_a_run_takes_the_room_that_is_expected(
    play_small: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    uses: list[DiskUse] = []
    monkeypatch.setattr("lt_lightning.experiment.experiment.report_use", lambda run, use: uses.append(use) or "")
    run = play_small(tmp_path / "run", *WIDE, *settings)
    sizes = [path.stat().st_size for path in sorted((run / "tickets").iterdir())]
    base = (run / (FROZEN if "pruning.rewind=none" in settings else REWIND)).stat().st_size
    (use,) = uses
    assert use.count == len(sizes)
    assert abs(use.base - base) <= _HEADER
    assert sum(sizes) - use.count * _HEADER <= use.tickets <= 1.1 * sum(sizes)  # less: rows that did not change


def test_too_little_room_is_a_warning(
    play_small: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=1000))
    run = play_small(tmp_path / "run", "pruning.rounds=0", "trainer.max_epochs=1")
    (line,) = (record for record in caplog.records if record.getMessage().startswith("disk: about "))
    assert line.levelno == logging.WARNING
    assert line.getMessage().endswith(
        f" of a ticket; 1 kB are free: free some space in {run}, or give tickets.keep=last"
    )


def test_enough_room_is_a_line_on_the_screen_and_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lt_lightning")
    said = report_use(tmp_path / "none/yet", DiskUse(4_711_640, 9_700_000, 7, 13_600_000))
    (line,) = caplog.records
    assert (line.levelno, line.getMessage()) == (logging.INFO, said)
    assert line.getMessage().startswith(
        "disk: about 28.0 MB: 4.7 MB of weights that are kept once, 9.7 MB of 7 tickets, 13.6 MB of checkpoints while "
        "a round trains; "
    )


def test_counts_are_those_of_the_rounds() -> None:
    mask = Mask({"a": torch.ones(40) > 0, "b": torch.ones(10) > 0})
    some = Settings(amount=(0.5, 0.2), amounts={"b": 0.1})
    assert expected_counts(mask, some, 0, 2) == {0: {"a": 40, "b": 10}, 1: {"a": 20, "b": 9}, 2: {"a": 16, "b": 8}}
    later = Mask({"a": torch.arange(40) < 20, "b": torch.ones(10) > 0})
    assert expected_counts(later, Settings(amount=0.5), 1, 1) == {1: {"a": 10, "b": 5}}
    single = Settings(schedule="at_init", density=0.1, criterion="magnitude")
    assert expected_counts(mask, single, 0, 0) == {0: {"a": 40, "b": 10}}


def test_frozen_weights_are_counted_once_and_fewer_tickets_where_fewer_stay(configure: Callable[..., Config]) -> None:
    network = nn.Sequential(nn.Linear(1000, 100, bias=False), nn.Linear(100, 10, bias=False))
    network[0].requires_grad_(requires_grad=False)
    rounds = {number: {"1.weight": 1000 >> number} for number in range(4)}
    trained = [4 * (1000 >> number) + (125 if number else 0) for number in range(4)]
    for keep, tickets in (("all", sum(trained)), ("last", trained[0] + trained[1])):
        config = configure("data=pydocs", *SMALL, f"tickets.keep={keep}", "trainer.max_epochs=9")
        for rewinds, base in ((True, 4 * 101_000), (False, 4 * 100_000)):
            use = estimate(config, network, rounds, "", rewinds=rewinds, is_begun=False)
            assert (use.base - len('"\\"\\""'), use.tickets) == (base, tickets)
            assert use.checkpoints == 2 * 3 * 4000  # a weight and two moments each, in two files
        assert estimate(config, network, rounds, "", rewinds=True, is_begun=True).base == 0
        assert estimate(config, network, rounds, "", rewinds=True, is_begun=False).starts == 0
        # What a branch begins with is written whole, frozen weights, too.
        branch = replace(config, branch=replace(config.branch, of="run"))
        starts = 4 * 4 * 100_000 + sum(trained)
        assert estimate(branch, network, rounds, "", rewinds=False, is_begun=False).starts == starts
        assert estimate(branch, network, rounds, "", rewinds=False, is_begun=True).starts == 0
