"""`benchmarks.rounds`, run tiny: it measures what it says, and its peers prune what they should."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.pruning_peers import PERCENTILE_PEERS, PRUNING_PEERS, by_numpy, by_sorting
from benchmarks.rounds import main, parse, sum_rounds
from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask, prune


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_rounds_are_measured_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--words", "60", "--rounds", "2", "--epochs", "2", "--times", "2", "--steps", "5", "--threads", "1"]
    main([*words, "--density", "0.5", "--json", str(tmp_path / "rounds.json")])
    kept = json.loads((tmp_path / "rounds.json").read_text())
    rounds = kept["seconds"]["rounds"]
    assert [len(rounds[name]) for name in ("a round", "all but the work", "of it between epochs")] == [2, 2, 2]
    for whole, work, rest in zip(
        rounds["a round"], rounds["its work: steps, validation, test"], rounds["all but the work"], strict=True
    ):
        assert 0 < work < whole
        assert whole == pytest.approx(work + rest)
    assert set(kept["seconds"]["pruning at density 0.5"]) == {*PRUNING_PEERS, *PERCENTILE_PEERS}
    assert [len(numbers) for numbers in kept["seconds"]["steps"].values()] == [5, 5]
    assert "Lightning around a step: " in capsys.readouterr().out


def test_work_is_what_is_between_its_events_and_the_last_round_does_not_count() -> None:
    events = (
        "setup_fit 0\nwork_begins 1\nwork_ends 9\nsetup_fit 10\nwork_begins 11\nwork_ends 14\nepoch_ended 14\n"
        "epoch_begins 16\nwork_begins 16\nwork_ends 17\nepoch_ended 17\nsetup_test 18\nwork_begins 18.5\n"
        "work_ends 19\nsetup_fit 20\nwork_begins 21"
    )
    assert sum_rounds(events) == {
        "a round": [10.0], "its work: steps, validation, test": [4.5], "all but the work": [5.5],
        "of it between epochs": [2.0],
    }  # fmt: skip


def test_peers_prune_what_prune_does() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, generator=generator) for name, size in (("a", 500), ("b", 77))}
    mask = Mask({name: torch.rand(weight.shape, generator=generator) < 0.6 for name, weight in weights.items()})
    mask.apply_(weights)
    scores = {name: weight.abs() for name, weight in weights.items()}
    assert by_sorting(weights, mask, 0.3) == prune(scores, mask, 0.3, scope="global")
    ours = prune(scores, mask, 0.3, threshold="percentile")
    assert {name: kept.astype(bool).tolist() for name, kept in by_numpy(weights, mask, 0.3).items()} == {
        name: kept.tolist() for name, kept in ours.items()
    }


@pytest.mark.parametrize(("words", "said"), [
    (["--rounds", "1"], "--rounds: 1 is too small; give at least 2"),
    (["--density", "0"], "--density: 0.0 is not in"),
    (["--json", "no/such/folder/x.json"], "--json: there is no folder"),
])  # fmt: skip
def test_options_out_of_range_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse(words)
