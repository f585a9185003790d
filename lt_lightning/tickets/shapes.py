"""What a ticket says of its network, and which parameters follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from lt_lightning.config.enums import Splitter
from lt_lightning.config.models import BiRNN, packed_kind
from lt_lightning.errors import shown
from lt_lightning.tickets.plain import check_numbers

BLOCKS = {"rnn": 1, "gru": 3, "gru_chung": 3, "lstm": 4}
"""How many blocks of rows a cell's matrices have."""
_MOST = 1 << 24
"""No size is larger."""
_MOST_LAYERS, _MOST_CLASSES = 128, 1 << 16
_MOST_ENTRIES = 1 << 40
"""So many can be counted whatever is done to their places."""


def check_about(about: Mapping[str, Any]) -> None:
    """Check that a ticket says what its network needs, and that the numbers it says of itself are numbers.

    Raises:
        ValueError: it does not; the message says what is wrong.
    """
    check_numbers(about)
    names = about.get("class_names")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ValueError("its class_names are no list of two names or more")
    if len(names) > _MOST_CLASSES:
        raise ValueError(f"it has {len(names):,} classes, more than {_MOST_CLASSES:,}")
    if len({*names}) < len(names):
        raise ValueError("two of its class_names are the same")
    if about.get("splitter") not in [splitter.value for splitter in Splitter]:
        raise ValueError(f"its splitter {shown(about.get('splitter'))} is none of {', '.join(Splitter.__members__)}")
    if "max_length" not in about:
        raise ValueError("it does not say its max_length")
    if about["max_length"] is not None:
        _size(about, "max_length")
    model = about.get("model")
    if not isinstance(model, Mapping) or packed_kind(model.get("name")) is None:
        name = model.get("name") if isinstance(model, Mapping) else model
        raise ValueError(f"its model {shown(name)} is no classifier of texts that this version knows")


def expected_shapes(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of all parameters of the network that a ticket speaks of, as torch has them.

    Args:
        about: what the ticket says, after `check_about`.

    Raises:
        ValueError: a setting that they depend on is missing or no size.
    """
    dim, model = _size(about, "embedding_dim"), about["model"]
    words = _size(about, "words", least=2)  # `<unk>` and `<pad>`
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (words, dim)}
    features = 0
    if packed_kind(model["name"]) == BiRNN.packs:
        cell, hidden = model.get("cell"), _size(model, "hidden")
        if cell not in tuple(BLOCKS):
            raise ValueError(f"its cell {shown(cell)} is none of {', '.join(BLOCKS)}")
        if not isinstance(model.get("bidirectional"), bool):
            raise ValueError("it does not say whether it is bidirectional")
        ways = ("", "_reverse") if model["bidirectional"] else ("",)
        features, rows = hidden * len(ways), BLOCKS[cell] * hidden
        for layer in range(_size(model, "layers", most=_MOST_LAYERS)):
            for way in ways:
                shapes[f"rnn.weight_ih_l{layer}{way}"] = (rows, features if layer else dim)
                shapes[f"rnn.weight_hh_l{layer}{way}"] = (rows, hidden)
                shapes[f"rnn.bias_ih_l{layer}{way}"] = shapes[f"rnn.bias_hh_l{layer}{way}"] = (rows,)
    else:
        filters, widths = _size(model, "filters"), model.get("widths")
        if not isinstance(widths, list) or not widths:
            raise ValueError("its widths are no list")
        for place in range(len(widths)):
            shapes[f"convs.{place}.weight"] = (filters, dim, _size({"width": widths[place]}, "width"))
            shapes[f"convs.{place}.bias"] = (filters,)
        features = filters * len(widths)
    classes = len(about["class_names"])
    logits = 1 if classes == 2 else classes
    shapes |= {"fc.weight": (logits, features), "fc.bias": (logits,)}
    total = sum(map(prod, shapes.values()))
    if total > _MOST_ENTRIES:
        raise ValueError(f"its settings ask for {total:,} weights, more than there are in any network")
    return shapes


def _size(values: Mapping[str, Any], key: str, least: int = 1, most: int = _MOST) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"its {key} is {shown(value)}, which is no size")
    return value
