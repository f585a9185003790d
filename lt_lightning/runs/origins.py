"""What a run started from: the whole network, or a ticket from elsewhere, as `run.json` has it under `ticket`."""

from collections.abc import Mapping
from typing import Any

from lt_lightning.runs.saying import count, look_up, say
from lt_lightning.runs.terminal import percent


def origin_of(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What `run.json` says of the ticket that the run started from; None where it began with the whole network."""
    origin = description.get("ticket")
    return origin if isinstance(origin, Mapping) else None


def ticket_title(origin: Mapping[str, Any]) -> str:
    """Which ticket that is.

    >>> ticket_title({"corpus": "AG News", "round": 3})
    'ticket of AG News, round 3'
    """
    return f"ticket of {say(origin.get('corpus'))}, round {count(origin.get('round'))}"


def transfer_line(description: Mapping[str, Any]) -> str:
    """What a run took over from its ticket, in a line; nothing where it began with the whole network."""
    origin = origin_of(description)
    if origin is None:
        return ""
    said = [
        _words(origin),
        _WEIGHTS.get(str(origin.get("weights")), ""),
        _fresh(origin.get("fresh"), origin.get("carried")),
        _alive(origin),
    ]
    return f"{ticket_title(origin)}: {'; '.join(filter(None, said))}"


_WEIGHTS = {
    "first": "the first weights of its run",
    "trained": "its trained weights",
    "own": "new weights",
}


def _words(origin: Mapping[str, Any]) -> str:
    """How many words carry over; nothing where the whole table of them does not."""
    fresh = origin.get("fresh")
    if isinstance(fresh, list) and "embedding.weight" in fresh:
        return ""
    words = {key: count(look_up(origin, f"words.{key}")) for key in ("carried", "living", "here")}
    return f"{words['carried']} of its {words['living']} living words are words here (of {words['here']})"


def _fresh(names: Any, carried: Any = None) -> str:
    """What begins whole, with weights of its own.

    >>> _fresh(["fc.weight", "fc.bias"]), _fresh([])
    ('fc.* drawn afresh', '')
    >>> _fresh(["fc.weight", "fc.bias", "convs.0.bias"], carried=["convs.0.weight"])
    'fc.*, convs.0.bias drawn afresh'
    """
    if not isinstance(names, list) or not names:
        return ""
    parts = {_part(name) for name in carried} if isinstance(carried, list) else set()
    told = dict.fromkeys(say(name) if _part(name) in parts else f"{_part(name)}.*" for name in names)
    return f"{say(list(told))} drawn afresh"


def _part(name: Any) -> str:
    return say(name).rpartition(".")[0]


def _alive(origin: Mapping[str, Any]) -> str:
    alive, total = origin.get("alive"), origin.get("total")
    if not isinstance(alive, int) or not isinstance(total, int) or not 0 <= alive <= total > 0:
        return ""
    return f"{percent(alive / total)} alive"
