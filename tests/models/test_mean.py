"""`Mean` against sums by hand, and over processes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lt_lightning.models.mean import Mean
from trials.forking import forking


def test_nothing_has_no_mean_also_after_it_was_forgotten():
    mean = Mean()
    assert mean.compute().isnan()
    mean.add(torch.tensor(3.0), 1)
    mean.reset()
    assert mean.compute().isnan()
    mean.add(torch.tensor(5.0), 2)
    assert float(mean.compute()) == 2.5


def test_half_precision_is_summed_in_single_and_counts_do_not_saturate():
    mean = Mean()
    for _ in range(1000):
        mean.add(torch.tensor(1.0, dtype=torch.bfloat16) * 64, 64)
    assert float(mean.compute()) == 1.0  # bfloat16 would stop at 16,384


def test_taking_a_number_in_asks_the_device_for_nothing_and_keeps_no_graph():
    loss = torch.ones((), device="meta", requires_grad=True) * 2  # whose values nobody can ask for
    mean = Mean()
    mean.add(loss, 64)
    mean.add(loss, 64)
    assert not mean.compute().requires_grad


def _on_a_rank(rank: int, folder: str, answers: Tensor) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mean = Mean()
    for step in range(rank + 1):
        mean.add(torch.tensor(float(10 * rank + step)) * 3, 3)
    answers[rank] = mean.compute()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_have_one_mean_of_all_their_numbers(tmp_path: Path):
    answers = torch.zeros(2).share_memory_()
    ranks = [forking().Process(target=_on_a_rank, args=(rank, str(tmp_path), answers)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0]
    assert answers.tolist() == [7.0, 7.0]  # of 0, 10 and 11
