"""Runs that start from a ticket: what their networks are as training begins, checked entry by entry."""

import pytest
import torch
from torch import Tensor

from lt_lightning.lottery import Mask
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.description import Description
from lt_lightning.runs.notes import transfer_line
from lt_lightning.runs.records import Record

Weights = dict[str, Tensor]


def times(weights: Weights, mask: Mask) -> Weights:
    return {name: weights[name] * mask[name] if name in mask else weights[name] for name in weights}


def equal(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("keep", [False, True], ids=["drawn again", "in the file"])
@pytest.mark.parametrize("number", [1, 3])
def test_with_init_a_run_begins_as_that_round_of_the_source_did(play, source, pack, number: int, keep: bool) -> None:
    ticket = pack(source, number, keep=keep)
    run = play("three", f"pruning.ticket={ticket}", "pruning.rounds=0", "seed=3")
    assert equal(run.starts[0], source.starts[number])
    assert run.ticket(0).mask == source.ticket(number).mask
    assert run.described["ticket"]["fresh"] == []
    (record,) = read_records(run.folder / "results.csv", Record)
    assert record.alive == source.ticket(number).mask.alive
    assert 0.3 < record.sparsity < 0.8


@pytest.mark.slow
def test_with_none_a_run_begins_with_the_tickets_trained_weights(play, source, pack) -> None:
    run = play("three", f"pruning.ticket={pack(source, 2)}", "pruning.rounds=0", "pruning.rewind=none", "seed=3")
    assert equal(run.starts[0], dict(source.ticket(2).weights))
    assert run.described["ticket"]["weights"] == "trained"


@pytest.mark.slow
@pytest.mark.parametrize("rewind", ["last", "epoch:1", "step:2"])
def test_with_any_other_rewind_a_run_begins_with_its_own_weights_times_the_mask(play, source, pack, rewind) -> None:
    settings = ("pruning.rounds=0", f"pruning.rewind={rewind}", "seed=3")
    alone = play("three", *settings).starts[0]
    run = play("three", *settings, f"pruning.ticket={pack(source, 2)}")
    assert equal(run.starts[0], times(alone, source.ticket(2).mask))
    assert run.described["ticket"]["weights"] == "own"


@pytest.mark.slow
@pytest.mark.parametrize("rewind", ["epoch:0", "step:0"])
def test_to_rewind_to_nought_is_init(play, source, pack, rewind: str) -> None:
    settings = ("pruning.rounds=0", "seed=8", f"pruning.ticket={pack(source, 2)}")
    run = play("two", *settings, f"pruning.rewind={rewind}")
    assert equal(run.starts[0], play("two", *settings, "pruning.rewind=init").starts[0])
    assert run.described["ticket"]["weights"] == "first"


@pytest.mark.slow
def test_the_control_shares_no_weight_with_the_ticket_even_on_its_corpus_with_its_seed(play, source, pack) -> None:
    settings = ("pruning.rounds=0", "seed=3", f"pruning.ticket={pack(source, 2)}")
    run = play("three", *settings, "pruning.rewind=random")
    mask, first = source.ticket(2).mask, source.starts[2]
    assert run.ticket(0).mask == mask
    for name, begun in run.starts[0].items():
        assert not begun[~mask[name]].any()
        assert name.endswith("bias") or begun[mask[name]].all()
        assert not (begun[mask[name]] == first[name][mask[name]]).any() or name.endswith("bias")
    assert equal(play("three", *settings, "pruning.rewind=random").starts[0], run.starts[0])
    assert run.described["ticket"]["weights"] == "own"


@pytest.mark.slow
def test_a_ticket_of_another_corpus_is_matched_word_by_word(play, source, pack) -> None:
    settings = ("pruning.rounds=0", "seed=8")
    own = play("two", *settings).starts[0]
    run = play("two", *settings, f"pruning.ticket={pack(source, 2)}")
    start, mask = run.starts[0], run.ticket(0).mask
    theirs, first, living = source.words, source.starts[0], source.ticket(2).mask
    carried = 0
    assert set(run.words) - set(theirs)
    for row, word in enumerate(run.words):
        for column in range(6):
            alive = word in theirs and bool(living["embedding.weight"][theirs.index(word), column])
            assert bool(mask["embedding.weight"][row, column]) == alive
            value = first["embedding.weight"][theirs.index(word), column].item() if alive else 0.0
            assert start["embedding.weight"][row, column].item() == value
        carried += bool(mask["embedding.weight"][row].any())
    for name in start:
        if name.startswith("convs."):
            assert torch.equal(mask[name], living[name])
            assert torch.equal(start[name], first[name] * living[name])
    for name in ("fc.weight", "fc.bias"):
        assert mask[name].all()
        assert torch.equal(start[name], own[name])
    told = run.described["ticket"]
    words = {"carried": carried, "living": int(living["embedding.weight"][2:].any(dim=1).sum()), "here": len(run.words)}
    assert told["words"] == words
    assert told["fresh"] == ["fc.weight", "fc.bias"]
    assert (told["alive"], told["total"]) == (mask.alive, mask.total)
    assert (told["corpus"], told["round"], told["run"]) == ("files", 2, source.folder.name)


@pytest.mark.parametrize("rewind", ["init", "random", "none"])
def test_later_rounds_prune_on_inside_the_tickets_mask(play, source, pack, rewind: str) -> None:
    ticket = pack(source, 1)
    run = play("two", f"pruning.ticket={ticket}", "pruning.rounds=2", "pruning.amount=0.3", f"pruning.rewind={rewind}")
    masks = [run.ticket(number).mask for number in range(3)]
    assert masks[1].is_subset_of(masks[0])
    assert masks[2].is_subset_of(masks[1])
    assert masks[0].alive > masks[1].alive > masks[2].alive
    for number in (1, 2):
        begun = {"init": run.starts[0], "none": dict(run.ticket(number - 1).weights)}.get(rewind)
        expected = run.starts[number] if begun is None else times(begun, masks[number])
        assert equal(run.starts[number], expected)
        assert equal(run.starts[number], times(run.starts[number], masks[number]))
    assert rewind != "random" or not equal(run.starts[1], times(run.starts[0], masks[1]))


@pytest.mark.slow
def test_what_the_run_does_not_prune_begins_whole_with_weights_of_its_own(play, source, pack) -> None:
    settings = ("pruning.rounds=0", "pruning.exclude=[embedding.*]", "seed=3")
    own = play("three", *settings).starts[0]
    run = play("three", *settings, f"pruning.ticket={pack(source, 2)}")
    assert torch.equal(run.starts[0]["embedding.weight"], own["embedding.weight"])
    assert "embedding.weight" not in run.ticket(0).mask
    assert run.described["ticket"]["fresh"] == ["embedding.weight"]
    assert run.described["ticket"]["carried"] == [name for name in own if name != "embedding.weight"]
    assert "words" not in transfer_line(Description.from_json(run.described).ticket)


def test_where_weights_alone_are_pruned_biases_alone_are_drawn_afresh(play, source, pack) -> None:
    settings = ("pruning.rounds=0", 'pruning.include=["*.weight"]', "seed=3")
    run = play("three", *settings, f"pruning.ticket={pack(source, 2)}")
    fresh = "convs.0.bias, convs.1.bias, convs.2.bias, fc.bias"
    assert f"; {fresh} drawn afresh; " in transfer_line(Description.from_json(run.described).ticket)


@pytest.mark.slow
def test_what_neither_prunes_carries_over_where_it_is_known(play, pack) -> None:
    out = ("pruning.exclude=[embedding.*]", "pruning.rounds=1")
    found = play("three", *out)
    own = play("two", *out, "seed=8").starts[0]
    run = play("two", *out, "seed=8", f"pruning.ticket={pack(found, 1)}")
    for row, word in enumerate(run.words):
        known = word in found.words
        table = found.starts[0] if known else own
        expected = table["embedding.weight"][found.words.index(word) if known else row]
        assert torch.equal(run.starts[0]["embedding.weight"][row], expected)
