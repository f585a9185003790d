"""What a tagger owes: the same answers however it is fed, no look ahead, and the lecture's bounds."""

from itertools import product

import pytest
import torch
from torch import nn

from lt_lightning.models import Tagger
from lt_lightning.models.embedding import LetterEmbedding, OneHot
from lt_lightning.models.rnn.cells import CELLS

LETTERS = 5
HIHELL, IHELLO = torch.tensor([[0, 1, 0, 2, 3, 3]]), torch.tensor([[1, 0, 2, 3, 3, 4]])  # of the alphabet hielo


def make(seed: int = 0, **settings: object) -> Tagger:
    torch.manual_seed(seed)
    if settings.get("cell") == "gru_chung":
        settings.setdefault("backend", "equations")
    return Tagger(OneHot(LETTERS), LETTERS, **settings).double()  # pyright: ignore[reportArgumentType]


@pytest.fixture(autouse=True)
def in_double_precision() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("cell", [*CELLS, "none"])
@pytest.mark.parametrize("head", ["direct", "linear"])
def test_steps_and_sequence_give_the_same_numbers_and_gradients(cell: str, head: str) -> None:
    one, other = make(cell=cell, head=head, unroll="steps"), make(cell=cell, head=head, unroll="sequence")
    ids = torch.randint(0, LETTERS, (4, 9))
    for network in (one, other):
        nn.functional.cross_entropy(network(ids).flatten(0, 1), ids.roll(-1, 1).flatten()).backward()
    torch.testing.assert_close(one(ids), other(ids), rtol=0, atol=1e-12)
    for mine, its in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", [*CELLS, "none"])
def test_an_answer_knows_the_letters_up_to_its_own_and_none_after_it(cell: str) -> None:
    network = make(cell=cell, layers=1)
    ids = torch.randint(0, LETTERS, (1, 8))
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % LETTERS
    same = (network(ids) == network(changed)).all(dim=2)[0].tolist()
    expected = [True] * 5 + [False] + [cell == "none"] * 2  # without a memory nothing later changes
    assert same == expected


@pytest.mark.parametrize("cell", list(CELLS))
def test_states_as_logits_lie_between_minus_one_and_one_so_the_loss_has_a_floor(cell: str) -> None:
    network = make(cell=cell, head="direct")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(100)  # saturated: as far as the states can go
    ids = torch.randint(0, LETTERS, (200, 6))
    logits = network(ids)
    assert logits.abs().max() <= 1
    floor = torch.tensor(1 + 4 * torch.e**-2).log()
    assert floor.item() == pytest.approx(0.4327, abs=1e-4)
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), logits.flatten(0, 1).argmax(dim=1), reduction="none")
    assert losses.min() >= floor  # even where the network says its best guess, and it is right


def test_without_memory_no_map_of_letters_is_right_about_more_than_four_of_six() -> None:
    most = max(
        sum(answers[letter] == target for letter, target in zip(HIHELL[0].tolist(), IHELLO[0].tolist(), strict=True))
        for answers in product(range(LETTERS), repeat=LETTERS)
    )
    assert most == 4


@pytest.mark.slow
@pytest.mark.parametrize("head", ["direct", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_the_baseline_ends_at_its_bound_four_letters_of_six_and_two_thirds_of_ln_2(head: str, seed: int) -> None:
    network = make(seed, cell="none", head=head)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    bound = 2 / 3 * torch.log(torch.tensor(2.0)).item()  # four of six letters are a coin's toss between two
    for _ in range(400):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(HIHELL)[0], IHELLO[0])
        loss.backward()
        optimizer.step()
        assert loss.item() > bound
        assert (network(HIHELL).argmax(dim=2) == IHELLO).sum() <= 4
    assert loss.item() == pytest.approx(bound, abs=0.002)


@pytest.mark.parametrize("reader", [lambda: OneHot(LETTERS), lambda: LetterEmbedding(LETTERS, 4)])
def test_padding_after_a_string_changes_no_answer(reader: object) -> None:
    network = Tagger(reader(), LETTERS, cell="gru", hidden=7)  # pyright: ignore
    padded = nn.functional.pad(HIHELL, (0, 3), value=LETTERS)
    torch.testing.assert_close(network(padded)[:, :6], network(HIHELL), rtol=0, atol=1e-12)


def test_one_hot_vectors_are_rows_of_the_identity_and_padding_is_zero() -> None:
    vectors = OneHot(3)(torch.tensor([[0, 2, 3]]))
    assert vectors.tolist() == [[[1, 0, 0], [0, 0, 1], [0, 0, 0]]]


def test_a_network_of_a_hundred_weights() -> None:
    def size(**settings: object) -> int:
        return sum(parameter.numel() for parameter in make(**settings).parameters())

    assert size(cell="rnn", head="direct") == 5 * 5 + 5 * 5 + 2 * 5
    assert size(cell="rnn", head="linear") == 60 + 30
    assert size(cell="lstm", head="direct") == 4 * 60
    assert size(cell="none", head="direct") == 30


def test_a_direct_head_refuses_another_number_of_states() -> None:
    with pytest.raises(ValueError, match="7 for 5"):
        make(head="direct", hidden=7)
