"""A lottery that begins with a mask, and weights, from elsewhere; each entry is checked against a loop."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings, Start
from lt_lightning.lottery.rewinding import snapshot


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def some(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(name))) < 0.4


MASK = Mask({"0.weight": some("0.weight", (8, 5)), "0.bias": some("0.bias", (8,))})
START = Start(MASK, {"0.weight": torch.arange(40.0).reshape(8, 5) + 1})


def change(module: nn.Module) -> dict[str, Tensor]:
    """What stands for training: all that lives moves."""
    with torch.no_grad():
        for number, param in enumerate(module.parameters()):
            param.add_(0.1 * (number + 1) * (param != 0))
    return snapshot(module)


def expected(own: dict[str, Tensor]) -> dict[str, Tensor]:
    """`START` over a network's own weights, entry by entry."""
    weights = {name: value.clone() for name, value in own.items()}
    for row in range(8):
        for column in range(5):
            weights["0.weight"][row, column] = row * 5 + column + 1.0 if MASK["0.weight"][row, column] else 0.0
        if not MASK["0.bias"][row]:
            weights["0.bias"][row] = 0.0
    return weights


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("rewind", ["init", "last", "random", "none", "epoch:0", "step:3"])
def test_round_nought_begins_with_the_weights_that_were_given_times_the_mask(rewind: str) -> None:
    module, lottery = network(), Lottery(Settings(rewind=rewind), start=START)
    own, state = snapshot(module), torch.get_rng_state()
    lottery.begin_round(module)
    begun = snapshot(module)
    if rewind == "random":  # what is not given is drawn: none of it is what the module was built with
        drawn = [begun[name][alive] == own[name][alive] for name, alive in lottery.mask.items() if name != "0.weight"]
        assert not torch.cat(drawn).any()
        own = {name: torch.where(lottery.mask[name], begun[name], own[name]) for name in own}
    assert equal(begun, expected(own))
    assert torch.equal(torch.get_rng_state(), state)
    assert list(lottery.mask) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert {name: torch.equal(lottery.mask[name], MASK[name]) for name in MASK} == {"0.weight": True, "0.bias": True}
    assert lottery.mask["2.weight"].all() and lottery.mask["2.bias"].all()


def test_the_control_draws_other_weights_for_each_seed_and_each_round_and_only_what_redraw_names() -> None:
    seen = []
    for seed in (0, 0, 1):
        module = network()
        own = snapshot(module)
        lottery = Lottery(Settings(rewind="random", redraw=["*.weight"], seed=seed), start=Start(MASK))
        lottery.begin_round(module)
        begun = snapshot(module)
        assert torch.equal(begun["2.bias"], own["2.bias"])
        assert torch.equal(begun["0.bias"], own["0.bias"] * MASK["0.bias"])
        lottery.end_round(module)
        lottery.begin_round(module)
        seen += [begun["2.weight"], snapshot(module)["2.weight"]]
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])
    assert len({tuple(weights[0].tolist()) for weights in seen}) == 4


def test_the_control_is_refused_before_anything_is_drawn() -> None:
    module = network()
    before = snapshot(module)
    lottery = Lottery(Settings(rewind="random"), start=Start(Mask({"4.bias": torch.ones(2) > 0})))
    with pytest.raises(LotteryError, match=r"the mask names '4\.bias'"):
        lottery.begin_round(module)
    assert equal(snapshot(module), before)


def test_every_mask_lies_inside_the_first_and_init_goes_back_to_the_start() -> None:
    module, lottery = network(), Lottery(Settings(rewind="init", amount=0.3), start=START)
    own = snapshot(module)
    alive = None
    for _ in range(4):
        lottery.begin_round(module)
        for name, first in MASK.items():
            assert not (lottery.mask[name] & ~first).any()
        if alive is not None:
            assert lottery.mask.alive < alive
        alive = lottery.mask.alive
        begun = {name: value * lottery.mask[name] for name, value in expected(own).items()}
        assert equal(snapshot(module), begun)
        change(module)
        lottery.end_round(module)


def test_a_round_that_was_never_ended_does_not_go_back_to_the_start() -> None:
    module, lottery = network(), Lottery(Settings(), start=START)
    lottery.begin_round(module)
    trained = change(module)
    taken_up = Lottery(Settings(), start=START)
    taken_up.load_state_dict(lottery.state_dict())
    taken_up.begin_round(module)
    assert equal(snapshot(module), trained)
    assert taken_up.mask == lottery.mask


@pytest.mark.parametrize(("start", "settings", "said"), [
    (Start(Mask({"4.bias": torch.ones(2) > 0})), Settings(), "the mask names '4.bias'"),
    (START, Settings(exclude=["0.bias"]), "the mask names '0.bias'"),
    (Start(Mask({"0.bias": torch.ones(2) > 0})), Settings(), r"mask of '0.bias' has shape \(2,\), .*\(8,\)"),
    (Start(MASK, {"3.bias": torch.ones(2)}), Settings(), "weights of '3.bias'"),
    (Start(MASK, {"2.bias": torch.ones(2)}), Settings(), r"weight of '2.bias' has shape \(2,\), .*\(3,\)"),
])  # fmt: skip
def test_a_start_of_another_module_is_refused_and_changes_nothing(start: Start, settings: Settings, said: str) -> None:
    module, lottery = network(), Lottery(settings, start=start)
    before = snapshot(module)
    with pytest.raises(LotteryError, match=f"^start: .*{said}"):
        lottery.begin_round(module)
    assert equal(snapshot(module), before)
    assert lottery.round == -1


def test_any_mapping_of_boolean_tensors_is_a_mask() -> None:
    module, other = network(), network()
    lottery = Lottery(Settings(), start=START)
    lottery.begin_round(module)
    alike = Lottery(Settings(), start=Start(dict(MASK), START.weights))  # pyright: ignore[reportArgumentType]
    alike.begin_round(other)
    assert alike.mask == lottery.mask
    assert equal(snapshot(module), snapshot(other))


@pytest.mark.parametrize(("mask", "weights", "said"), [
    ({"0.bias": torch.ones(8)}, {}, "mask of '0.bias' must be a boolean tensor"),
    ([MASK], {}, "give a Mask, .* not list"),
    (MASK, [torch.ones(8)], "weights are tensors by name, not list"),
    (MASK, {"0.bias": torch.ones(8).numpy()}, "'0.bias' must be a tensor, not ndarray"),
    (MASK, {"0.bias": torch.full((8,), torch.nan)}, "'0.bias' has values that are not finite"),
    (MASK, {"0.bias": torch.full((8,), -torch.inf)}, "'0.bias' has values that are not finite"),
])  # fmt: skip
def test_a_start_of_something_else_is_refused_as_it_is_made(mask: Any, weights: Any, said: str) -> None:
    with pytest.raises(LotteryError, match=f"^start: .*{said}"):
        Start(mask, weights)
