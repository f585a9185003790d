"""Check the header of a ticket, without NumPy, and compute from it the parameters of its network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from lt_lightning.config.enums import Splitter
from lt_lightning.config.models import BiRNN, ModelChoice, packed_kind
from lt_lightning.errors import SettingError, shown
from lt_lightning.storage.sealed import quoted

_BLOCKS = {"rnn": 1, "gru": 3, "gru_chung": 3, "lstm": 4}
"""The number of blocks of rows in a cell's matrices."""
_LARGEST, _MOST_LAYERS, _MOST_CLASSES = 1 << 24, 128, 1 << 16
MOST_ENTRIES = 1 << 40
"""Arithmetic on the places of so many entries cannot overflow."""
_DEEPEST = 16
"""Maximum depth of nested objects and lists; tickets have four levels."""
_HOTTEST = 1000
"""Maximum temperature of calibration, and the inverse of the minimum."""
_SHARES = ("sparsity", "density", "test_acc", "full_test_acc", "rounded_test_acc", "half_test_acc")
_COUNTS = ("round", "alive", "total")


def check_plain(content: Any) -> None:
    """Check that the result of `json.loads` can be written as JSON and UTF-8, and is not nested too deeply.

    Raises:
        ValueError: a value is NaN or infinite, half of a surrogate pair, or too deep.
    """
    waiting = [(content, 0)]  # no recursion: a file can nest arbitrarily deep
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict):
            waiting += [(inside, depth + 1) for pair in value.items() for inside in pair]
        elif isinstance(value, list):
            waiting += [(inside, depth + 1) for inside in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"its header holds {value}, which is not valid JSON")
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"its header holds {shown(value)}, half of a surrogate pair") from None
        if depth > _DEEPEST:
            raise ValueError(f"its header has objects or lists more than {_DEEPEST} deep")


def check_about(about: Mapping[str, Any]) -> None:
    """Check the entries of a ticket's header that describe the task, the tokenizer and the results.

    Shares and counts may be missing, or null where a run did not measure them.

    Raises:
        ValueError: an entry is missing or wrong; the message names it.
    """
    check_results(about)
    splitters = [splitter.value for splitter in Splitter if splitter.makes_words]
    if about.get("splitter") not in splitters:
        raise ValueError(f"its splitter {shown(about.get('splitter'))} is none of {', '.join(splitters)}")
    model = about.get("model")
    if not isinstance(model, Mapping) or packed_kind(model.get("name")) is None:
        name = model.get("name") if isinstance(model, Mapping) else model
        raise ValueError(f"its model {shown(name)} is not a text classifier that this version can read")


def check_results(about: Mapping[str, Any]) -> None:
    """Check the entries that the tickets of all networks have: results, classes and `max_length`.

    Raises:
        ValueError: an entry is missing or wrong; the message names it.
    """
    for key in _SHARES:
        value = about.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
            raise ValueError(f"its {key} is {shown(value)}, not a number in [0, 1]")
    for key in _COUNTS:
        if about.get(key) is not None:
            checked_size(about, key, 0, (1 << 63) - 1)
    if about.get("temperature") is not None:
        temperature = about["temperature"]
        if not _is_finite(temperature) or not 1 / _HOTTEST <= temperature <= _HOTTEST:
            raise ValueError(f"its temperature is {shown(temperature)}, not a number in [{1 / _HOTTEST}, {_HOTTEST}]")
    names = about.get("class_names")
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ValueError("its class_names are not a list of two or more names")
    if len(names) > _MOST_CLASSES:
        raise ValueError(f"it has {len(names):,} classes, more than {_MOST_CLASSES:,}")
    if len({*names}) < len(names):
        raise ValueError("two of its class_names are the same")
    if "max_length" not in about:
        raise ValueError("it has no max_length")
    if about["max_length"] is not None:
        checked_size(about, "max_length")


def expected_shapes(about: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a network's parameters, as in torch.

    Args:
        about: a ticket's header, after `check_about`.

    Raises:
        ValueError: a setting that they depend on is missing or out of range.
    """
    dim, model = checked_size(about, "embedding_dim"), about["model"]
    words = checked_size(about, "words", least=2)  # `<unk>` and `<pad>`
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (words, dim)}
    features = 0
    if packed_kind(model["name"]) == BiRNN.packs:
        cell, hidden = model.get("cell"), checked_size(model, "hidden")
        if cell not in tuple(_BLOCKS):
            raise ValueError(f"its cell {shown(cell)} is none of {', '.join(_BLOCKS)}")
        if not isinstance(model.get("bidirectional"), bool):
            raise ValueError("its bidirectional is not true or false")
        ways = ("", "_reverse") if model["bidirectional"] else ("",)
        features, rows = hidden * len(ways), _BLOCKS[cell] * hidden
        for layer in range(checked_size(model, "layers", most=_MOST_LAYERS)):
            for way in ways:
                shapes[f"rnn.weight_ih_l{layer}{way}"] = (rows, features if layer else dim)
                shapes[f"rnn.weight_hh_l{layer}{way}"] = (rows, hidden)
                shapes[f"rnn.bias_ih_l{layer}{way}"] = shapes[f"rnn.bias_hh_l{layer}{way}"] = (rows,)
    else:
        widths = model.get("widths")
        if not isinstance(widths, list) or not widths:
            raise ValueError("its widths are not a list")
        filters = _filters(model, len(widths))
        for place, count in enumerate(filters):
            shapes[f"convs.{place}.weight"] = (count, dim, checked_size({"width": widths[place]}, "width"))
            shapes[f"convs.{place}.bias"] = (count,)
        features = sum(filters)
    classes = len(about["class_names"])
    logits = 1 if classes == 2 else classes
    shapes |= {"fc.weight": (logits, features), "fc.bias": (logits,)}
    total = sum(map(prod, shapes.values()))
    if total > MOST_ENTRIES:
        raise ValueError(f"its settings need {total:,} weights, more than any network has")
    return shapes


def _filters(model: Mapping[str, Any], widths: int) -> list[int]:
    """Return the number of filters of each width: one number for all, or a list, in networks that were cut smaller."""
    filters = model.get("filters")
    if not isinstance(filters, list):
        return [checked_size(model, "filters")] * widths
    if len(filters) != widths:
        raise ValueError(f"its filters are {len(filters):,} numbers for {widths} widths")
    return [checked_size({"filters": count}, "filters") for count in filters]


def check_recipe(about: Mapping[str, Any], parameters: Iterable[str]) -> None:
    """Check that the first weights of `parameters`, all names, can be drawn again from a ticket's entry `first`.

    `about` is the ticket's header, after `check_about`.

    Raises:
        ValueError: they cannot; the message says why.
    """
    first = about.get("first")
    if not isinstance(first, Mapping):
        raise ValueError("first is not an object")
    seed, words, std, witness = (first.get(key) for key in ("seed", "words", "embedding_std", "witness"))
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ValueError(f"its seed is {quoted(str(seed))}")
    if words != about["words"] or type(words) is not int:
        raise ValueError(f"it is for {quoted(str(words))} words, the ticket has {about['words']:,}")
    if not isinstance(std, int | float) or not _is_finite(std) or std < 0:
        raise ValueError(f"its embedding_std is {quoted(str(std))}")
    if not isinstance(witness, Mapping) or witness.keys() != {*parameters} or not any(witness.values()):
        raise ValueError("it lacks values of each parameter to compare with")
    for name, values in witness.items():
        if not isinstance(values, list) or not all(map(_is_finite, values)):
            raise ValueError(f"the values of {name} to compare with are not finite numbers")
    model_settings(about)


def model_settings(about: Mapping[str, Any]) -> ModelChoice:
    """Return the settings of a ticket's network, without the keys that no network reads.

    Raises:
        ValueError: one is missing, of another type, or out of range.
    """
    from lt_lightning.config.validation import read_group  # imports OmegaConf

    try:
        model = read_group("model", {"kernel": "reference", **about["model"]})
    except SettingError as error:
        raise ValueError(f"its {error}") from None
    assert isinstance(model, ModelChoice)
    return model


def checked_size(values: Mapping[str, Any], key: str, least: int = 1, most: int = _LARGEST) -> int:
    """Return an integer of a header; raise a ValueError if it is another value, or out of range."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"its {key} is {shown(value)}, not an integer in [{least}, {most}]")
    return value


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
