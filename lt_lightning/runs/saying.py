"""Values of `run.json` and other JSON in words. Imports the standard library alone."""

import json
from collections.abc import Mapping
from typing import Any

DASH = "–"
_MANY = 20  # classes, versions or patterns; of more, the first so many are named


def exact(value: Any) -> str:
    """Return a text that only equal values share, whatever their kind; values that `say` shortens differ here.

    >>> exact(1) == exact("1"), exact({"a": 1, "b": 2}) == exact({"b": 2, "a": 1})
    (False, True)
    """
    return json.dumps(value, sort_keys=True)


def count(value: Any) -> str:
    """A whole number with commas; anything else as `say` has it."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else say(value)


def say(value: Any) -> str:
    """Any value of a JSON file in words.

    >>> say(None), say(1e-3), say(["World", "Sports"]), say([])
    ('–', '0.001', 'World, Sports', 'none')

    What has a name is called by it, and its other values follow; settings that are null say nothing.

    >>> say({"name": "adam", "lr": 0.1, "momentum": None})
    'adam, lr 0.1'
    """
    if value is None or value == "":
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        value = [
            say(item) if key == "name" else f"{key} {say(item)}" for key, item in value.items() if item is not None
        ]
    if isinstance(value, (list, tuple)):
        named = ", ".join(map(say, value[:_MANY])) or "none"
        return named if len(value) <= _MANY else f"{named}, … ({len(value)} in all)"
    # JSON can hold half a character, which no file can.
    return str(value).encode(errors="replace").decode()


def visible(name: str) -> str:
    r"""A name that can be seen: letters, too, may be classes, and some of them have no ink.

    >>> visible("Sports"), visible(" "), visible("\n")
    ('Sports', 'space', 'line end')
    """
    return {" ": "space", "\n": "line end", "\t": "tab"}.get(name, name)
