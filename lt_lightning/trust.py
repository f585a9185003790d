"""Find the recorded settings of a run that could run code: a run directory may come from elsewhere.

A record may choose among this package's own choices. Objects (`_target_`), settings of Hydra, files outside of the
configuration tree and computed values count only where the command line of today gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

_HARMLESS = frozenset({"hydra.sweep.subdir"})
"""Settings of Hydra that name folders within the sweep's own; `job_folders` refuses others."""

_INSTALLED = frozenset({"hydra/launcher", "hydra/sweeper"})
"""Groups of Hydra whose choices are installed plugins: the record names one and brings none."""

_PLAIN = re.compile(r"\$\{(?:[\w.\[\]]+|oc\.env:\w+|now:[-\w%: .]+)\}")
"""Interpolations that give the value of another setting, a variable of the environment, or the time."""


def find_untrusted(recorded: Sequence[str]) -> list[str]:
    """Return the overrides of a record that count only if the user gives them.

    >>> find_untrusted(["seed=1", "trainer.callbacks=[{_target_: evil.C}]", "hydra.job_logging.x=1", "model=../../x"])
    ['trainer.callbacks=[{_target_: evil.C}]', 'hydra.job_logging.x=1', 'model=../../x']
    """
    return [argument for argument in recorded if not _is_plain(argument)]


def find_targets(value: Any) -> list[str]:
    """Return all that the `_target_` keys of nested mappings and lists name.

    >>> find_targets([{"_target_": "a.B", "x": {"_target_": "c.D"}}, 3])
    ['a.B', 'c.D']
    """
    return [str(found) for key, found in _items(value) if key == "_target_"]


def find_interpolations(value: Any) -> list[str]:
    """Return the texts in nested mappings and lists that hold an interpolation.

    Hydra resolves them once more when it makes objects.

    >>> find_interpolations({"a": ["${oc.env:HOME}", "plain"]})
    ['${oc.env:HOME}']
    """
    return [text for text in _texts(value) if "${" in text]


@lru_cache(maxsize=1)
def own_targets() -> frozenset[str]:
    """Return the targets that the files of this package's configuration tree name."""
    from lt_lightning.command import config_folder

    text = "\n".join(path.read_text(encoding="utf-8") for path in Path(config_folder()).rglob("*.yaml"))
    return frozenset(re.findall(r"^[^#\n]*\b_target_:\s*([\w.]+)", text, re.M))


def escape(text: str) -> str:
    r"""Return text in which what looks like an interpolation stands for itself.

    >>> print(escape("a${b}"), escape(r"a\${b}"))
    a\${b} a\\\${b}
    """
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def literal(settings: Any) -> Any:
    """Return resolved settings so that OmegaConf does not resolve their texts once more.

    Args:
        settings: nested dicts and lists of plain values.
    """
    if isinstance(settings, dict):
        return {key: literal(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [literal(value) for value in settings]
    return escape(settings) if type(settings) is str else settings


def _is_plain(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from lt_lightning.checks import setting_names

    if argument.startswith("-"):  # a flag, such as --config-dir
        return False
    try:
        override = OverridesParser.create().parse_override(argument)
        value, key = override.value(), override.key_or_group
    except (HydraException, ValueError, RecursionError):
        return False
    if _is_of_hydra(key, override.package or "", value) or _is_computed(argument):
        return False
    is_target = key.rpartition(".")[2] == "_target_"
    targets = [*find_targets(value), *([str(value)] if is_target else [])]
    if len(targets) != argument.count("_target_") or not own_targets().issuperset(targets):
        return False
    is_group = "." not in key and key not in setting_names()
    return not is_group or not any(_leads_elsewhere(text) for text in _texts(value))


def _is_of_hydra(key: str, package: str, value: Any) -> bool:
    """Return whether an override changes Hydra itself."""
    if key in _INSTALLED and not package:
        return not isinstance(value, str) or re.fullmatch(r"\w+", value) is None
    words = re.split(r"[./@:]", f"{key}@{package}")
    return "hydra" in words and key not in _HARMLESS


def _is_computed(argument: str) -> bool:
    """Return whether a value is computed, such as by `oc.decode`, which makes objects of text."""
    before, text = "", argument.replace("\\${", "")  # an escaped one is text
    while text != before:
        before, text = text, _PLAIN.sub("", text)
    return "${" in text


def _leads_elsewhere(choice: str) -> bool:
    """Return whether a choice of a group may be a file outside of the configuration tree."""
    return "${" in choice or ".." in Path(choice).parts or Path(choice).is_absolute() or "://" in choice


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of mappings, at any depth; of lists the key is empty."""
    from hydra.core.override_parser.types import ChoiceSweep, QuotedString

    if isinstance(value, ChoiceSweep):
        value = value.list
    if isinstance(value, Mapping):
        pairs = [(key.text if isinstance(key, QuotedString) else str(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [("", one) for one in value]
    else:
        pairs = []
    for key, one in pairs:
        yield key, one.text if isinstance(one, QuotedString) else one
        yield from _items(one)


def _texts(value: Any) -> list[str]:
    return [one for _, one in _items([value]) if isinstance(one, str)]
