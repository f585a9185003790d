"""Batches: every row once an epoch, for any number of processes, of similar lengths, and padded beyond them alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from lt_lightning.data import loaders
from lt_lightning.data.batches import (
    Batch,
    BatchedTexts,
    FlatRows,
    LengthBuckets,
    Share,
    copy_rows,
    count_measured,
    gather_rows,
)
from lt_lightning.data.encoding import EncodedTexts
from lt_lightning.data.loaders import fits, load_batches
from lt_lightning.data.tokenizer import PADDING


def encoded(lengths: list[int]) -> EncodedTexts:
    """Texts whose words are numbered on from 2, so that each is seen to be where it belongs."""
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    return EncodedTexts(
        torch.arange(2, 2 + int(offsets[-1]), dtype=torch.int32), offsets, torch.arange(len(lengths)) % 3
    )


def shares(lengths, batch_size, shuffle=None, processes=1, epoch=0):
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
    batches = BatchedTexts.of(texts)
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


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_data_loader_hands_out_the_batches_as_they_are(workers):
    texts = encoded([3, 1, 2, 5, 4])
    sampler = LengthBuckets(texts.lengths, 2, shuffle=(0, 0))
    loader = DataLoader(BatchedTexts.of(texts), sampler=sampler, batch_size=None, num_workers=workers)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert all(isinstance(batch, Batch) for batch in batches)
    for batch, share in zip(batches, sampler, strict=True):
        assert all(
            torch.equal(one, other) for one, other in zip(batch[:3], BatchedTexts.of(texts)[share][:3], strict=True)
        )


# On a device. There is none that every machine has but `meta`, whose tensors have shapes and no values: whatever asks
# for a value of one fails, as it would have to wait for a real device.


class Crossings(TorchDispatchMode):
    """Sees that nothing is read from a device, and that what is sent to it is not waited for."""

    sent = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and kwargs.get("device", args[0].device) != args[0].device:
            assert args[0].device.type == "cpu", "read from a device"
            assert kwargs.get("non_blocking"), "waited for"
            self.sent += args[0].numel()
        on_device = any(isinstance(value, torch.Tensor) and value.device.type == "meta" for value in args)
        assert not (on_device and func is torch.ops.aten._local_scalar_dense.default), "asked for a value"
        return func(*args, **kwargs)


@given(lengths_of_texts, batch_sizes, shuffles)
def test_nothing_is_asked_of_a_device_and_only_the_rows_are_sent_to_it(lengths, batch_size, shuffle):
    texts = BatchedTexts.of(encoded(lengths))
    resident = texts.to(torch.device("meta"))
    assert torch.equal(resident.lengths, torch.tensor(lengths))
    [dealt] = shares(lengths, batch_size, shuffle)
    for share in dealt:
        with Crossings() as crossings:
            batch = resident[share]
        assert crossings.sent == 2 * len(share.rows)  # for the ids, and for the labels
        assert {tensor.device.type for tensor in batch[:3]} == {"meta"}
        expected = texts[share]
        assert [(tensor.shape, tensor.dtype) for tensor in batch[:3]] == [(t.shape, t.dtype) for t in expected[:3]]
        assert batch[3:5] == expected[3:5]
        assert batch.counts is not None and batch.counts.tolist() == expected.lengths.tolist()


@given(lengths_of_texts, st.data())
def test_rows_are_gathered_on_a_device_as_they_are_copied_on_the_cpu(lengths, data):
    texts = encoded(lengths)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1)))
    flat = FlatRows.of(texts.ids, texts.offsets)
    for gathered, copied in zip(gather_rows(flat, rows, 7), copy_rows(flat, rows, 7), strict=True):
        gathered, copied = torch.as_tensor(gathered), torch.as_tensor(copied)  # lengths on the host are NumPy's
        assert torch.equal(gathered, copied)
        assert gathered.dtype == copied.dtype == torch.int64


def test_what_reads_from_a_device_is_seen():
    meta = torch.ones(3, device="meta")
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), Crossings():
        int(meta.max())
    with pytest.raises(AssertionError, match="waited for"), Crossings():
        torch.ones(3).to("meta")


def trainer_on(device: str) -> SimpleNamespace:
    return SimpleNamespace(world_size=1, global_rank=0, strategy=SimpleNamespace(root_device=torch.device(device)))


def test_rows_that_fit_are_looked_up_on_the_device_by_no_other_process(monkeypatch, data_config):
    monkeypatch.setattr(loaders, "fits", lambda nbytes, device: device.type == "meta" and nbytes < 10_000)
    config = data_config(num_workers=2)
    for rows, device, expected in ((20, "meta", "meta"), (20, "cpu", "cpu"), (2000, "meta", "cpu")):
        texts = BatchedTexts.of(encoded([3] * rows))
        loader = load_batches(texts, config, trainer_on(device), (0, 0))  # pyright: ignore
        assert loader.num_workers == (0 if expected == "meta" else 2)
        assert loader.dataset[Share(torch.tensor([0]), 1, 3)].ids.device.type == expected  # pyright: ignore


def test_a_quarter_of_what_is_free_on_a_gpu_is_room_enough(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4000, 90_000))
    assert fits(1000, torch.device("cuda", 1))
    assert not fits(1001, torch.device("cuda", 1))
    assert not fits(1, torch.device("cpu"))
    texts = BatchedTexts.of(encoded([3] * 10))
    assert texts.nbytes == 4 * 30 + 8 * 11 + 8 * 10


@pytest.mark.gpu
def test_batches_on_a_gpu_are_those_of_the_cpu():
    texts = BatchedTexts.of(encoded([3, 1, 0, 5, 4] * 20))
    resident = texts.to(torch.device("cuda"))
    for share in LengthBuckets(texts.lengths, 8, shuffle=(0, 0)):
        for one, other in zip(resident[share][:3], texts[share][:3], strict=True):
            assert one.is_cuda
            assert torch.equal(one.cpu(), other)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.integers(1, 9) | st.floats(0, 1))
def test_a_limit_measures_the_rows_of_so_many_batches(rows: int, size: int, processes: int, limit: float) -> None:
    assume(rows >= processes)
    dealt = shares([1] * rows, size, processes=processes)
    batches = len(dealt[0])
    kept = min(limit, batches) if isinstance(limit, int) else int(batches * limit)  # as Lightning counts
    expected = sum(len(share.rows) for of_rank in dealt for share in of_rank[:kept])
    assert count_measured(rows, size, processes, limit) == expected
