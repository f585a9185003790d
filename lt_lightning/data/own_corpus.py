"""Describe a LightningDataModule of the user's own before it is imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lt_lightning.config.sources import CustomData


@dataclass(frozen=True)
class OwnCorpus:
    """The data of a LightningDataModule of the user's own.

    Attributes:
        name: the setting `data.name`, or the name of the class.
        source: the full name of the class.
        fingerprints: a digest of the class and its arguments; the data itself is not read.
        class_names: the names of the classes, if the module has an attribute `class_names`.
    """

    name: str
    source: str
    fingerprints: Mapping[str, str]
    class_names: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def describe_own(data: CustomData) -> OwnCorpus:
    """Return a description of the data, from the settings alone."""
    content = json.dumps([data._target_, data.arguments], sort_keys=True, default=str)
    name = data._target_.rpartition(".")[2] if data.name == "custom" else data.name
    return OwnCorpus(name, data._target_, {"settings": hashlib.sha256(content.encode()).hexdigest()[:16]})
