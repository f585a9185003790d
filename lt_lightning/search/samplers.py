"""Make Optuna's samplers by name, each for one trial, so that a search that resumes draws what it would have drawn."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.search.space import Dimension, Space, name_of
from lt_lightning.search.study import build

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SETTING = "hydra.sweeper.sampler"


def make_sampler(name: str, options: Mapping[str, Any], seed: int, number: int, space: Space) -> BaseSampler:
    """Return the sampler of one trial.

    A sampler's random state is not kept on disk. So each trial has a sampler of its own, whose seed follows from the
    search's seed and the trial's number; what samplers learn is in the study.

    Args:
        name: a key of `SAMPLERS`.
        options: arguments of Optuna's class.
        seed: the seed of the search.
        number: the trial's number.
        space: the settings that vary.

    Raises:
        SettingError: there is no such sampler, it does not take the options, or it needs a package.
    """
    if name not in SAMPLERS:
        raise SettingError(f"{SETTING}: {name!r} is none of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](options, seed, derive_seed(seed, "trial", number) % 2**31, space)


def grid_size(space: Space) -> int:
    """Return the number of points of a grid; raise a `SettingError` if a setting has infinitely many values."""
    return math.prod(len(_values(one)) for one in space.dimensions)


def _values(dimension: Dimension) -> Sequence[Any]:
    values = dimension.values()
    if values is None:
        name = name_of(dimension.key)
        raise SettingError(
            f"{SETTING}: grid tries all values, and {name}={dimension.describe()} has infinitely many; give "
            f"{name}=choice(A,B), or another sampler"
        )
    return values


def _make(cls: str, options: Mapping[str, Any], **ours: Any) -> BaseSampler:
    import optuna.samplers

    return build(getattr(optuna.samplers, cls), {**ours, **options}, f"{SETTING}_options")


def _tpe(options: Mapping[str, Any], seed: int, own: int, space: Space) -> BaseSampler:
    return _make("TPESampler", options, seed=own)


def _random(options: Mapping[str, Any], seed: int, own: int, space: Space) -> BaseSampler:
    return _make("RandomSampler", options, seed=own)


def _cmaes(options: Mapping[str, Any], seed: int, own: int, space: Space) -> BaseSampler:
    independent = _make("RandomSampler", {}, seed=own)
    return _make("CmaEsSampler", options, seed=own, independent_sampler=independent, warn_independent_sampling=False)


def _gp(options: Mapping[str, Any], seed: int, own: int, space: Space) -> BaseSampler:
    return _make("GPSampler", options, seed=own)


def _grid(options: Mapping[str, Any], seed: int, own: int, space: Space) -> BaseSampler:
    """Return a sampler of all points, in an order that follows from the seed: a trial takes the first that is left.

    Optuna's GridSampler stops the study itself after the last point, which asking and telling do not allow.
    """
    from optuna.samplers import BaseSampler

    if options:
        raise SettingError(f"{SETTING}_options: grid reads no {min(options)}; leave it out")
    points = list(itertools.product(*(_values(one) for one in space.dimensions)))
    random.Random(seed).shuffle(points)
    names = [name_of(one.key) for one in space.dimensions]

    class Grid(BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            others = (one.params for one in study.get_trials(deepcopy=False) if one.number != trial.number)
            drawn = {tuple(one.get(name) for name in names) for one in others}
            return next((one for one in points if one not in drawn), points[0])[names.index(param_name)]

    return Grid()


SAMPLERS: Mapping[str, Callable[[Mapping[str, Any], int, int, Space], BaseSampler]] = MappingProxyType(
    {"tpe": _tpe, "random": _random, "grid": _grid, "cmaes": _cmaes, "gp": _gp}
)
"""The choices of `hydra.sweeper.sampler`: functions of the options, the seeds of search and trial, and the space."""
