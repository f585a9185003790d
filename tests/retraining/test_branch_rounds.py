"""Branches: the masks and weights that their rounds begin with, and their numbers."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from trunks import TRUNK

from lt_lightning.callbacks import PruningCallback
from lt_lightning.errors import SettingError
from lt_lightning.lottery import LotteryError, Mask, control_mask, derive_seed, shuffle_weights
from lt_lightning.runs.branch import read_branch
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from lt_lightning.runs.rounds import find_standing, ticket_path


def ticket(run: Path, number: int) -> RoundTicket:
    return RoundTicket.load(ticket_path(run, number))


def times(weights, mask):
    return {name: weights[name] * mask[name] if name in mask else weights[name] for name in weights}


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def results(run: Path, rounds=(1, 2)) -> list[Record]:
    """Return the rows of these rounds without their durations."""
    rows = read_records(run / "results.csv", Record)
    return [dataclasses.replace(row, seconds=0.0) for row in rows if row.round in rounds]


def rows(run: Path, name: str, kind, rounds=(1, 2)):
    return [row for row in read_records(run / name, kind) if row.round in rounds]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("pruning.rewind=init", "scheduler=cosine"), id="init"),
        *(
            pytest.param(settings, id=settings[0].partition("=")[2], marks=pytest.mark.slow)
            for settings in (
                ("pruning.rewind=epoch:1", "model=cnn", "trainer.precision=64-true"),
                ("pruning.rewind=last", "pruning.scope=global"),
                ("pruning.rewind=random", "optimizer=sgd", "test_on=best"),
                ("pruning.rewind=shuffle", "early_stopping.patience=1"),
            )
        ),
    ],
)
def test_a_branch_with_its_trunks_settings_has_its_trunks_numbers(play_small, branch, tmp_path, settings):
    trunk = play_small(tmp_path / "trunk", *TRUNK, *settings)
    run = branch(trunk, *settings)
    assert results(run) == results(trunk)
    for name, kind in (("layers.csv", LayerRecord), ("epochs.csv", EpochRecord), ("confusion.csv", ConfusionRecord)):
        assert rows(run, name, kind) == rows(trunk, name, kind)
    for number in (1, 2):
        found, expected = (RoundTicket.load(ticket_path(one, number)) for one in (run, trunk))
        assert (found.mask, found.about, found.tokenizer) == (expected.mask, expected.about, expected.tokenizer)
        assert [*found.weights] == [*expected.weights]
        assert all(same_bits(found.weights[name], weight) for name, weight in expected.weights.items())


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.slow
def test_rounds_keep_their_numbers_and_their_starts_go(trunk, branch):
    run = branch(trunk, "branch.rounds=[2]")
    with (run / "results.csv").open() as file:
        assert [row["round"] for row in csv.DictReader(file)] == ["2"]
    assert [path.name for path in (run / "tickets").iterdir()] == ["round_02.safetensors"]
    assert sorted(path.name for path in (run / "state").iterdir()) == [
        "branch.json", "frozen.safetensors", "round_02.json",
    ]  # fmt: skip
    standing = find_standing(run)
    assert [one.record.round for one in standing.rounds] == [2]
    assert (standing.damages, standing.stale) == ((), ())


def test_a_branch_says_of_which_run_it_is_and_has_its_full_network(trunk, branch):
    run = branch(trunk, "branch.rounds=[2]")
    said = json.loads((run / "run.json").read_text())["branch"]
    assert (said["of"], said["rounds"], said["rewind"]) == (str(trunk), [2], "init")
    assert said["tickets"] == [find_standing(trunk).rounds[2].ticket]
    found = read_run(run)
    assert found.description.branch == read_branch(run)
    assert found.full == read_run(trunk).records[0]
    assert [record.round for record in found.compared] == [0, 2]
    assert (found.damages, found.record(0)) == ((), None)


@pytest.mark.slow
def test_the_trunk_is_only_read(trunk, branch):
    def files():
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in trunk.rglob("*") if path.is_file()}

    before = files()
    branch(trunk, "branch.rounds=[1]", "pruning.mask=shuffle")
    assert files() == before


@pytest.mark.parametrize("kind", ["shuffle", pytest.param("random", marks=pytest.mark.slow), "invert"])
def test_a_control_mask_has_the_counts_of_the_ticket_and_other_places(trunk, branch, starts, kind):
    run = branch(trunk, f"pruning.mask={kind}")
    first = read_rewind_weights(trunk)
    magnitudes = {name: value.abs() for name, value in ticket(trunk, 0).weights.items()}
    for begun, number in zip(starts, (1, 2), strict=True):
        pruned, mask = ticket(trunk, number).mask, ticket(run, number).mask
        expected = control_mask(
            kind, pruned, Mask.ones(pruned), derive_seed(3, "mask", number), magnitudes if kind == "invert" else None
        )
        assert mask == expected
        assert mask.counts == pruned.counts
        assert mask != pruned
        assert equal(begun, times(first, mask))
    assert [row.alive for row in rows(run, "layers.csv", LayerRecord)] == [
        row.alive for row in rows(trunk, "layers.csv", LayerRecord)
    ]


@pytest.mark.slow
def test_with_none_a_round_begins_with_the_tickets_trained_weights(trunk, branch, starts):
    branch(trunk, "pruning.rewind=none", "optimizer.lr=0.001")
    for begun, number in zip(starts, (1, 2), strict=True):
        assert equal(begun, dict(ticket(trunk, number).weights))


@pytest.mark.slow
def test_with_last_a_round_begins_with_the_weights_of_round_0_times_its_mask(trunk, branch, starts):
    branch(trunk, "pruning.rewind=last")
    for begun, number in zip(starts, (1, 2), strict=True):
        assert equal(begun, times(ticket(trunk, 0).weights, ticket(trunk, number).mask))


@pytest.mark.slow
def test_with_random_each_round_begins_with_weights_of_its_own(trunk, branch, starts):
    branch(trunk, "pruning.rewind=random")
    first, (one, two) = read_rewind_weights(trunk), starts
    for begun, number in ((one, 1), (two, 2)):
        mask = ticket(trunk, number).mask
        assert equal(begun, times(begun, mask))
        for name in ("embedding.weight", "fc.weight"):
            assert not (begun[name][mask[name]] == first[name][mask[name]]).any()
    both = ticket(trunk, 2).mask["embedding.weight"]
    assert not (one["embedding.weight"][both] == two["embedding.weight"][both]).any()


@pytest.mark.slow
def test_with_shuffle_a_round_begins_with_permuted_first_weights(trunk, branch, starts):
    branch(trunk, "pruning.rewind=shuffle")
    for begun, number in zip(starts, (1, 2), strict=True):
        weights, mask = read_rewind_weights(trunk), ticket(trunk, number).mask
        shuffle_weights({name: weights[name] for name in mask}, derive_seed(3, "rewind", number))
        assert equal(begun, times(weights, mask))


@pytest.mark.slow
def test_what_is_kept_stays_as_the_ticket_has_trained_it(trunk, branch, starts):
    branch(trunk, "pruning.keep=[fc.*]", "branch.rounds=[2]")
    first, trained = read_rewind_weights(trunk), ticket(trunk, 2)
    for name, begun in starts[0].items():
        source = trained.weights if name.startswith("fc.") else first
        assert torch.equal(begun, source[name] * trained.mask[name])


def test_what_is_renewed_is_drawn_by_the_round_as_the_trunk_draws_it(play_small, branch, tmp_path, starts):
    renewed = ("pruning.renew=[fc.*]",)
    starts.clear()
    trunk = play_small(tmp_path / "trunk", *TRUNK, *renewed)
    own = list(starts)
    assert equal(own[0], read_rewind_weights(trunk))
    run = branch(trunk, *renewed, "branch.rounds=[0,2]")
    assert equal(starts[0], own[0])
    assert equal(starts[1], own[2])
    assert results(run, (0, 2)) == results(trunk, (0, 2))
    mask = ticket(trunk, 2).mask
    for name in ("fc.weight", "embedding.weight"):
        rewound = torch.equal(starts[1][name], own[0][name] * mask[name])
        assert rewound is not name.startswith("fc.")
        assert not starts[1][name][~mask[name]].any()
    said = json.loads((run / "run.json").read_text())["config"]["pruning"]
    assert said["renew"] == ["fc.*"]
    control = branch(trunk, *renewed, "branch.rounds=[2]", "pruning.mask=shuffle")
    assert ticket(control, 2).mask.counts == mask.counts
    assert (starts[0]["fc.weight"] != 0).sum() == mask["fc.weight"].sum()


@pytest.mark.slow
def test_round_0_trains_the_whole_network_again(trunk, branch, starts):
    same = branch(trunk, "branch.rounds=[0,2]")
    assert results(same, (0, 2)) == results(trunk, (0, 2))
    assert equal(starts[0], read_rewind_weights(trunk))
    other = branch(trunk, "branch.rounds=[0]", "seed_order=8")
    assert results(other, (0,)) != results(trunk, (0,))
    found = read_run(other)
    assert found.record(0) != found.full == read_run(trunk).records[0]


@pytest.mark.slow
def test_other_settings_train_the_same_ticket_otherwise(trunk, branch, starts):
    masks = {}
    for setting in ("optimizer.lr=0.001", "trainer.max_epochs=1", "optimizer=sgd", "seed_order=1"):
        run = branch(trunk, "branch.rounds=[2]", setting)
        assert equal(starts[0], times(read_rewind_weights(trunk), ticket(trunk, 2).mask))
        assert results(run, (2,)) != results(trunk, (2,))
        masks[setting] = ticket(run, 2).mask
    assert all(mask == ticket(trunk, 2).mask for mask in masks.values())


@pytest.mark.slow
def test_all_pruned_rounds_with_tickets_are_trained_without_a_choice(trunk, branch, tmp_path):
    fewer = shutil.copytree(trunk, tmp_path / "fewer")
    ticket_path(fewer, 1).unlink()
    assert [row.round for row in results(branch(fewer), range(9))] == [2]


@pytest.mark.slow
def test_a_branch_of_a_pruned_network_begins_with_its_mask(play_small, branch, tmp_path, starts):
    once = ("pruning.schedule=at_init", "pruning.density=0.3")
    trunk = play_small(tmp_path / "trunk", *TRUNK, *once)
    run = branch(trunk)
    assert results(run, (0,)) == results(trunk, (0,))
    assert 0.2 < ticket(run, 0).mask.alive / ticket(run, 0).mask.total < 0.4
    with pytest.raises(SettingError, match=r"pruning\.mask: the network of .* was pruned before round 0 trained"):
        branch(trunk, "pruning.mask=shuffle")


def test_a_start_that_does_not_fit_the_network_is_refused(trunk, branch):
    with pytest.raises(LotteryError, match=r"keep: the pattern 'gc\.\*' matches no parameter"):
        branch(trunk, "pruning.keep=[gc.*]")


@pytest.mark.slow
def test_the_callback_of_a_branch_prunes_nothing(trunk, branch, monkeypatch):
    made = []
    monkeypatch.setattr(
        "lt_lightning.experiment.plan.PruningCallback",
        lambda **settings: made.append(settings) or PruningCallback(**settings),
    )
    branch(trunk, "branch.rounds=[1,2]")
    assert [(one["rewind"], one["schedule"], one["mask"]) for one in made] == [("none", "rounds", "pruned")] * 2
