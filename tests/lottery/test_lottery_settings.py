"""`Settings` and `Rewind` refuse what cannot be played, by the name of the setting."""

from __future__ import annotations

import dataclasses
import math

import pytest

from lt_lightning.lottery import CRITERIA, LotteryError, Rewind, Settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("amount", 0),
        ("amount", 0.0),
        ("amount", 1),
        ("amount", 1.5),
        ("amount", -0.2),
        ("amount", math.nan),
        ("amount", math.inf),
        ("criterion", "gradient"),
        ("criterion", ""),
        ("criterion", None),
        ("criterion", "a..b"),
        ("criterion", "a.b()"),
        ("scope", "local"),
        ("scope", None),
        ("threshold", "median"),
        ("rewind", "initial"),
        ("rewind", ""),
        ("rewind", "epoch"),
        ("rewind", "epoch:"),
        ("rewind", "epoch:-1"),
        ("rewind", "epoch:1.5"),
        ("rewind", "step:1e3"),
        ("rewind", "init:1"),
        ("rewind", "init "),
        ("rewind", "init\n"),
        ("rewind", "epoch:1,step:2"),
        ("rewind", None),
        ("include", "*.weight"),
        ("include", ()),
        ("exclude", "*.bias"),
        ("redraw", "*.bias"),
        ("redraw", ()),
    ],
)
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


def test_every_criterion_can_be_chosen():
    assert {"magnitude", "random"} <= set(CRITERIA)
    assert [Settings(criterion=name).criterion for name in CRITERIA] == list(CRITERIA)
