"""Checkpoints leave out what a run has already, and come back to the bit."""

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from lt_lightning.runs.bases import REWIND, Base
from lt_lightning.runs.checkpoint_parts import find_reference, rebuild, shorten

FIRST = {"words": torch.randn(500, 8), "fc": torch.randn(40, 8), "frozen": torch.randn(10, 10)}
BASE = Base(REWIND, "0" * 64, FIRST)


def checkpoint() -> dict[str, Any]:
    """Return the checkpoint of a network whose words are mostly as they were, and whose last layer is pruned."""
    torch.manual_seed(0)
    alive = torch.rand(40, 8) < 0.2
    state = OrderedDict((f"network.{name}", weight.clone()) for name, weight in FIRST.items())
    state["network.words"][:30] += 1
    state["network.fc"] = torch.where(alive, state["network.fc"] + 1, torch.zeros(()))
    state["network.fc"][~alive & (torch.rand(40, 8) < 0.5)] = -0.0
    state._metadata = {"": {"version": 1}}  # pyright: ignore[reportAttributeAccessIssue]
    moments = {0: torch.zeros(500, 8), 1: torch.where(alive, torch.randn(40, 8), torch.zeros(()))}
    moments[0][:30] = torch.randn(30, 8)
    tied = torch.zeros(1000)
    optimizer = {number: {"step": torch.tensor(7.0), "exp_avg": moment} for number, moment in moments.items()}
    lottery = {"round": 0, "mask": {"fc": alive}, "rewind_weights": dict(FIRST)}
    best = {"network.frozen": FIRST["frozen"].clone(), "mean": None}
    return {
        "epoch": 1, "state_dict": state, "optimizer_states": [{"state": optimizer, "param_groups": [{"lr": 0.1}]}],
        "callbacks": {"Lottery": lottery, "Best": {"weights": best}},
        "own": {"odd": (torch.zeros(100), "as it is"), "turned": torch.zeros(10, 20).T, "one": tied, "two": tied},
    }  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        is_alike = one.dtype == other.dtype and one.shape == other.shape and one.stride() == other.stride()
        return is_alike and one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()
    if isinstance(one, dict):
        is_alike = type(one) is type(other) and [*one] == [*other] and vars_of(one) == vars_of(other)
        return is_alike and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other


def vars_of(value: Any) -> dict[str, Any]:
    return getattr(value, "__dict__", {})


def saved(content: dict[str, Any], path: Path) -> dict[str, Any]:
    torch.save(content, path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("base", [BASE, None])
def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path, base: Base | None) -> None:
    whole = checkpoint()
    given = copy.deepcopy(whole)
    short = saved(shorten(given, "Lottery", base, "network."), tmp_path / "short")
    assert same(given, whole)  # it is not changed
    back = rebuild(short, base)
    # The state of the lottery has its keys in another order.
    assert {*back["callbacks"]["Lottery"]} == {*whole["callbacks"]["Lottery"]}
    assert all(same(back["callbacks"]["Lottery"][key], value) for key, value in whole["callbacks"]["Lottery"].items())
    for one in (back, whole):
        del one["callbacks"]["Lottery"]
    assert same(back, whole)


def test_a_checkpoint_leaves_out_zeros_and_what_the_base_has(tmp_path: Path) -> None:
    whole = checkpoint()
    torch.save(whole, tmp_path / "whole")
    short = shorten(whole, "Lottery", BASE, "network.")
    torch.save(short, tmp_path / "short")
    assert (tmp_path / "whole").stat().st_size - (tmp_path / "short").stat().st_size > 4 * (
        2 * (470 * 8)  # of the words: rows that did not change, and their moments
        + 500 * 8 + 40 * 8 + 100  # the weights to rewind to
        + 200  # frozen weights, here and among the best
        + 900  # zeros that are there twice
    )  # fmt: skip
    assert "rewind_weights" not in short["callbacks"]["Lottery"]
    assert find_reference(tmp_path / "short") is not None
    assert find_reference(tmp_path / "whole") is None


def test_a_checkpoint_of_an_earlier_version_stays_as_it_is() -> None:
    whole = checkpoint()
    assert rebuild(whole, None) is whole
