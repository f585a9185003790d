"""`Settings` and `Rewind` refuse wrong values by name; `prunable_parameters` selects by patterns."""

import dataclasses
import math

import pytest
from torch import nn

from lt_lightning.lottery import LotteryError, Rewind, Settings, prunable_parameters


@pytest.mark.parametrize(("key", "value"), [
    ("amount", 0), ("amount", 0.0), ("amount", 1), ("amount", 1.5), ("amount", -0.2), ("amount", math.nan),
    ("amount", math.inf), ("criterion", "gradient"), ("criterion", ""), ("criterion", None),
    ("criterion", "a..b"), ("criterion", "a.b()"), ("scope", "local"), ("scope", None), ("threshold", "median"),
    ("rewind", "initial"), ("rewind", ""), ("rewind", "epoch"), ("rewind", "epoch:"), ("rewind", "epoch:-1"),
    ("rewind", "epoch:1.5"), ("rewind", "step:1e3"), ("rewind", "init:1"), ("rewind", "init "),
    ("rewind", "init\n"), ("rewind", "epoch:1,step:2"), ("rewind", None), ("include", "*.weight"),
    ("include", ()), ("exclude", "*.bias"), ("redraw", "*.bias"), ("redraw", ()),
])  # fmt: skip
def test_a_value_out_of_range_is_refused_and_its_key_is_the_first_word(key, value):
    with pytest.raises(LotteryError, match=rf"^{key}: "):
        Settings(**{key: value})


def test_percentiles_are_refused_where_all_entries_compete():
    with pytest.raises(LotteryError, match=r"^threshold: .*percentile.*scope=layerwise"):
        Settings(threshold="percentile", scope="global")


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Settings)])
def test_settings_do_not_change(key):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Settings(), key, None)


def test_a_key_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="rewinding"):
        Settings(rewinding="init")


@pytest.mark.parametrize("text", ["init", "last", "random", "none", "epoch:0", "epoch:3", "step:0", "step:1200"])
def test_a_rewind_reads_as_it_is_written(text):
    assert str(Rewind.parse(text)) == text
    assert Settings(rewind=text).rewind == text


@pytest.mark.parametrize(
    ("text", "at_start"),
    [("init", True), ("epoch:0", True), ("step:0", True), ("epoch:1", False), ("step:1", False)]
    + [(text, False) for text in ("last", "random", "none")],
)
def test_the_start_is_init_and_nought_epochs_and_nought_steps(text, at_start):
    assert Rewind.parse(text).at_start is at_start


def network() -> nn.Module:
    return nn.ModuleDict({"embedding": nn.Embedding(3, 2), "fc": nn.Linear(2, 2), "norm": nn.BatchNorm1d(2)})


ALL = ["embedding.weight", "fc.weight", "fc.bias", "norm.weight", "norm.bias"]


@pytest.mark.parametrize(("include", "exclude", "chosen"), [
    (["*"], [], ALL),
    (["*.weight"], [], ["embedding.weight", "fc.weight", "norm.weight"]),
    (["*"], ["*.bias"], ["embedding.weight", "fc.weight", "norm.weight"]),
    (["fc.*", "norm.*"], ["norm.*"], ["fc.weight", "fc.bias"]),
    (["fc.bias", "embedding.weight"], [], ["embedding.weight", "fc.bias"]),
    (["[ef]*.weigh?"], [], ["embedding.weight", "fc.weight"]),
])  # fmt: skip
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


def test_frozen_parameters_never_come():
    module = network()
    module["embedding"].requires_grad_(False)
    assert list(prunable_parameters(module)) == ALL[1:]
    with pytest.raises(LotteryError, match=r"^include: "):
        prunable_parameters(module, ["embedding.*"])


@pytest.mark.parametrize(("settings", "words"), [
    ({"schedule": "rigl"}, r"^density: missing: schedule=rigl prunes to it"),
    ({"schedule": "rigl", "density": 0}, r"^density: 0 is not a share above 0"),
    ({"density": 0.1}, r"^density: schedule=rounds does not read it, only at_init, gradual, set, rigl"),
    ({"schedule": "later"}, r"^schedule: 'later' is none of rounds, at_init"),
    ({"schedule": "gradual", "density": 0.1, "drop_fraction": 0.3}, r"^drop_fraction: schedule=gradual does not"),
    ({"schedule": "gradual", "density": 0.5, "initial": 0.6}, r"^initial: a sparsity of 0.6 leaves fewer entries"),
    ({"schedule": "gradual", "density": 0.5, "begin": 0.8, "end": 0.5}, r"^begin: 0.8 is not before end"),
    ({"schedule": "gradual", "density": 0.5, "end": 1}, r"^end: 1 is the first step; write 1.0"),
    ({"schedule": "rigl", "density": 0.5, "every": 3, "grow_batches": 4}, r"^grow_batches: 4 are more than the 3"),
    ({"schedule": "set", "density": 0.5, "criterion": "snip"}, r"^criterion: schedule=set drops the smallest weights"),
    ({"schedule": "set", "density": 0.5, "mask": "shuffle"}, r"^mask: schedule=set has no mask to control"),
    ({"schedule": "set", "density": 0.5, "rewind": "last"}, r"^rewind: schedule=set trains once"),
    ({"schedule": "at_init", "density": 0.5, "keep": ["fc.*"]}, r"^keep: schedule=at_init trains once"),
    ({"schedule": "gradual", "density": 0.5, "renew": ["fc.*"]}, r"^renew: schedule=gradual trains once"),
    ({"renew": "fc.*"}, r"^renew: give a list of patterns"),
    ({"schedule": "at_init", "density": 0.1, "pattern": "2:4"}, r"^density: 0.1 is not what pattern=2:4 leaves, 0.5"),
    ({"pattern": 124}, r"^pattern: '124' is none of .*in a file write n:m in quotes"),
    ({"amount": []}, r"^amount: an empty list"),
    ({"amount": [0.5, 2]}, r"^amount: 2 is not between 0 and 1"),
    ({"amounts": {"fc.*": 1}}, r"^amounts: 1 of 'fc\.\*' is not a share from 0 to below 1"),
    ({"amount_of": "some"}, r"^amount_of: 'some' is none of alive, all"),
    ({"threshold": "percentile", "amount": [0.5]}, None),
    ({"threshold": "percentile", "pattern": "rows"}, r"^threshold: percentile goes with schedule=rounds"),
    ({"mask": "odd"}, r"^mask: 'odd' is none of pruned, shuffle, random, invert"),
])  # fmt: skip
def test_settings_of_schedules_that_cannot_be_are_refused(settings, words):
    if words is None:
        Settings(**settings)
        return
    with pytest.raises(LotteryError, match=words):
        Settings(**settings)
