"""Declare the choices of a group of settings: one dataclass each, with defaults, limits and what else is known of it.

`choice` registers a dataclass, and `register_schema` hands all of them to Hydra. Field metadata holds the limits, which
`find_faults` checks. Imports the standard library alone, as packed tickets ask here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")

CHOICES: dict[str, dict[str, type]] = {}
"""The dataclass of each choice, by group and name."""

LARGEST = 2**31 - 1
"""No setting needs a larger number, and libraries that count in 32 or 64 bits break on some."""


def choice(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Register a dataclass as a choice of a group, such as `multi_cnn` of `model`."""

    def register(cls: type[T]) -> type[T]:
        CHOICES.setdefault(group, {})[name] = cls
        cls.choice = f"{group}.kind={name}" if group == "data" else f"{group}={name}"  # pyright: ignore[reportAttributeAccessIssue]
        return cls

    return register


def limited(
    default: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> Any:
    """Return a field whose number, if not null, must be within limits.

    Args:
        default: its default.
        least: the smallest value.
        above: a value that it must exceed.
        below: a value that it must stay below; infinity for a finite number.
        most: the largest value; without `below` it is `LARGEST`.
    """
    low = (least or 0) if above is None else above

    def fault(value: float) -> str | None:
        enough = value >= low if above is None else value > low
        if enough and (value < below if below is not None else value <= (most or LARGEST)):
            return None
        if most is not None:
            return f"not between {low} and {most}"
        if below is not None and math.isfinite(below):
            return f"not between {low}{' (included)' if above is None else ''} and {below}"
        if below is not None:
            return (
                f"not a finite number from {low} on"
                if above is None
                else f"not {'finite' if enough else f'above {above}'}"
            )
        return f"too large: it must be at most {LARGEST}" if enough else f"too small: it must be at least {low}"

    return checked(default, fault)


def one_of(default: str, *values: str) -> Any:
    """Return a field whose text must be one of some values."""
    return checked(default, lambda value: None if value in values else f"none of {', '.join(values)}")


def checked(default: Any, fault: Callable[[Any], str | None]) -> Any:
    """Return a field with a check of its own.

    Args:
        default: its default; a list is copied for each object.
        fault: returns what is wrong with a value that is not null, or None.
    """
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"fault": fault})
    return field(default=default, metadata={"fault": fault})


@dataclass
class Custom:
    """A class of the user's own, by `_target_`, with its arguments."""

    name: str
    _target_: str
    arguments: dict[str, Any]


def find_faults(settings: Any, group: str = "") -> Iterator[str]:
    """Yield the error of each setting that is out of its limits, those of nested groups included."""
    for one in fields(settings):
        key, value, fault = f"{group}{one.name}", getattr(settings, one.name), one.metadata.get("fault")
        if is_dataclass(value):
            yield from find_faults(value, f"{key}.")
        elif fault and value is not None and (reason := fault(value)):
            yield f"{key}: {value} is {reason}"


def values_of(settings: Any) -> dict[str, Any]:
    """Return the settings of a group, or of a whole configuration, as nested plain values."""
    if isinstance(settings, Custom):
        return {"name": settings.name, "_target_": settings._target_, **settings.arguments}
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {key: values_of(value) if is_dataclass(value) else value for key, value in values.items()}


def keys_of(group: str) -> list[str]:
    """Return the settings that some choice of a group reads, each once."""
    return list(dict.fromkeys(one.name for cls in CHOICES[group].values() for one in fields(cls)))
