"""The criteria: the scores of the built-in ones, seeded chance, and functions of one's own."""

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lt_lightning.lottery import CRITERIA, Lottery, LotteryError, Mask, Settings, derive_seed


def params() -> dict[str, nn.Parameter]:
    return {"w": nn.Parameter(torch.tensor([[-3.0, 0.5], [0.0, -0.25]])), "b": nn.Parameter(torch.tensor(-2.0))}


@pytest.mark.parametrize("name", ["magnitude", "random"])
def test_scores_have_the_parameters_shapes_and_no_gradient(name):
    scores = CRITERIA[name](params(), torch.Generator())
    assert {key: tuple(score.shape) for key, score in scores.items()} == {"w": (2, 2), "b": ()}
    assert not any(score.requires_grad for score in scores.values())


@pytest.mark.parametrize("name", ["magnitude", "random"])
def test_scoring_changes_no_parameter(name):
    parameters = params()
    for score in CRITERIA[name](parameters, torch.Generator()).values():
        score.zero_()
    assert all(torch.equal(parameters[key], value) for key, value in params().items())


def test_magnitude_is_the_absolute_value():
    scores = CRITERIA["magnitude"](params(), torch.Generator())
    assert scores["w"].tolist() == [[3, 0.5], [0, 0.25]]
    assert scores["b"].item() == 2


def test_chance_is_uniform_and_the_generators_alone():
    def draw(seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        weights = torch.zeros(100, 100, dtype=dtype)
        return CRITERIA["random"]({"w": weights}, torch.Generator().manual_seed(seed))["w"]

    state = torch.get_rng_state()
    scores = draw(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(draw(1), scores)
    assert torch.equal(draw(1, torch.bfloat16), scores)  # the precision of the network changes nothing
    assert not torch.equal(draw(2), scores)
    assert scores.min() >= 0 and scores.max() < 1
    assert torch.histc(scores, 10, 0, 1).sub(1000).abs().max() < 5 * 30  # five standard deviations


def odd(parameters: dict[str, nn.Parameter], mask: Mask) -> dict[str, torch.Tensor]:
    """Score by something that no built-in criterion knows; pruned entries would come first, and are NaN."""
    return {
        name: (p.detach() * 7).sin().masked_fill(~mask[name], torch.nan)
        for name, p in parameters.items()
    }  # fmt: skip


def chance(p: dict[str, nn.Parameter], *, generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {name: torch.rand(value.shape, generator=generator) for name, value in p.items()}


CHOICES = (odd, chance, f"{__name__}.odd", partial(odd), lambda weights, **inputs: odd(weights, inputs["mask"]))


@pytest.mark.parametrize("criterion", CHOICES, ids=["function", "generator", "path", "partial", "lambda"])
@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_a_criterion_of_ones_own_prunes_what_a_sorted_list_of_its_scores_begins_with(criterion, scope, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    module, lottery = nn.Linear(6, 5), Lottery(Settings(amount=0.3, criterion=criterion, scope=scope, seed=3))
    lottery.begin_round(module)
    for number in (1, 2, 3):
        lottery.end_round(module)
        params, before = dict(module.named_parameters()), lottery.mask
        drawn = torch.Generator().manual_seed(derive_seed(3, "criterion", number))
        scores = chance(params, generator=drawn) if criterion is chance else odd(params, before)
        entries = [
            (score, rank, name, place)
            for rank, name in enumerate(before)
            for place, score in enumerate(scores[name].flatten().tolist())
            if before[name].flatten()[place]
        ]
        expected = {name: before[name].flatten().tolist() for name in before}
        for group in [set(before)] if scope == "global" else [{name} for name in before]:
            living = sorted((score, rank, place, name) for score, rank, name, place in entries if name in group)
            for _, _, place, name in living[: round(0.3 * len(living))]:
                expected[name][place] = False
        lottery.begin_round(module)
        assert {name: alive.flatten().tolist() for name, alive in lottery.mask.items()} == expected


@pytest.mark.parametrize(("criterion", "words"), [
    (lambda parameters: None, "returned a NoneType; return a dictionary"),
    (lambda parameters: {"weight": parameters["weight"]}, "returned for 'bias' a NoneType"),
    (lambda parameters: {name: p[:1] for name, p in parameters.items()}, r"scores of shape \(1, 3\).*\(2, 3\)"),
    (lambda parameters: {name: p * math.nan for name, p in parameters.items()}, "that are not finite"),
    (lambda parameters: {name: p > 0 for name, p in parameters.items()}, "of type torch.bool"),
    (lambda parameters, losses: {}, "needs losses, one function per batch"),
])  # fmt: skip
def test_scores_that_cannot_be_ranked_name_the_criterion_and_change_nothing(criterion, words):
    module, lottery = nn.Linear(3, 2), Lottery(Settings(criterion=criterion))
    lottery.begin_round(module)
    lottery.end_round(module)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    with pytest.raises(LotteryError, match=rf"^criterion: {__name__}\.<lambda> .*{words}"):
        lottery.begin_round(module)
    assert (lottery.round, lottery.mask.sparsity) == (0, 0)
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())


def test_a_path_that_leads_to_no_function_is_refused_as_the_lottery_begins():
    for path, words in (
        ("no_such.f", "cannot be imported"),
        ("math.no_such", "AttributeError"),
        ("math.pi", "a float"),
    ):
        with pytest.raises(LotteryError, match=rf"^criterion: '{re.escape(path)}' .*{words}"):
            Lottery(Settings(criterion=path))
