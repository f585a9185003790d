"""Quote and escape values for Hydra's grammar, and find the objects and interpolations in them.

Hydra's grammar knows ASCII letters and few other characters outside of quotes, and a shell removes the quotes that
people write. A value that Hydra can read keeps its meaning: lists, interpolations and sweeps stay as they are.
Grammar: https://hydra.cc/docs/advanced/override_grammar/basic/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, List, Optional, get_args, get_type_hints  # noqa: UP035 (the types that the configuration uses)

from lt_lightning.config.aliases import debug_last, stored_override
from lt_lightning.config.typed_paths import typed_path

_OVERRIDE = re.compile(r"(\+{0,2})([A-Za-z_][A-Za-z0-9_./@-]*)=(.*)", re.DOTALL)
_FUNCTION = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|extend_list|int|float|str|bool|json_str)\(.*\)")
_PATHS = frozenset({"data.path", "embedding.path", "pruning.ticket", "branch.of", "hydra.run.dir", "hydra.sweep.dir"})


def quote_arguments(arguments: Sequence[str]) -> list[str]:
    """Return a command line whose values Hydra reads as they were typed.

    - A value that Hydra cannot read is put in quotes: `name=größe`, `data.path=/a/b (1).csv`. So are elements of lists,
      and of several values that are separated by commas.
    - A path with commas or brackets that exists is one path, unless the run is a sweep (`-m`).
    - A text setting keeps the spelling of a value that looks like a number: `data.text_column=1e3`.

    A value that begins with a quote or a brace, or is a function of Hydra's, stays as it is.

    Args:
        arguments: a command line without the program's name; `resume=FOLDER` is not Hydra's and stays as it is.
    """
    from hydra._internal.utils import get_args_parser

    options = get_args_parser().parse_args(list(arguments))
    overrides = set(options.overrides)
    quoted = [quote(one, in_sweep=options.multirun) if one in overrides else one for one in arguments]
    return debug_last(quoted)


def quote(argument: str, *, in_sweep: bool = False) -> str:
    """Return one override as Hydra reads it; see `quote_arguments`."""
    argument = stored_override(argument)
    match = _OVERRIDE.fullmatch(argument)
    if match is None or match[2] == "resume":
        return argument
    plus, key, value = match.groups()
    readable, parsed = _parse(value)
    if not readable and value[:1] == "{":  # Hydra knows no quotes around keys
        value = re.sub(r"""(["'])([^"']*)\1(\s*:)""", r"\2\3", value)
        readable, parsed = _parse(value)
    if key in _PATHS and not in_sweep and parsed != value and _exists(value):
        value = quoted(value)
    elif all(one[:1] == "[" and one[-1:] == "]" for one in map(str.strip, _split(value))):
        # One list, or several of a sweep.
        if not readable or key in text_settings()[1]:
            value = ",".join(_as_list(one, key in text_settings()[1]) for one in _split(value))
    elif not readable and value[:1] not in ("", "'", '"', "[", "{") and not _FUNCTION.fullmatch(value.strip()):
        pieces = list(_split(value))
        value = ",".join(map(_as_text, pieces)) if all(piece.strip() for piece in pieces) else quoted(value)
    elif key in text_settings()[0] and (value.isspace() or _is_changed(parsed, value)):
        value = quoted(value)
    return f"{plus}{key}={value}"


def quoted(text: str) -> str:
    r"""Return a text in the quotes of Hydra's grammar, where a backslash counts before a quote alone.

    >>> print(quoted("it's"), quoted("C:\\"))
    'it\'s' 'C:\\'
    """
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


@cache
def text_settings() -> tuple[frozenset[str], frozenset[str]]:
    """Return the settings whose value is text, and those whose value is a list of texts."""
    from lt_lightning.config.schema import CHOICES, Config

    kinds = dict(_kinds(Config, ""))
    for group, choices in CHOICES.items():
        kinds |= {key: kind for one in choices.values() for key, kind in _kinds(one, f"{group}.")}
    single, several = (str, Optional[str]), (List[str], Optional[List[str]])  # noqa: UP006, UP045
    return tuple(frozenset(key for key, kind in kinds.items() if kind in some) for some in (single, several))  # type: ignore[return-value]


def _kinds(group: type, prefix: str) -> Iterator[tuple[str, Any]]:
    known = {one.name for one in fields(group)}
    for key, kind in get_type_hints(group).items():
        if key not in known:  # a constant of the class
            continue
        inside = [one for one in (kind, *get_args(kind)) if is_dataclass(one)]  # `Optional[…]` holds one, too
        if inside:
            yield from _kinds(inside[0], f"{prefix}{key}.")  # pyright: ignore[reportArgumentType]
        else:
            yield f"{prefix}{key}", kind


def _as_list(text: str, is_text: bool) -> str:
    """Return a list with each element as Hydra reads it."""
    elements = _split(text.strip()[1:-1])
    return f"[{','.join(_as_text(one, is_text) for one in elements)}]"


def _as_text(piece: str, is_text: bool = False) -> str:
    """Return an element of a list as it is if Hydra reads it, otherwise in quotes."""
    readable, parsed = _parse(piece)
    stripped = piece.strip()
    if readable and not (is_text and _is_changed(parsed, stripped)):
        return piece
    return piece if stripped[:1] in ("'", '"', "[", "{") else quoted(stripped)


def _is_changed(parsed: Any, value: str) -> bool:
    """Return whether Hydra took a value for a number or a truth value that is written in another way."""
    return isinstance(parsed, bool | int | float) and str(parsed) != value


def _parse(value: str) -> tuple[bool, Any]:
    """Return whether Hydra can read a value, and what it is then."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return True, OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        return False, None


def _split(text: str) -> Iterator[str]:
    """Cut a text at the commas that stand outside of quotes and brackets."""
    depth, quote_mark, piece = 0, "", ""
    for place, character in enumerate(text):
        if quote_mark:
            quote_mark = "" if character == quote_mark and text[place - 1] != "\\" else quote_mark
        elif character in "'\"" and not piece.strip():
            quote_mark = character
        elif character in "[{(":
            depth += 1
        elif character in ")}]":
            depth -= 1
        elif character == "," and depth <= 0:
            yield piece
            piece = ""
            continue
        piece += character
    yield piece


def _exists(path: str) -> bool:
    try:
        return typed_path(path).exists()
    except (OSError, ValueError):  # too long, with a NUL
        return False


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


def escape(text: str) -> str:
    r"""Return text in which what looks like an interpolation stands for itself.

    >>> print(escape("a${b}"), escape(r"a\${b}"))
    a\${b} a\\\${b}
    """
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def literal(settings: Any) -> Any:
    """Return resolved settings so that OmegaConf does not resolve their texts once more."""
    if isinstance(settings, dict):
        return {key: literal(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [literal(value) for value in settings]
    return escape(settings) if type(settings) is str else settings


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
