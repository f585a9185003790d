"""Two real processes that do not have the same masks or weights are stopped, both of them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.callbacks.agreement import differing_ranks, digest

RANK = Path(__file__).parent / "agreement_rank.py"


@pytest.fixture(scope="module")
def said() -> list[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, RANK, str(rank), str(port)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for rank in range(2)
    ]
    try:
        return [json.loads(rank.communicate(timeout=600)[0]) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["rigl", "set", "gradual", "snip", "grasp"])
def test_ranks_agree_under_every_schedule(said: list[dict[str, str]], way: str) -> None:
    assert [one[way] for one in said] == ["round 0 is done", "round 0 is done"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["none", "first weights"])
def test_ranks_that_agree_play_on(said: list[dict[str, str]], way: str) -> None:
    assert [rank[way] for rank in said] == ["round 1 is done"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(("way", "begins"), [
    ("masks", "round 1, after pruning and rewinding: the masks of rank 1 differ from rank 0's; "),
    ("rewinding", "round 1, after pruning and rewinding: the weights of rank 1 differ from rank 0's; "),
    ("training", "round 0, after training: the weights of rank 1 differ from rank 0's; "),
    ("between", "round 1, as it begins: the weights of rank 1 differ from rank 0's; "),
])  # fmt: skip
def test_a_difference_stops_both_ranks_and_is_named(said: list[dict[str, str]], way: str, begins: str) -> None:
    assert said[0][way] == said[1][way]
    assert said[0][way].startswith(begins)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1), st.data())
def test_a_digest_is_of_every_bit(values: list[float], data: st.DataObject) -> None:
    tensor = torch.tensor(values)
    other = tensor.clone()
    position = data.draw(st.integers(0, len(values) - 1))
    other.view(torch.int32)[position] ^= 1 << data.draw(st.integers(0, 30))
    assert torch.equal(digest([("weight", tensor)]), digest([("weight", tensor.clone())]))
    assert not torch.equal(digest([("weight", tensor)]), digest([("weight", other)]))
    assert not torch.equal(digest([("weight", tensor)]), digest([("bias", tensor)]))


@pytest.mark.parametrize("tensor", [torch.tensor(1.0), torch.zeros(0, 3), torch.ones(2, 3, dtype=torch.bfloat16).T])
def test_a_digest_is_of_tensors_of_any_shape_and_type(tensor: torch.Tensor) -> None:
    assert digest([("one", tensor)]).shape == (4,)
    assert torch.equal(digest([("one", tensor)]), digest([("one", tensor.contiguous())]))


def test_ranks_differ_from_the_first_one() -> None:
    assert differing_ranks(torch.tensor([[1, 2], [1, 2]])) == []
    assert differing_ranks(torch.tensor([[1, 2], [3, 2], [1, 2], [1, 4]])) == [1, 3]
