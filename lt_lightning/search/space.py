"""Read the settings that a search varies, in the syntax of Hydra's overrides. Imports neither Optuna nor torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lt_lightning.errors import SettingError, first_line, shown

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override
    from optuna.trial import Trial

MISSING = "???"
_HOW = "give KEY=interval(LOW,HIGH), KEY=range(START,STOP), KEY=choice(A,B) or KEY=A,B"


class Dimension(Protocol):
    """A setting that a search varies.

    Attributes:
        key: the setting as on a command line, perhaps with a + before it.
    """

    @property
    def key(self) -> str: ...  # noqa: D102

    def suggest(self, trial: Trial) -> Any:
        """Return the trial's value of this setting, which the study's sampler chooses unless it is chosen already."""
        ...

    def values(self) -> Sequence[Any] | None:
        """Return all values, or None if there are infinitely many."""
        ...

    def contains(self, value: Any) -> bool:
        """Return whether a value, read from a storage, is one of this setting's."""
        ...

    @property
    def middle(self) -> Any:
        """Return a value from the middle."""
        ...

    def describe(self) -> str:
        """Return the values as text that is the same for the same values."""
        ...


@dataclass(frozen=True)
class Choices:
    """Some values without an order, as they are typed."""

    key: str
    options: tuple[str, ...]

    def suggest(self, trial: Trial) -> str:
        """Return one of the values."""
        return trial.suggest_categorical(name_of(self.key), self.options)

    def values(self) -> Sequence[str]:
        """Return the values."""
        return self.options

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the options."""
        return isinstance(value, str) and value in self.options

    @property
    def middle(self) -> str:
        """Return the first value."""
        return self.options[0]

    def describe(self) -> str:
        """Return the values as a choice."""
        return f"choice({','.join(self.options)})"


@dataclass(frozen=True)
class Steps:
    """Numbers from `low` to `high`, both included, in steps."""

    key: str
    low: float
    high: float
    step: float

    def suggest(self, trial: Trial) -> float:
        """Return one of the numbers."""
        draw = trial.suggest_int if self._is_whole else trial.suggest_float
        return draw(name_of(self.key), self.low, self.high, step=self.step)  # pyright: ignore[reportArgumentType]

    def values(self) -> Sequence[float]:
        """Return the numbers, as Optuna computes them."""
        return [self.low + place * self.step for place in range(round((self.high - self.low) / self.step) + 1)]

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the numbers, up to rounding."""
        if not _is_number(value, self._is_whole):
            return False
        place, last = (value - self.low) / self.step, (self.high - self.low) / self.step
        return -1e-9 <= place <= last + 1e-9 and abs(place - round(place)) <= 1e-9

    @property
    def middle(self) -> float:
        """Return the number in the middle."""
        values = self.values()
        return values[len(values) // 2]

    def describe(self) -> str:
        """Return the range, its end included."""
        return f"{self.low}, {self.low + self.step}, …, {self.high}"

    @property
    def _is_whole(self) -> bool:
        return all(isinstance(one, int) for one in (self.low, self.high, self.step))


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; with `log` each factor is as likely as another."""

    key: str
    low: float
    high: float
    log: bool

    def suggest(self, trial: Trial) -> float:
        """Return a number."""
        draw = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return draw(name_of(self.key), self.low, self.high, log=self.log)  # pyright: ignore[reportArgumentType]

    def values(self) -> Sequence[int] | None:
        """Return the whole numbers, or None for an interval of real numbers."""
        return range(self.low, int(self.high) + 1) if isinstance(self.low, int) else None

    def contains(self, value: Any) -> bool:
        """Return whether a value is a number of the interval."""
        return _is_number(value, isinstance(self.low, int)) and self.low <= value <= self.high

    @property
    def middle(self) -> float:
        """Return the mean, with `log` the geometric mean."""
        mean = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return round(mean) if isinstance(self.low, int) else mean

    def describe(self) -> str:
        """Return the interval."""
        return f"{'log ' * self.log}interval({self.low},{self.high})"


@dataclass(frozen=True)
class Space:
    """The settings of a search.

    Attributes:
        fixed: the overrides that are the same in all trials.
        dimensions: the settings that vary, in the order of the command line.
    """

    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial; `values` by the names of the dimensions."""
        return [*self.fixed, *self.assignments(values)]

    def assignments(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides that vary, such as `optimizer.lr=0.01`."""
        return [f"{one.key}={values[name_of(one.key)]}" for one in self.dimensions]

    def find_fault(self, values: Mapping[str, Any]) -> str | None:
        """Return what is wrong with values that a storage has, or None; a storage may come from elsewhere.

        Args:
            values: those of a trial, by the names of the settings.
        """
        dimensions = {name_of(one.key): one for one in self.dimensions}
        if values.keys() != dimensions.keys():
            return f"values of {', '.join(map(shown, sorted(values))) or 'no settings'}, not of {', '.join(dimensions)}"
        for name, one in dimensions.items():
            if not one.contains(values[name]):
                return f"{name}={shown(values[name])}, which is not in {one.describe()}"
        return None

    @property
    def middle(self) -> dict[str, Any]:
        """Return a trial from the middle."""
        return {name_of(one.key): one.middle for one in self.dimensions}

    def describe(self) -> dict[str, str]:
        """Return the values of each setting as text."""
        return {name_of(one.key): one.describe() for one in self.dimensions}


def name_of(key: str) -> str:
    """Return the name of a setting, without the + that adds it."""
    return key.lstrip("+")


def read_space(params: Any, arguments: Sequence[str], parser: OverridesParser) -> Space:
    """Return the settings of a search.

    Args:
        params: `hydra.sweeper.params`: values by setting, nested or by full names; `???` must be given in `arguments`.
        arguments: the overrides on the command line; they take precedence.
        parser: Hydra's parser of overrides.

    Raises:
        SettingError: a value is missing or cannot be read, or no setting varies.
    """
    given = parser.parse_overrides([*arguments])
    typed = {one.key_or_group for one in given}
    of_file = {key: value for key, value in _flat(params) if name_of(key) not in typed}
    for key, value in of_file.items():
        if value == MISSING:
            raise SettingError(f"hydra.sweeper.params: {key} has no value; {_HOW.replace('KEY', name_of(key))}")
    overrides: dict[str, Override] = {}
    for one in [*_parse(of_file, parser), *given]:
        overrides[one.get_key_element()] = one
    dimensions = [_dimension(one) for one in overrides.values() if one.is_sweep_override()]
    if not dimensions:
        raise SettingError(f"hydra/sweeper: optuna has no setting to vary; {_HOW} on the command line")
    fixed = [one for one in overrides.values() if not one.is_sweep_override()]
    return Space(tuple(one.input_line or "" for one in fixed), tuple(dimensions))


def _parse(params: Mapping[str, Any], parser: OverridesParser) -> Iterator[Override]:
    from hydra.errors import HydraException

    for key, value in params.items():
        text = {True: "true", False: "false", None: "null"}.get(value, value) if _is_plain(value) else value
        try:
            yield from parser.parse_overrides([f"{key}={text}"])
        except HydraException as error:
            raise SettingError(
                f"hydra.sweeper.params: cannot read {key}={text} ({first_line(error)}); {_HOW.replace('KEY', key)}"
            ) from None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _flat(params: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested parameters by their full names."""
    for key, value in (params or {}).items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _dimension(override: Override) -> Dimension:
    """Return the setting that an override varies."""
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep

    key, sweep = override.get_key_element(), override.value()
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := sorted(tags - {"log", "int", "float"}):
        raise SettingError(f"{name_of(key)}: there is no tag {unknown[0]!r} of a search; give log, int or float")
    if isinstance(sweep, IntervalSweep):
        return _interval(key, sweep.start, sweep.end, tags)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        numbers = [_plain(one) for one in sweep.range()]
        if len(numbers) > 1 and "log" in tags:
            return _interval(key, numbers[0], numbers[-1], tags)
        if len(numbers) > 1:
            return Steps(key, min(numbers), max(numbers), _plain(abs(sweep.step)))
        options = [str(one) for one in numbers]
    else:
        if tags and isinstance(sweep, ChoiceSweep):
            raise SettingError(f"{name_of(key)}: a choice has no order, so no tag {min(tags)}; leave it out")
        options = [str(one) for one in override.sweep_string_iterator()]
    if not options:
        raise SettingError(f"{name_of(key)}: there is no value to choose from; {_HOW.replace('KEY', name_of(key))}")
    return Choices(key, tuple(dict.fromkeys(options)))


def _interval(key: str, low: Any, high: Any, tags: set[str]) -> Interval:
    kind = int if "int" in tags else float if "float" in tags else None
    low, high = (low, high) if kind is None else (kind(low), kind(high))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingError(f"{name_of(key)}: interval({low},{high}) is empty; give a lower end below the upper one")
    if "log" in tags and low <= 0:
        raise SettingError(f"{name_of(key)}: {low} has no logarithm; give a lower end above 0, or leave out log")
    return Interval(key, low, high, "log" in tags)


def _is_number(value: Any, is_whole: bool) -> bool:
    return type(value) is int or (type(value) is float and not is_whole)


def _plain(number: Any) -> Any:
    return number if isinstance(number, int) else float(number)
