"""Rounds that prune nothing or leave nothing alive are refused before they train; weights that are not finite, too."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lt_lightning.errors import SettingError
from lt_lightning.experiment.exhaustion import check_round, check_rounds
from lt_lightning.lottery import LotteryError, Mask, Settings, prune
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights, write_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, find_standing, ticket_path, write_round

Play = Callable[..., Path]


@pytest.fixture(scope="module")
def play(play_small: Play) -> Play:
    return partial(play_small, epochs=1)


def possible_rounds(sizes: Sequence[int], settings: Settings) -> int:
    """How many rounds prune something and leave something, by pruning."""
    generator = torch.Generator().manual_seed(0)
    scores = {str(size): torch.rand(size, generator=generator) for size in sizes}
    mask, rounds = Mask.ones(scores), 0
    while True:
        pruned = prune(scores, mask, settings.amount, scope=settings.scope, amount_of=settings.amount_of or "alive")
        if pruned.alive in (0, mask.alive):
            return rounds
        mask, rounds = pruned, rounds + 1


def whole(sizes: Sequence[int]) -> Mask:
    return Mask.ones({str(size): torch.empty(size) for size in sizes})


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@pytest.mark.parametrize("amount_of", ["alive", "all"])
@pytest.mark.parametrize("amount", [0.1, 0.2, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("sizes", [(1000, 30, 4), (7, 3), (1,), (2, 1)])
def test_as_many_rounds_are_possible_as_prune_and_leave_something(sizes, amount, amount_of, scope):
    settings = Settings(amount=amount, amount_of=amount_of, scope=scope)
    possible = possible_rounds(sizes, settings)
    check_rounds(whole(sizes), settings, first=1, rounds=possible)
    with pytest.raises(
        SettingError, match=rf"in round {possible + 1};|round {possible + 1} would prune nothing"
    ) as said:
        check_rounds(whole(sizes), settings, first=1, rounds=possible + 50)
    assert f"pruning.rounds={possible} at most" in str(said.value)


def test_a_list_has_a_share_for_each_round() -> None:
    check_rounds(whole([100]), Settings(amount=[0.5, 0.2]), first=1, rounds=2)
    with pytest.raises(SettingError, match=r"^pruning\.amount: 2 shares are given for 3 rounds; .*pruning\.rounds=2"):
        check_rounds(whole([100]), Settings(amount=[0.5, 0.2]), first=1, rounds=3)


def test_a_share_keeps_its_digits_in_the_message() -> None:
    with pytest.raises(SettingError, match=r"^pruning\.amount: 0\.999999 would leave none of 320,000 parameters alive"):
        check_rounds(whole([320_000]), Settings(amount=0.999999), first=1, rounds=1)


@pytest.mark.parametrize(("setting", "said"), [
    ("pruning.rounds=60", "pruning.rounds: 60 is too many"),
    ("pruning.amount=0.999999", "pruning.amount: 0.999999 would"),
])  # fmt: skip
def test_a_run_that_runs_out_of_parameters_is_refused_before_it_begins(play, tmp_path, setting, said):
    with pytest.raises(SettingError, match=f"^{re.escape(said)}"):
        play(tmp_path / "run", setting)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_a_round_that_prunes_nothing_ends_the_run_and_what_was_played_is_kept(play: Play, tmp_path: Path) -> None:
    # Where weights decide how many go, it shows in the round: of a single value none is below the percentile.
    settings = ["pruning.threshold=percentile", "pruning.amount=0.9", "pruning.include=[fc.bias]"]
    run = tmp_path / "run"
    with pytest.raises(SettingError, match=r"^pruning\.rounds: round (\d+) prunes nothing: it leaves \d of 3 ") as said:
        play(run, *settings, "pruning.rounds=9")
    stopped = int(re.findall(r"round (\d+) prunes", str(said.value))[0])
    assert str(said.value).endswith(f"resume={run} pruning.rounds={stopped - 1}")
    assert [record.round for record in read_records(run / "results.csv", Record)] == list(range(stopped))
    assert len({record.alive for record in read_records(run / "results.csv", Record)}) == stopped
    play(run, *settings, f"pruning.rounds={stopped - 1}", resuming=True)
    assert "finished" in (run / "run.json").read_text()


def test_a_round_that_leaves_nothing_is_named() -> None:
    with pytest.raises(SettingError, match=r"round 2 leaves none of 9 parameters alive; rounds 0 to 1 are kept"):
        check_round(2, 5, 0, 9, "go on")
    with pytest.raises(SettingError, match=r"round 0 leaves none of 9 parameters alive; give another mask"):
        check_round(0, None, 0, 9, "go on")
    check_round(0, None, 9, 9, "go on")
    check_round(1, 9, 8, 9, "go on")


class Spoil(pl.Callback):
    """Makes a bias -infinity as a fit ends: ReLU gives 0 for it, so that no loss shows it."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with torch.no_grad():
            pl_module.get_parameter("network.convs.0.bias")[0] = -torch.inf


@pytest.mark.slow
def test_weights_that_are_not_finite_make_no_ticket(play: Play, tmp_path: Path) -> None:
    callbacks = f"trainer.callbacks=[{{_target_: {__name__}.Spoil}}]"
    with pytest.raises((SettingError, LotteryError), match=r"'convs\.0\.bias' are not finite"):
        play(tmp_path / "run", callbacks)
    assert not list((tmp_path / "run").glob("tickets/*"))
    assert not list((tmp_path / "run/state").glob("round_*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["ticket", "rewind"])
def test_a_run_does_not_go_on_from_weights_that_are_not_finite(play: Play, tmp_path: Path, file: str) -> None:
    run = play(tmp_path / "run", "pruning.rounds=1")
    played: list[PlayedRound] = list(find_standing(run).rounds)
    path = ticket_path(run, 1)
    if file == "ticket":  # sealed anew: every checksum fits
        ticket = RoundTicket.load(path)
        spoilt = torch.where(ticket.mask["fc.bias"], torch.nan, ticket.weights["fc.bias"])
        weights = {**ticket.weights, "fc.bias": spoilt}
        seal = RoundTicket(weights, ticket.mask, ticket.about, ticket.tokenizer).save(path)
        write_round(run, PlayedRound(**{**vars(played[1]), "ticket": seal}))
    else:
        path = run / "state/rewind.safetensors"
        weights = read_rewind_weights(run)
        seal = write_rewind_weights(run, {**weights, "fc.bias": torch.full_like(weights["fc.bias"], -torch.inf)})
        write_round(run, PlayedRound(**{**vars(played[0]), "rewind": seal}))
        # Tickets refer to the file by its checksum.
        assert any("not the file that the run wrote" in damage for damage in find_standing(run).damages)
        return
    assert not find_standing(run).damages
    with pytest.raises(SettingError, match=rf"{path.name}: the weights 'fc\.bias' are not finite.*restore it"):
        play(run, "pruning.rounds=2", resuming=True)
