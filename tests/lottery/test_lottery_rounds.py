"""`Lottery` in a plain torch loop: what one round hands to the next."""

import pytest
import torch
from torch import Tensor, nn

from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings
from lt_lightning.lottery.rewinding import snapshot


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def train_round(lottery: Lottery, module: nn.Module, steps: int = 6) -> list[dict[str, Tensor]]:
    """A round as the docstring of `rounds` plays it, two steps an epoch; the weights at its start and after each."""
    lottery.begin_round(module)
    weights = [snapshot(module)]
    freezer = lottery.freezer(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    freezer.watch([optimizer])
    generator = torch.Generator().manual_seed(lottery.round)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        inputs = torch.randn(10, 5, generator=generator) * 2 + 1
        nn.functional.cross_entropy(module(inputs), torch.randint(3, (10,), generator=generator)).backward()
        freezer.freeze_gradients()
        optimizer.step()
        weights.append(snapshot(module))
        lottery.observe(module, steps=step)
        if step % 2 == 0:
            lottery.observe(module, epochs=step // 2)
    lottery.end_round(module)
    return weights


def masked(weights: dict[str, Tensor], lottery: Lottery) -> dict[str, Tensor]:
    """`weights` with zeros where the mask of `lottery` says, entry by entry."""
    weights = {name: value.clone() for name, value in weights.items()}
    for name, alive in lottery.mask.items():
        for position in (~alive).nonzero().tolist():
            weights[name][tuple(position)] = 0.0
    return weights


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_random_leaves_what_redraw_does_not_name_at_its_trained_values():
    settings = Settings(rewind="random", redraw=["3.*"], amount=0.5)
    module, lottery = network(), Lottery(settings)
    trained = train_round(lottery, module)[-1]
    start = train_round(lottery, module)[0]
    for name, weights in start.items():
        if not name.startswith("3.") and name in lottery.mask:
            assert torch.equal(weights, trained[name] * lottery.mask[name])
    assert not torch.equal(start["3.weight"], trained["3.weight"] * lottery.mask["3.weight"])


@pytest.mark.parametrize("initialize", [None, nn.Module.eval])
def test_a_redraw_pattern_that_matches_nothing_is_said_before_any_training(initialize):
    lottery = Lottery(Settings(rewind="random", redraw=["head.*"]), initialize)
    with pytest.raises(LotteryError, match=r"^redraw: the pattern 'head\.\*'"):
        lottery.begin_round(network())


@pytest.mark.parametrize("rewind", ["init", "last", "random", "none", "epoch:1"])
def test_the_first_round_takes_the_network_as_it_is(rewind):
    module, lottery = network(), Lottery(Settings(rewind=rewind))
    before, state = snapshot(module), torch.get_rng_state()
    lottery.begin_round(module)
    assert equal(snapshot(module), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (lottery.round, lottery.mask.sparsity) == (0, 0)


def test_points_of_later_rounds_and_later_calls_do_not_count():
    module, lottery = network(), Lottery(Settings(rewind="step:2"))
    history = train_round(lottery, module)
    lottery.observe(module, steps=2)
    train_round(lottery, module)
    assert equal(train_round(lottery, module)[0], masked(history[2], lottery))


def test_a_round_that_was_never_ended_is_begun_again_with_its_mask_and_weights():
    module, lottery = network(), Lottery(Settings())
    train_round(lottery, module)
    lottery.begin_round(module)
    mask = lottery.mask
    with torch.no_grad():
        module[0].weight.add_(1)
    trained = snapshot(module)
    lottery.begin_round(module)
    assert (lottery.round, lottery.mask) == (1, mask)
    assert equal(snapshot(module), masked(trained, lottery))


def test_chance_draws_anew_each_round():
    def mask_after(rounds: int, amount: float) -> Mask:
        module, lottery = nn.Linear(16, 8), Lottery(Settings(criterion="random", amount=amount))
        for _ in range(rounds + 1):
            lottery.begin_round(module)
            lottery.end_round(module)
        return lottery.mask

    twice, once = mask_after(2, 0.5), mask_after(1, 0.75)
    assert twice.counts == once.counts == {"weight": 32, "bias": 2}
    assert twice != once  # one draw, used twice, would have left the same entries


def test_masks_live_where_the_parameters_live():
    lottery = Lottery(Settings())
    lottery.begin_round(network().to("meta"))
    assert {alive.device.type for alive in lottery.mask.values()} == {"meta"}
    module, lottery = network(), Lottery(Settings())
    train_round(lottery, module)
    lottery.begin_round(module)
    assert {alive.device.type for alive in lottery.mask.values()} == {"cpu"}
    resumed = Lottery(Settings())
    resumed.load_state_dict(lottery.state_dict())
    resumed.begin_round(module.to("meta"))  # in the middle of the round, on another device
    assert {alive.device.type for alive in resumed.mask.values()} == {"meta"}


@pytest.mark.gpu
def test_masks_follow_the_parameters_to_a_gpu():
    module, lottery = network(), Lottery(Settings())
    train_round(lottery, module)
    lottery.begin_round(module.cuda())
    assert {alive.device.type for alive in lottery.mask.values()} == {"cuda"}
