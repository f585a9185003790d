"""Translate settings that users type under another name than the configuration has.

`seed` is a number, so it cannot hold `seed.order`: the configuration has `seed_order`.
"""

from __future__ import annotations

import re
from types import MappingProxyType

TYPED = MappingProxyType({"seed.order": "seed_order"})
"""The names of settings in the configuration, by the names that users type."""


def stored_override(argument: str) -> str:
    """Return an override with the setting's name in the configuration.

    >>> stored_override("seed.order=0,1"), stored_override("seed=1"), stored_override("name=seed.order=1")
    ('seed_order=0,1', 'seed=1', 'name=seed.order=1')
    """
    for typed, stored in TYPED.items():
        argument = re.sub(rf"^([+~]*){re.escape(typed)}(?==|$)", rf"\g<1>{stored}", argument)
    return argument


def typed_names(message: str) -> str:
    """Return a message with the names that users type.

    >>> typed_names("seed_order: -1 is not between 0 and 3")
    'seed.order: -1 is not between 0 and 3'
    """
    for typed, stored in TYPED.items():
        message = re.sub(rf"(?<![\w.]){stored}\b", typed, message)
    return message
