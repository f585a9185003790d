"""Find what nested settings make Hydra and OmegaConf do: objects (`_target_`) and interpolations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


def find_targets(value: Any) -> list[str]:
    """Return all that the `_target_` keys of nested mappings and lists name.

    >>> find_targets([{"_target_": "a.B", "x": {"_target_": "c.D"}}, 3])
    ['a.B', 'c.D']
    """
    return [str(found) for key, found in _items(value) if key == "_target_"]


def find_interpolations(value: Any) -> list[str]:
    """Return the texts in nested mappings and lists that hold an interpolation.

    Hydra resolves them once more when it makes objects.

    >>> find_interpolations({"a": ["${oc.env:HOME}", "plain"]})
    ['${oc.env:HOME}']
    """
    return [text for text in _texts(value) if "${" in text]


def escape(text: str) -> str:
    r"""Return text in which what looks like an interpolation stands for itself.

    >>> print(escape("a${b}"), escape(r"a\${b}"))
    a\${b} a\\\${b}
    """
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def literal(settings: Any) -> Any:
    """Return resolved settings so that OmegaConf does not resolve their texts once more.

    Args:
        settings: nested dicts and lists of plain values.
    """
    if isinstance(settings, dict):
        return {key: literal(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [literal(value) for value in settings]
    return escape(settings) if type(settings) is str else settings


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of mappings, at any depth; of lists the key is empty."""
    from hydra.core.override_parser.types import ChoiceSweep, QuotedString

    if isinstance(value, ChoiceSweep):
        value = value.list
    if isinstance(value, Mapping):
        pairs = [(key.text if isinstance(key, QuotedString) else str(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [("", one) for one in value]
    else:
        pairs = []
    for key, one in pairs:
        yield key, one.text if isinstance(one, QuotedString) else one
        yield from _items(one)


def _texts(value: Any) -> list[str]:
    return [one for _, one in _items([value]) if isinstance(one, str)]
