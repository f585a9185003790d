"""Batches: every row once an epoch, for any number of processes, of similar lengths, and padded beyond them alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from lt_lightning.data.batches import Batch, BatchedTexts, LengthBuckets
from lt_lightning.data.encoding import EncodedTexts
from lt_lightning.data.vocabulary import PADDING


def encoded(lengths: list[int]) -> EncodedTexts:
    """Texts whose words are numbered on from 2, so that each is seen to be where it belongs."""
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    return EncodedTexts(
        torch.arange(2, 2 + int(offsets[-1]), dtype=torch.int32), offsets, torch.arange(len(lengths)) % 3
    )


def shares(lengths, batch_size, shuffle=None, processes=1, epoch=0):
    """What each process gets in an epoch."""
    dealt = []
    for rank in range(processes):
        sampler = LengthBuckets(torch.tensor(lengths), batch_size, shuffle=shuffle, processes=processes, rank=rank)
        sampler.set_epoch(epoch)
        dealt.append(list(sampler))
        assert len(sampler) == len(dealt[-1])
    return dealt


lengths_of_texts = st.lists(st.integers(0, 30), min_size=4, max_size=300)
batch_sizes = st.integers(1, 40)
process_counts = st.integers(1, 4)
shuffles = st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 30))


@given(lengths_of_texts, batch_sizes, process_counts, shuffles, st.integers(0, 100))
def test_every_row_is_seen_once_an_epoch(lengths, batch_size, processes, shuffle, epoch):
    dealt = shares(lengths, batch_size, shuffle, processes, epoch)
    rows = torch.cat([share.rows for of_rank in dealt for share in of_rank])
    assert sorted(rows.tolist()) == list(range(len(lengths)))


@given(lengths_of_texts, batch_sizes, process_counts, shuffles)
def test_all_processes_take_part_in_every_step(lengths, batch_size, processes, shuffle):
    dealt = shares(lengths, batch_size, shuffle, processes)
    assert len({len(of_rank) for of_rank in dealt}) == 1
    for step in zip(*dealt, strict=True):
        sizes = [len(share.rows) for share in step]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
        assert {share.global_rows for share in step} == {sum(sizes)}
        words = sum(lengths[row] for share in step for row in share.rows.tolist())
        assert {share.global_words for share in step} == {words}
        assert max(sizes) <= batch_size + 1  # one more only where the last rows are too few for a step of their own


@given(lengths_of_texts, st.integers(1, 10), st.integers(2, 4), shuffles)
def test_several_processes_see_together_what_one_would_see(lengths, batch_size, processes, shuffle):
    assume(not 0 < len(lengths) % (batch_size * processes) < processes)  # too few rows for a last step of all
    [alone] = shares(lengths, batch_size * processes, shuffle)
    together = shares(lengths, batch_size, shuffle, processes)
    for one, step in zip(alone, zip(*together, strict=True), strict=True):
        assert sorted(one.rows.tolist()) == sorted(torch.cat([share.rows for share in step]).tolist())


def test_processes_have_texts_of_like_lengths_in_every_step():
    """The slowest process sets the pace: none may always get the longest of the step."""
    dealt = shares(list(range(640)), 10, (0, 0), 4)
    work = [sum(len(share.rows) * int(share.rows.max()) for share in of_rank) for of_rank in dealt]
    assert max(work) < 1.02 * min(work)


def test_the_shuffle_depends_on_seed_round_and_epoch_alone():
    lengths = torch.randint(1, 40, (500,), generator=torch.Generator().manual_seed(0)).tolist()

    def order(seed, round, epoch):
        torch.manual_seed(torch.seed())  # whatever else is drawn
        [dealt] = shares(lengths, 8, (seed, round), 1, epoch)
        return torch.cat([share.rows for share in dealt]).tolist()

    assert order(1, 2, 3) == order(1, 2, 3)
    others = [order(seed, round, epoch) for seed in (0, 1) for round in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(other) for other in others}) == len(others)


def test_a_sampler_that_went_through_other_epochs_deals_the_same():
    """As after an interruption: the third epoch is the third epoch, whether the first two were seen or not."""
    sampler = LengthBuckets(torch.arange(100), 4, shuffle=(0, 0))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        rows = torch.cat([share.rows for share in sampler])
    [fresh] = shares(list(range(100)), 4, (0, 0), 1, 2)
    assert torch.equal(rows, torch.cat([share.rows for share in fresh]))


def test_without_a_shuffle_the_order_is_fixed_and_by_length():
    lengths = [5, 1, 4, 1, 3]
    [dealt] = shares(lengths, 2)
    assert [share.rows.tolist() for share in dealt] == [[1, 3], [4, 2], [0]]
    assert shares(lengths, 2, epoch=7)[0][0].rows.tolist() == [1, 3]


def test_short_texts_do_not_always_come_first():
    [dealt] = shares(list(range(640)), 10, (0, 0))
    longest = [int(share.rows.max()) for share in dealt]
    assert longest != sorted(longest)
    assert abs(np.corrcoef(longest, np.arange(64))[0, 1]) < 0.4


def test_a_batch_is_not_the_same_company_every_epoch():
    lengths = list(range(6400))  # no two alike, so that sorting all of them would always bring the same together
    first, second = ([share.rows for share in shares(lengths, 10, (0, 0), 1, epoch)[0]] for epoch in (0, 1))
    company = {int(row): set(rows.tolist()) for rows in first for row in rows}
    kept = [len(company[int(row)] & set(rows.tolist())) - 1 for rows in second for row in rows]
    assert np.mean(kept) < 2  # of nine neighbours


def padding_share(lengths: torch.Tensor, batches: list[torch.Tensor]) -> float:
    padded = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return 1 - int(lengths.sum()) / padded


def test_buckets_need_far_less_padding_than_random_batches():
    lengths = torch.from_numpy(np.random.default_rng(0).zipf(1.5, 20_000).clip(1, 500) + 3)
    buckets = [share.rows for share in LengthBuckets(lengths, 64, shuffle=(0, 0))]
    drawn = list(torch.randperm(20_000, generator=torch.Generator().manual_seed(0)).split(64))
    assert padding_share(lengths, drawn) > 0.8
    assert padding_share(lengths, buckets) < 0.2


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_than_processes_are_refused_with_the_remedy(rows, refused):
    with refused("data", f"{rows} row{'s' * (rows > 1)} for 4 processes", f"trainer.devices={rows}"):
        LengthBuckets(torch.ones(rows, dtype=torch.int64), 8, processes=4)


@given(lengths_of_texts, batch_sizes, process_counts, shuffles)
def test_a_batch_holds_its_rows_words_and_padding_beyond_them(lengths, batch_size, processes, shuffle):
    texts = encoded(lengths)
    batches = BatchedTexts(texts)
    assert len(batches) == len(lengths)
    for of_rank in shares(lengths, batch_size, shuffle, processes):
        for share in of_rank:
            batch = batches[share]
            expected = [texts.ids[texts.offsets[row] : texts.offsets[row + 1]].tolist() for row in share.rows]
            width = max(1, *map(len, expected))
            assert batch.ids.tolist() == [words + [PADDING] * (width - len(words)) for words in expected]
            assert batch.lengths.tolist() == list(map(len, expected))
            assert batch.labels.tolist() == [row % 3 for row in share.rows.tolist()]
            assert batch.global_rows == share.global_rows
            assert batch.global_words == share.global_words
            assert {tensor.dtype for tensor in batch[:3]} == {torch.int64}


def test_texts_without_any_word_are_padding():
    texts = encoded([0, 0])
    [[share]] = shares([0, 0], 2)
    batch = BatchedTexts(texts)[share]
    assert batch.ids.tolist() == [[PADDING], [PADDING]]
    assert batch.lengths.tolist() == [0, 0]
    assert (batch.global_rows, batch.global_words) == (2, 0)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_data_loader_hands_out_the_batches_as_they_are(workers):
    texts = encoded([3, 1, 2, 5, 4])
    sampler = LengthBuckets(texts.lengths, 2, shuffle=(0, 0))
    loader = DataLoader(BatchedTexts(texts), sampler=sampler, batch_size=None, num_workers=workers)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert all(isinstance(batch, Batch) for batch in batches)
    for batch, share in zip(batches, sampler, strict=True):
        assert all(
            torch.equal(one, other) for one, other in zip(batch[:3], BatchedTexts(texts)[share][:3], strict=True)
        )
