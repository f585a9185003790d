"""Check how a ticket describes its run's first weights, without torch or NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lt_lightning.config.models import ModelChoice
from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import quoted


def check_recipe(about: Mapping[str, Any], parameters: Iterable[str]) -> None:
    """Check that the first weights can be drawn again from a ticket's entry `first`.

    Args:
        about: the ticket's header, after `shapes.check_about`.
        parameters: the names of all parameters.

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


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
