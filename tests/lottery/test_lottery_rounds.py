"""`Lottery` in a plain torch loop: what one round hands to the next."""

from __future__ import annotations

import io
from itertools import pairwise

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


@pytest.mark.parametrize(
    ("rewind", "step"),
    [("init", 0), ("epoch:0", 0), ("step:0", 0), ("epoch:1", 2), ("epoch:3", 6), ("step:5", 5), ("last", 6)],
)
def test_every_round_starts_from_the_same_weights_of_round_nought_times_its_mask(rewind, step):
    module, lottery = network(), Lottery(Settings(rewind=rewind))
    history = train_round(lottery, module)
    assert len({str(weights["0.weight"]) for weights in history}) == 7
    for round in (1, 2, 3):
        start = train_round(lottery, module)[0]
        assert lottery.round == round
        assert equal(start, masked(history[step], lottery))  # the statistics of the normalisation too


def test_without_rewinding_the_survivors_go_on():
    module, lottery = network(), Lottery(Settings(rewind="none"))
    end = train_round(lottery, module)[-1]
    for _ in range(3):
        weights = train_round(lottery, module)
        assert equal(weights[0], masked(end, lottery))
        end = weights[-1]


def test_random_weights_are_others_each_round_and_the_same_with_the_same_seed():
    def starts(seed: int, global_seed: int) -> list[dict[str, Tensor]]:
        module, lottery = network(), Lottery(Settings(rewind="random", criterion="magnitude", amount=0.01, seed=seed))
        torch.manual_seed(global_seed)
        return [train_round(lottery, module, steps=1)[0] for _ in range(3)]

    first = starts(0, 1)
    assert all(equal(left, right) for left, right in zip(first, starts(0, 2), strict=True))
    fc = torch.stack([weights["3.weight"] for weights in (*first, *starts(1, 1)[1:])])
    assert len(fc.flatten(1).unique(dim=0)) == 5  # the first weights, two draws of one seed, two of another
    assert (fc.abs() <= 8**-0.5).all()  # nn.Linear's own


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


def test_what_cannot_be_drawn_again_is_said_before_any_training():
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(2))

    module = nn.Sequential(nn.Linear(2, 2), Scale())
    before = snapshot(module)
    with pytest.raises(LotteryError, match=r"'1\.factor'"):
        Lottery(Settings(rewind="random")).begin_round(module)
    assert equal(snapshot(module), before)
    with pytest.raises(LotteryError, match=r"^initialize: it does not draw '0\.weight'"):
        Lottery(Settings(rewind="random"), initialize=lambda module: None).begin_round(module)
    assert equal(snapshot(module), before)
    Lottery(Settings(rewind="init")).begin_round(module)


@pytest.mark.parametrize("rewind", ["init", "last", "random", "none", "epoch:1"])
def test_the_first_round_takes_the_network_as_it_is(rewind):
    module, lottery = network(), Lottery(Settings(rewind=rewind))
    before, state = snapshot(module), torch.get_rng_state()
    lottery.begin_round(module)
    assert equal(snapshot(module), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (lottery.round, lottery.mask.sparsity) == (0, 0)


@pytest.mark.parametrize("rewind", ["epoch:4", "step:7"])
def test_a_point_that_was_never_reached_is_an_error_that_names_it(rewind):
    module, lottery = network(), Lottery(Settings(rewind=rewind))
    end = train_round(lottery, module)[-1]
    with pytest.raises(LotteryError, match=f"^rewind: {rewind} "):
        lottery.begin_round(module)
    assert equal(snapshot(module), end)
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


def test_masks_are_nested_and_the_criterion_is_seeded():
    def masks(**settings: object) -> list[Mask]:
        module, lottery = network(), Lottery(Settings(**settings))
        played = []
        for _ in range(4):
            train_round(lottery, module, steps=1)
            played.append(lottery.mask)
        return played

    for settings in ({}, {"criterion": "random"}, {"scope": "global"}, {"threshold": "percentile"}):
        played = masks(**settings)
        assert all(after.is_subset_of(before) for before, after in pairwise(played))
        assert masks(**settings) == played
    by_chance = [masks(criterion="random", seed=seed) for seed in (0, 1)]
    assert by_chance[0][1] != by_chance[1][1]


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


def test_a_state_goes_through_a_file_and_the_lottery_goes_on():
    def play(through_a_file: bool) -> dict[str, Tensor]:
        module, lottery = network(), Lottery(Settings(rewind="step:3", criterion="random", seed=5))
        for _ in range(3):
            train_round(lottery, module)
            if through_a_file:
                file = io.BytesIO()
                torch.save(lottery.state_dict(), file)
                file.seek(0)
                lottery = Lottery(Settings(rewind="step:3", criterion="random", seed=5))
                lottery.load_state_dict(torch.load(file, weights_only=True))
        return snapshot(module)

    assert equal(play(through_a_file=True), play(through_a_file=False))


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_masks_follow_the_parameters_to_a_gpu():
    module, lottery = network(), Lottery(Settings())
    train_round(lottery, module)
    lottery.begin_round(module.cuda())
    assert {alive.device.type for alive in lottery.mask.values()} == {"cuda"}


def test_another_module_or_one_that_froze_a_part_is_an_error_that_names_the_parameter():
    module, lottery = network(), Lottery(Settings())
    train_round(lottery, module)
    module[3].bias.requires_grad_(False)
    with pytest.raises(LotteryError, match=r"'3\.bias'"):
        lottery.begin_round(module)


def test_what_is_excluded_is_never_pruned_and_is_rewound():
    module, lottery = network(), Lottery(Settings(amount=0.9, include=["*.weight"], exclude=["1.*"]))
    first = train_round(lottery, module)[0]
    start = train_round(lottery, module)[0]
    assert list(lottery.mask) == ["0.weight", "3.weight"]
    for name in set(first) - set(lottery.mask):
        assert torch.equal(start[name], first[name])
