"""`connect`: copies are what the run trained, errors are what tests measure, and nothing of the run is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lt_lightning import run
from lt_lightning.callbacks import EpochSeeds
from lt_lightning.connect import analysis
from lt_lightning.connect.__main__ import main
from lt_lightning.connect.points import Meter, between
from lt_lightning.connect.records import read_all, read_curves
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from trials.kills import SMALL, write_corpus

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=60, test=30)


@pytest.fixture(scope="module")
def make(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a run of two epochs a round: `make(*settings)`."""

    def make(*settings: str) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "run"
        small = [one for one in SMALL if not one.startswith(("pruning.rounds", "trainer.max_epochs"))]
        common = ["data=files", f"data.path={texts}", *small, "pruning.rounds=1", "trainer.max_epochs=2"]
        run(*common, *settings, f"hydra.run.dir={folder}")
        return folder

    return make


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures, unless a test looks at them."""
    if "tables" not in request.node.name:
        monkeypatch.setattr(analysis, "draw", lambda run, folder, *_: folder / "connectivity.html")


@pytest.fixture(scope="module")
def small(make: Make) -> Path:
    """A run of which every copy has been measured once."""
    folder = make("model.dropout=0.3", "pruning.rounds=2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "draw", lambda run, folder, *_: folder)
        assert main([str(folder), "--points", "4"]) == 0
    return folder


def copy_of(folder: Path, number: int, label: str) -> RoundTicket:
    """Return the trained weights of a copy."""
    return RoundTicket.load(ticket_path(folder / f"connectivity/round_{number:02}/order_{label}", number))


def same(one: RoundTicket, other: RoundTicket) -> bool:
    """Return whether two tickets have the same weights, bit by bit, and masks."""
    weights = all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
    return weights and one.weights.keys() == other.weights.keys() and one.mask == other.mask


def files(folder: Path) -> dict[str, str]:
    """Return a digest of every file of a run but those of its connectivity."""
    found = (path for path in folder.rglob("*") if path.is_file() and "connectivity" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.mark.parametrize("settings", [
    ("pruning.rewind=init", "model.dropout=0.3"),
    pytest.param(("pruning.rewind=epoch:1", "pruning.criterion=random"), marks=pytest.mark.slow),
    pytest.param(("pruning.rewind=last", "trainer.precision=64-true"), marks=pytest.mark.slow),
    ("pruning.rewind=random", "pruning.redraw=[fc.*]"),
    pytest.param(("pruning.rewind=none", "optimizer=sgd", "optimizer.momentum=0.9"), marks=pytest.mark.slow),
    pytest.param(("pruning.rewind=shuffle", "test_on=best"), marks=pytest.mark.slow),
    pytest.param(("pruning.rewind=init", "pruning.keep=[fc.*]"), marks=pytest.mark.slow),
    ("pruning.schedule=at_init", "pruning.density=0.5", "pruning.criterion=snip", "pruning.rounds=0"),
    pytest.param(("pruning.schedule=at_init", "pruning.density=0.5", "pruning.rewind=random", "pruning.rounds=0"),
                 marks=pytest.mark.slow),
])  # fmt: skip
def test_a_copy_in_the_order_of_the_run_is_the_ticket_of_the_run(make: Make, settings: tuple[str, ...]) -> None:
    folder = make(*settings)
    before = files(folder)
    assert main([str(folder), "--points", "3", "--seeds", "0,5"]) == 0
    for number in read_all(folder / "connectivity"):
        ticket = RoundTicket.load(ticket_path(folder, number.round))
        assert same(copy_of(folder, number.round, "0"), ticket)
        assert not same(copy_of(folder, number.round, "5"), ticket)
        assert copy_of(folder, number.round, "5").mask == ticket.mask
    assert files(folder) == before


@pytest.mark.slow
def test_equal_orders_give_equal_weights_and_no_instability(small: Path) -> None:
    assert main([str(small), "--rounds", "1", "--seeds", "3,3", "--points", "5"]) == 0
    found = read_curves(small / "connectivity", 1)
    assert found is not None
    assert same(copy_of(small, 1, "3"), copy_of(small, 1, "3_2"))
    assert [found.instability(part) for part in ("test", "train")] == [0, 0]
    assert len(set(found.curves[0].errors["train"])) == 1


def test_the_ends_are_what_the_test_of_each_copy_measured(small: Path) -> None:
    found = read_curves(small / "connectivity", 2)
    assert found is not None
    (curve,) = found.curves
    ends = curve.errors["test"][0], curve.errors["test"][-1]
    assert ends == tuple(1 - copy_of(small, 2, label).about["test_acc"] for label in curve.pair)
    assert (found.alive, found.total) == (copy_of(small, 2, "0").mask.alive, copy_of(small, 2, "0").mask.total)
    assert 1 - curve.errors["test"][0] == read_run(small).records[2].test_acc  # order 0 is that of the run


@pytest.mark.slow
def test_the_tables_follow_from_the_curves_by_the_definition(small: Path) -> None:
    main([str(small), "--points", "4"])
    points, rounds = (pd.read_csv(small / "connectivity" / f"{name}.csv") for name in ("curves", "instability"))
    assert list(rounds["round"]) == [0, 1, 2]
    assert len(points) == 3 * 2 * 4
    for row in rounds.itertuples():
        for part in ("test", "train"):
            errors = points[(points["round"] == row.round) & (points["part"] == part)].sort_values("alpha")["error"]
            expected = errors.max() - (errors.iloc[0] + errors.iloc[-1]) / 2
            assert getattr(row, f"instability_{part}") == pytest.approx(expected, abs=1e-12)
    page = (small / "connectivity/connectivity.html").read_text(encoding="utf-8")
    assert "Stable rounds" in page
    assert {path.name for path in (small / "connectivity/figures").iterdir()} == {
        "curves.png", "curves.svg", "instability.png", "instability.svg",
    }  # fmt: skip


def test_an_average_is_under_the_mask_and_one_that_is_not_stops_the_command(small: Path) -> None:
    one, other = copy_of(small, 2, "0"), copy_of(small, 2, "1")
    weights, renewed = between(one.weights, other.weights, 0.37, one.mask, [])
    assert all((weights[name][~alive] == 0).all() for name, alive in one.mask.items())
    assert any((weights[name] != 0)[alive].any() for name, alive in one.mask.items())
    assert renewed == []
    spoilt = {**other.weights, "fc.weight": torch.ones_like(other.weights["fc.weight"])}
    with pytest.raises(RuntimeError, match=r"'fc\.weight'"):
        between(one.weights, spoilt, 0.5, one.mask, [])


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again_and_more_copies_add_pairs(small: Path, monkeypatch, capsys) -> None:
    main([str(small), "--points", "4"])
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(analysis, "train_copy", None)
        patch.setattr(Meter, "errors", None)
        assert main([str(small), "--points", "4"]) == 0
    assert "measured already" in capsys.readouterr().out
    assert main([str(small), "--points", "3", "--rounds", "1", "--copies", "3"]) == 0
    said = capsys.readouterr().out
    assert "trains 1 network and measures 6 points on the test and the train part: about " in said
    found = read_curves(small / "connectivity", 1)
    assert found is not None
    assert [curve.pair for curve in found.curves] == [("0", "1"), ("0", "2"), ("1", "2")]
    assert len({curve.errors["test"][0] for curve in found.curves[:2]}) == 1
    assert [one.round for one in read_all(small / "connectivity")] == [0, 1, 2]


@pytest.mark.slow
def test_the_cost_is_printed_before_anything_is_trained(make: Make, monkeypatch, capsys) -> None:
    folder = make()

    def stop(*_: Any) -> None:
        raise InterruptedError

    monkeypatch.setattr(analysis, "train_copy", stop)
    with pytest.raises(InterruptedError):
        main([str(folder)])
    assert "trains 4 networks and measures 60 points" in capsys.readouterr().out


@pytest.mark.slow
def test_a_copy_goes_on_from_its_last_epoch_to_the_same_weights(make: Make, small: Path, monkeypatch) -> None:
    folder, epochs = make("model.dropout=0.3", "pruning.rounds=2"), []
    hook = EpochSeeds.on_train_batch_start

    def stop(self: Any, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        epochs.extend([trainer.current_epoch] * (batch_idx == 0))
        if epochs == [0, 1, 0, 1]:
            raise InterruptedError
        hook(self, trainer, module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(EpochSeeds, "on_train_batch_start", stop)
        with pytest.raises(InterruptedError):
            main([str(folder), "--rounds", "1", "--points", "3"])
        assert len(list((folder / "connectivity/round_01/order_1/state").glob("*.ckpt"))) == 1
        epochs.append(-1)  # let it go on
        assert main([str(folder), "--rounds", "1", "--points", "3"]) == 0
    assert epochs == [0, 1, 0, 1, -1, 1]
    assert all(same(copy_of(folder, 1, label), copy_of(small, 1, label)) for label in ("0", "1"))
    assert not list((folder / "connectivity").rglob("*.ckpt"))


@pytest.mark.slow
def test_a_damaged_copy_and_damaged_curves_are_made_again(make: Make) -> None:
    folder = make()
    main([str(folder), "--rounds", "0", "--points", "3"])
    first, whole = copy_of(folder, 0, "1"), (folder / "connectivity/curves.csv").read_bytes()
    ticket = ticket_path(folder / "connectivity/round_00/order_1", 0)
    ticket.write_bytes(ticket.read_bytes()[:-9])
    (folder / "connectivity/round_00/curves.json").write_text("{}")
    assert main([str(folder), "--rounds", "0", "--points", "3"]) == 0
    assert same(copy_of(folder, 0, "1"), first)
    assert (folder / "connectivity/curves.csv").read_bytes() == whole
