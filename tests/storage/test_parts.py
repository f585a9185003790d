"""A tensor comes back from its parts to the bit; parts that do not agree are refused."""

import itertools

import pytest
import torch
from torch import Tensor

from lt_lightning.storage.parts import Parts, bits_set, join, pack_bits, split, unpack_bits

TYPES = (
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.complex64,
    torch.complex128, torch.int64, torch.uint8, torch.bool,
)  # fmt: skip
SHAPES = ((), (5,), (7, 3), (4, 2, 3), (0,), (0, 3), (3, 0))


def bits(tensor: Tensor) -> tuple[torch.dtype, torch.Size, bytes]:
    return tensor.dtype, tensor.shape, bytes(tensor.contiguous().untyped_storage())[: tensor.nbytes]


def pruned(tensor: Tensor, alive: Tensor) -> Tensor:
    return torch.where(alive, tensor, torch.zeros_like(tensor))


@pytest.mark.parametrize("kind", TYPES)
def test_a_tensor_of_any_type_and_shape_comes_back_to_the_bit(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    for shape, is_pruned, change in itertools.product(SHAPES, (False, True), ("nothing", "a row", "all")):
        base = (3 * torch.randn(shape)).to(kind)
        tensor = base.clone() if change != "all" else (5 + torch.randn(shape)).to(kind)
        if change == "a row" and len(shape) and len(base) > 2:
            tensor[1] = (5 + torch.randn(shape[1:])).to(kind)
        alive = torch.rand(shape) < 0.5 if is_pruned else None
        tensor = tensor if alive is None else pruned(tensor, alive)
        parts = split(tensor, alive, base)
        found, living = join(parts, shape, base if parts.uses_base else None)
        assert bits(found) == bits(tensor)
        assert living is None if alive is None or alive.all() else torch.equal(living, alive)  # pyright: ignore


def test_what_is_stored_is_what_differs() -> None:
    base = torch.randn(100, 8)
    assert split(base.clone(), None, base) == Parts(None, None, None)
    tensor = base.clone()
    tensor[[3, 70]] += 1
    values, rows, alive = split(tensor, None, base)
    assert alive is None
    assert torch.equal(rows, torch.tensor([3, 70]))
    assert torch.equal(values, tensor[[3, 70]].reshape(-1))
    mask = torch.rand(100, 8) < 0.3
    values, rows, alive = split(pruned(tensor, mask), mask, base)
    assert torch.equal(values, torch.cat([tensor[row][mask[row]] for row in (3, 70)]))
    assert alive.nbytes == 100
    values, rows, alive = split(pruned(base + 1, mask), mask, base)
    assert rows is None
    assert torch.equal(values, (base + 1)[mask])


def test_minus_zero_and_nan_are_kept_where_they_live_and_where_they_do_not() -> None:
    base = torch.zeros(4, 4)
    tensor = torch.tensor([[-0.0, torch.nan, torch.inf, 0.0], *[[1.0] * 4] * 3])
    for alive in (None, torch.ones(4, 4) > 0, tensor != 0):
        assert bits(join(split(tensor, alive, base), (4, 4), base)[0]) == bits(tensor)
    quiet, other = (
        torch.tensor([[number]], dtype=torch.int32).view(torch.float32) for number in (0x7FC00000, 0x7FC00001)
    )
    assert split(quiet, None, quiet.clone()).values is None
    assert bits(join(split(other, None, quiet), (1, 1), quiet)[0]) == bits(other)
    assert bits_set(tensor).tolist()[0] == [True, True, True, False]


def test_a_base_of_another_type_or_shape_is_not_used() -> None:
    tensor = torch.ones(4, 3)
    for base in (torch.ones(4, 3, dtype=torch.float64), torch.ones(3, 4), torch.ones(12)):
        assert not split(tensor, None, base).uses_base


def test_bits_are_those_of_a_loop() -> None:
    for shape in ((), (1,), (8,), (9,), (3, 5), (0, 2)):
        mask = torch.rand(shape) < 0.5
        packed, flat = pack_bits(mask), mask.reshape(-1)
        assert [bool(packed[place // 8] >> place % 8 & 1) for place in range(len(flat))] == flat.tolist()
        assert torch.equal(unpack_bits(packed, shape), mask)


BASE = torch.arange(6.0).reshape(3, 2)
ROWS = torch.tensor([0, 2], dtype=torch.int32)
FOUR = torch.ones(4)


@pytest.mark.parametrize(
    ("parts", "base"),
    [
        (Parts(None, None, None), None),
        (Parts(None, None, None), torch.ones(2, 3)),
        (Parts(FOUR, ROWS, None), None),
        (Parts(torch.ones(3), ROWS, None), BASE),
        (Parts(FOUR.double(), ROWS, None), BASE),
        (Parts(torch.ones(2, 2), ROWS, None), BASE),
        (Parts(FOUR, ROWS.long(), None), BASE),
        (Parts(FOUR, torch.tensor([2, 0], dtype=torch.int32), None), BASE),
        (Parts(FOUR, torch.tensor([1, 1], dtype=torch.int32), None), BASE),
        (Parts(FOUR, torch.tensor([-1, 1], dtype=torch.int32), None), BASE),
        (Parts(FOUR, torch.tensor([1, 3], dtype=torch.int32), None), BASE),
        (Parts(torch.ones(5), None, None), None),
        (Parts(torch.ones(5), None, torch.tensor([0b001111], dtype=torch.uint8)), None),
        (Parts(FOUR, None, torch.tensor([0b1001111], dtype=torch.uint8)), None),
        (Parts(FOUR, None, torch.tensor([15, 0], dtype=torch.uint8)), None),
        (Parts(FOUR, None, torch.tensor([True] * 6)), None),
    ],
)
def test_parts_that_do_not_agree_are_refused(parts: Parts, base: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"it has|its |they refer"):
        join(parts, (3, 2), base)


def test_a_shape_that_its_values_do_not_fill_takes_no_memory() -> None:
    for parts in (Parts(FOUR, None, None), Parts(FOUR, None, torch.zeros(1, dtype=torch.uint8))):
        with pytest.raises(ValueError, match=r"values for 1,000,|its mask has another size"):
            join(parts, (10**15,))
