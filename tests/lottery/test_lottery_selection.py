"""`prunable_parameters`: which parameters can be pruned."""

from __future__ import annotations

import pytest
from torch import nn

from lt_lightning.lottery import LotteryError, prunable_parameters


def network() -> nn.Module:
    return nn.ModuleDict({"embedding": nn.Embedding(3, 2), "fc": nn.Linear(2, 2), "norm": nn.BatchNorm1d(2)})


ALL = ["embedding.weight", "fc.weight", "fc.bias", "norm.weight", "norm.bias"]


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        (["*"], [], ALL),
        (["*.weight"], [], ["embedding.weight", "fc.weight", "norm.weight"]),
        (["*"], ["*.bias"], ["embedding.weight", "fc.weight", "norm.weight"]),
        (["fc.*", "norm.*"], ["norm.*"], ["fc.weight", "fc.bias"]),
        (["fc.bias", "embedding.weight"], [], ["embedding.weight", "fc.bias"]),
        (["[ef]*.weigh?"], [], ["embedding.weight", "fc.weight"]),
    ],
)
def test_patterns_choose_by_name_in_the_modules_order(include, exclude, chosen):
    module = network()
    params = prunable_parameters(module, include, exclude)
    assert list(params) == chosen
    assert all(params[name] is module.get_parameter(name) for name in chosen)


@pytest.mark.parametrize("key", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["conv.*", "FC.weight", "fc", ""])
def test_a_pattern_that_matches_nothing_is_refused_with_the_names_there_are(key, pattern):
    with pytest.raises(LotteryError, match=rf"^{key}: ") as error:
        prunable_parameters(network(), **{key: ["*.weight", pattern]})
    assert repr(pattern) in str(error.value)
    assert all(name in str(error.value) for name in ALL)


def test_patterns_that_leave_nothing_are_refused():
    with pytest.raises(LotteryError, match=r"include.*exclude"):
        prunable_parameters(network(), ["fc.*"], ["*"])


def test_a_module_without_parameters_is_refused():
    with pytest.raises(LotteryError, match="none"):
        prunable_parameters(nn.ReLU())


def test_shared_parameters_come_once():
    module = nn.ModuleDict({"encoder": nn.Embedding(4, 3), "decoder": nn.Linear(3, 4, bias=False)})
    module["decoder"].weight = module["encoder"].weight
    assert list(prunable_parameters(module)) == ["encoder.weight"]


def test_frozen_parameters_never_come():
    module = network()
    module["embedding"].requires_grad_(False)
    assert list(prunable_parameters(module)) == ALL[1:]
    with pytest.raises(LotteryError, match=r"^include: "):
        prunable_parameters(module, ["embedding.*"])
