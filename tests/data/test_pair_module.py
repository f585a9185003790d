"""Pairs as batches: each row once an epoch, its letters where they belong, shared out among processes."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer

from lt_lightning.config.sources import Pairs
from lt_lightning.data.pair_module import PairBatch, PairDataModule
from lt_lightning.data.sources.pairs import PairCorpus

ALPHABET = "edcba"
LOADERS = {"train": "train_dataloader", "valid": "val_dataloader", "test": "test_dataloader"}

CPU = SimpleNamespace(root_device=torch.device("cpu"))


def some_pairs(rows: int) -> tuple[tuple[str, str], ...]:
    """Strings of one to nine letters, and the same with each letter doubled."""
    letters = [ALPHABET[number % 5] + ALPHABET[number // 5 % 5] * (number % 9) for number in range(rows)]
    return tuple((given, "".join(letter * 2 for letter in given)) for given in letters)


@pytest.fixture
def module_of():
    def module_of(seed=0, rows=101, alphabet=ALPHABET, pairs=None, **changes):
        splits = {"train": pairs or some_pairs(rows), "valid": pairs or some_pairs(7), "test": pairs or some_pairs(10)}
        corpus = PairCorpus("some", "here", alphabet, splits)
        return PairDataModule(corpus, Pairs(**{"batch_size": 4, **changes}), seed)

    return module_of


def spelled(data: PairDataModule, batch: PairBatch) -> list[tuple[str, str]]:
    """The pairs of a batch, after a look at the padding."""
    rows = []
    for ids, lengths in ((batch.sources, batch.source_lengths), (batch.targets, batch.target_lengths)):
        assert ids.dtype == lengths.dtype == torch.int64
        assert ids.shape[1] == lengths.max()
        padded = ids == len(data.corpus.alphabet)
        assert torch.equal(padded, torch.arange(ids.shape[1]) >= lengths[:, None])
        strings = [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
        rows.append(["".join(data.words[number] for number in string) for string in strings])
    return list(zip(*rows, strict=True))


def test_letters_are_numbered_in_the_order_of_the_alphabet(module_of):
    data = module_of()
    assert data.words == ["e", "d", "c", "b", "a"]
    assert data.padding == 5
    assert data.tokenizer.encode("abe").ids == [4, 3, 0]
    assert (data.vectors, data.words_found, data.round) == (None, None, 0)
    assert data.rows == {"train": 101, "valid": 7, "test": 10}


def test_the_written_tokenizer_suffices_to_encode(module_of):
    alphabet = "\n<pad>\r é漢\0\u2028"
    again = Tokenizer.from_str(module_of(alphabet=alphabet, pairs=((alphabet, alphabet[::-1]),)).tokenizer.to_str())
    assert again.encode(alphabet).ids == list(range(len(alphabet)))
    assert again.get_vocab() == {letter: number for number, letter in enumerate(alphabet)}
    with pytest.raises(Exception, match="Missing"):
        again.encode("x")


@pytest.mark.parametrize("part", LOADERS)
def test_loaders_hand_out_every_pair_once_with_padding_beyond_it(module_of, part):
    data = module_of()
    loader = getattr(data, LOADERS[part])()
    batches = list(loader)
    assert len(loader) == len(batches) == -(-data.rows[part] // 4)
    assert all(isinstance(batch, PairBatch) for batch in batches)
    seen = [pair for batch in batches for pair in spelled(data, batch)]
    assert Counter(seen) == Counter(data.corpus.splits[part])
    for batch in batches:
        assert batch.global_rows == len(batch.sources)
        assert batch.global_letters == int((batch.targets != 5).sum()) == int(batch.target_lengths.sum())


def test_batches_are_of_targets_of_similar_lengths(module_of):
    """Of targets, not of sources: here, how long a source is says nothing of how long its target is."""
    pairs = tuple(("ab" * (1 + number % 3), "c" * (1 + number * 7 % 50)) for number in range(200))
    for loader in (module_of(pairs=pairs).train_dataloader(), module_of(pairs=pairs).val_dataloader()):
        batches = list(loader)
        assert sum(batch.targets.numel() for batch in batches) < 1.05 * sum(batch.global_letters for batch in batches)


def orders(data: PairDataModule) -> list[list[tuple[str, str]]]:
    return [spelled(data, batch) for batch in data.train_dataloader()]


def test_training_is_shuffled_by_seed_round_and_epoch(module_of):
    one = orders(module_of(seed=1))
    assert one == orders(module_of(seed=1)) != orders(module_of(seed=2))
    data = module_of(seed=1)
    data.round = 1
    assert one != orders(data)
    loader = module_of(seed=1).train_dataloader()
    loader.sampler.set_epoch(1)  # pyright: ignore[reportAttributeAccessIssue]
    assert one != [spelled(data, batch) for batch in loader]


def test_only_training_is_shuffled(module_of):
    one, other = module_of(seed=1), module_of(seed=2)
    other.round = 3
    for part in ("val_dataloader", "test_dataloader"):
        first, second = ([spelled(data, batch) for batch in getattr(data, part)()] for data in (one, other))
        assert first == second


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_every_step(module_of, processes):
    data = module_of()
    dealt = []
    for rank in range(processes):
        data.trainer = SimpleNamespace(world_size=processes, global_rank=rank, strategy=CPU)  # pyright: ignore
        dealt.append(list(data.train_dataloader()))
    assert Counter(pair for of_rank in dealt for batch in of_rank for pair in spelled(data, batch)) == Counter(
        data.corpus.splits["train"]
    )
    for step in zip(*dealt, strict=True):
        assert {batch.global_rows for batch in step} == {sum(len(batch.sources) for batch in step)}
        assert {batch.global_letters for batch in step} == {sum(int(batch.target_lengths.sum()) for batch in step)}


def test_a_single_pair_is_a_batch_but_not_for_two_processes(module_of, refused):
    data = module_of(pairs=(("ab", "abc"),))
    [batch] = data.train_dataloader()
    assert batch.sources.tolist() == [[4, 3]]
    assert batch.targets.tolist() == [[4, 3, 2]]
    assert (batch.global_rows, batch.global_letters) == (1, 3)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0, strategy=CPU)  # pyright: ignore
    with refused("1 row for 2 processes", "trainer.devices=1"):
        data.train_dataloader()
