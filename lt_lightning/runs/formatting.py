"""Values as text: numbers, shares, settings and other values of JSON. Imports the standard library alone."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"
_MANY = 20  # classes, versions or patterns; of a longer list, this many are named


def exact(value: Any) -> str:
    """Return a text that only equal values share, whatever their type; values that `say` shortens differ here.

    >>> exact(1) == exact("1"), exact({"a": 1, "b": 2}) == exact({"b": 2, "a": 1})
    (False, True)
    """
    return json.dumps(value, sort_keys=True)


def count(value: Any) -> str:
    """Return a whole number with commas, and any other value like `say`."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else say(value)


def say(value: Any) -> str:
    """Return any value of a JSON file in words.

    >>> say(None), say(1e-3), say(["World", "Sports"]), say([])
    ('–', '0.001', 'World, Sports', 'none')

    An object with a name begins with it; its values that are null are left out.

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
    # JSON can hold half of a surrogate pair, which no file can.
    return str(value).encode(errors="replace").decode()


def visible(name: str) -> str:
    r"""Return a name that can be seen: classes may be letters, and some letters have no ink.

    >>> visible("Sports"), visible(" "), visible("\n")
    ('Sports', 'space', 'line end')
    """
    return {" ": "space", "\n": "line end", "\t": "tab"}.get(name, name)


def percent(fraction: float) -> str:
    """Return a fraction in per cent, in at most 8 characters: two decimals, or three digits if these tell more.

    >>> percent(1.0), percent(0.011529), percent(0.00012345), percent(0.00001), percent(0.0), percent(float("nan"))
    ('100.00 %', '1.15 %', '0.0123 %', '<0.01 %', '0.00 %', '-')
    """
    value = 100 * fraction
    if math.isnan(value):
        return "-"
    if 0 < value < 0.01:
        return "<0.01 %"
    return f"{value:.3g} %" if 0 < value < 0.995 else f"{value:.2f} %"


def mean_count(value: float) -> str:
    """Return a mean of whole numbers, with one decimal unless it is whole.

    >>> mean_count(1250.0), mean_count(62.54)
    ('1,250', '62.5')
    """
    return f"{value:,.1f}".removesuffix(".0")


def decimal(value: float, digits: int = 3) -> str:
    """Return a number with so many decimals, or in powers of ten from 1,000 on, in at most 9 characters.

    >>> decimal(2.0416), decimal(123456.0), decimal(float("nan"))
    ('2.042', '1.23e+05', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.2e}"


def loss(value: float) -> str:
    """Return a loss with four decimals, or in powers of ten from 1,000 on."""
    return decimal(value, 4)


def name_rounds(rounds: Sequence[int]) -> str:
    """Return some rounds in words, in their order.

    >>> name_rounds([0, 1, 2, 3]), name_rounds([2, 4, 6]), name_rounds([0])
    ('0 to 3', '2, 4, 6', '0')
    """
    is_gapless = len(rounds) > 1 and list(rounds) == [*range(rounds[0], rounds[-1] + 1)]
    return f"{rounds[0]} to {rounds[-1]}" if is_gapless else ", ".join(map(str, rounds))


def compression(alive: int, total: int) -> str:
    """Return how many times smaller the survivors are than the whole, e.g. `86.74x`; `-` if nothing survives."""
    return f"{total / alive:,.2f}x" if alive else "-"


def show_setting(value: Any) -> str:
    """Return a setting's value as one would type it.

    >>> show_setting("init"), show_setting(1e-3), show_setting(None), show_setting([3, 4, 5]), show_setting(True)
    ('init', '0.001', 'null', '[3, 4, 5]', 'true')
    """
    return say(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")


def flat_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted names; none if `config` is no mapping.

    >>> flat_settings({"seed": 0, "data": {"limit": None}})
    {'seed': 0, 'data.limit': None}
    """
    if not isinstance(config, Mapping):
        return {prefix[:-1]: config} if prefix else {}
    below = (flat_settings(inside, f"{prefix}{key}.") for key, inside in config.items())
    return {name: value for settings in below for name, value in settings.items()}
