"""The values of settings that did not exist yet when a run was recorded. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from lt_lightning.lottery.settings import Settings

PRUNING: Mapping[str, Any] = MappingProxyType(
    {
        f"pruning.{one.name}": list(one.default) if isinstance(one.default, tuple) else one.default
        for one in fields(Settings)
        if one.name != "seed" and one.default is not None
    }
)
"""Settings of the group `pruning` by their full names: a lottery's defaults are what runs did before."""
