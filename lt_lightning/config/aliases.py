"""Translate settings that users type under another name than the configuration has.

`seed` is a number, so it cannot hold `seed.order`: the configuration has `seed_order`. Early stopping is a setting of
its own, also where it is chosen as a callback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

TYPED = MappingProxyType({"seed.order": "seed_order"})
"""The names of settings in the configuration, by the names that users type."""

_EARLY_STOPPING = re.compile(r"^\+{0,2}callbacks\.early_stopping\.(?=(patience|min_delta)=)")
_CHOSEN = re.compile(r"^\+(?=(logger|callbacks)=)")
_DEBUG = re.compile(r"^\+{0,2}debug=")


def stored_override(argument: str) -> str:
    """Return an override with the setting's name in the configuration.

    >>> stored_override("seed.order=0,1"), stored_override("seed=1"), stored_override("name=seed.order=1")
    ('seed_order=0,1', 'seed=1', 'name=seed.order=1')
    >>> stored_override("+callbacks=lr_monitor"), stored_override("callbacks.early_stopping.patience=5")
    ('callbacks=lr_monitor', 'early_stopping.patience=5')
    """
    for typed, stored in TYPED.items():
        argument = re.sub(rf"^([+~]*){re.escape(typed)}(?==|$)", rf"\g<1>{stored}", argument)
    return _CHOSEN.sub("", _EARLY_STOPPING.sub("early_stopping.", argument))


def debug_last(arguments: Sequence[str]) -> list[str]:
    """Return a command line whose choice of `debug` comes last, so that it overrides the settings of experiments.

    >>> debug_last(["debug=fast", "+experiment=quickstart", "seed=1"])
    ['+experiment=quickstart', 'seed=1', '+debug=fast']
    """
    chosen = [_DEBUG.sub("+debug=", one) for one in arguments if _DEBUG.match(one)]
    return [*(one for one in arguments if not _DEBUG.match(one)), *chosen]


def typed_names(message: str) -> str:
    """Return a message with the names that users type.

    >>> typed_names("seed_order: -1 is not between 0 and 3")
    'seed.order: -1 is not between 0 and 3'
    """
    for typed, stored in TYPED.items():
        message = re.sub(rf"(?<![\w.]){stored}\b", typed, message)
    return message
