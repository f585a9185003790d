"""Frozen dataclasses from JSON and back. A value that is missing or of another type becomes None.

A dataclass whose JSON is not an object of its fields has methods `from_json` and `to_json` of its own.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_MISFIT = object()


def parse(kind: type[T], content: Any) -> T:
    """Return the dataclass `kind` with the values that `content` has under the names of its fields.

    Args:
        kind: a dataclass. Each field is a dataclass, or may be None: `int | None`, `tuple[str, ...] | None`,
            `Mapping[str, int] | None`, `Any`, ….
        content: a value of a JSON file.
    """
    given = content if isinstance(content, Mapping) else {}
    values = {name: _fitted(given.get(name), hint) for name, hint in _hints(kind).items()}
    return kind(**{name: None if value is _MISFIT else value for name, value in values.items()})


def plain(value: Any) -> Any:
    """Return a value as JSON has it: dataclasses and mappings as dicts, tuples as lists."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fitted(value: Any, hint: Any) -> Any:
    """Return a value of JSON if it is of a type, as a value of that type, or else `_MISFIT`."""
    if hint is Any:
        return value
    if is_dataclass(hint):
        kind: Any = hint
        return kind.from_json(value) if hasattr(kind, "from_json") else parse(kind, value)
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _fitted_one(value, inside)
    if origin is tuple:
        items = [_fitted(one, inside[0]) for one in value] if isinstance(value, (list, tuple)) else [_MISFIT]
        return _MISFIT if _MISFIT in items else tuple(items)
    if origin is not None:  # Mapping[str, …]
        if not isinstance(value, Mapping):
            return _MISFIT
        named = {key: _fitted(one, inside[1]) for key, one in value.items()}
        return _MISFIT if _MISFIT in named.values() else named
    if isinstance(value, bool):  # which Python counts among the integers
        return value if hint is bool else _MISFIT
    return value if isinstance(value, (int, float) if hint is float else hint) else _MISFIT


def _fitted_one(value: Any, hints: tuple[Any, ...]) -> Any:
    """Return a value as one of several types; a dataclass that may be None is None unless its JSON is an object."""
    if value is None:
        return None
    hints = tuple(one for one in hints if not is_dataclass(one) or isinstance(value, Mapping))
    found = (_fitted(value, one) for one in hints if one is not type(None))
    return next((one for one in found if one is not _MISFIT), _MISFIT)
