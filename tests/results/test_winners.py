"""The smallest winning ticket within a margin, as `export --smallest-winning --within POINTS` chooses it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lt_lightning.errors import SettingError
from lt_lightning.export.__main__ import choose_round
from lt_lightning.runs.reading import Run, read_run


def with_accuracies(make_run: Callable[..., Path], *accuracies: float) -> Run:
    """A run of these test accuracies, which are kept in single precision as Lightning has them."""
    return read_run(make_run(accuracies=[float(np.float32(accuracy)) for accuracy in accuracies]))


@pytest.mark.parametrize(
    ("within", "expected"), [(0.0, None), (0.09, None), (0.1, 1), (0.19, 1), (0.2, 2), (1, 2), (20, 3), (100, 4)]
)
def test_a_margin_lets_the_smallest_winner_be_that_much_worse(within, expected, make_run):
    run = with_accuracies(make_run, 0.9, 0.899, 0.898, 0.7, 0.1)
    if expected is None:
        with pytest.raises(SettingError, match="no ticket"):
            choose_round(run, None, None, smallest=True, within=within)
    else:
        assert choose_round(run, None, None, smallest=True, within=within).round == expected


@pytest.mark.parametrize(
    ("accuracies", "nearest"),
    [((0.9, 0.899, 0.898), 1), ((0.8267, 0.8250, 0.8252, 0.7), 2), ((0.9, 0.89961, 0.8996, 0.5), 1), ((0.98, 0.2), 1)],
)
def test_the_margin_that_is_named_takes_the_nearest_ticket(accuracies, nearest, make_run):
    run = with_accuracies(make_run, *accuracies)
    with pytest.raises(SettingError, match=rf"round {nearest}'s, has .* with .* alive: give --within ") as caught:
        choose_round(run, None, None, smallest=True)
    margin = re.findall(r"--within ([0-9.]+)", str(caught.value))[0]
    assert choose_round(run, None, None, smallest=True, within=float(margin)).round == nearest
