"""The criteria: what they score, and that chance is seeded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_lightning.lottery import CRITERIA


def params() -> dict[str, nn.Parameter]:
    return {"w": nn.Parameter(torch.tensor([[-3.0, 0.5], [0.0, -0.25]])), "b": nn.Parameter(torch.tensor(-2.0))}


@pytest.mark.parametrize("name", CRITERIA)
def test_scores_have_the_parameters_shapes_and_no_gradient(name):
    scores = CRITERIA[name](params(), torch.Generator())
    assert {key: tuple(score.shape) for key, score in scores.items()} == {"w": (2, 2), "b": ()}
    assert not any(score.requires_grad for score in scores.values())


@pytest.mark.parametrize("name", CRITERIA)
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
