"""Load functions of users by dotted path, and call them with the inputs that they name.

Importing this file does not load torch.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from lt_lightning.lottery.errors import LotteryError


def load_function(setting: str, function: str | Callable[..., Any], known: Mapping[str, Any]) -> Any:
    """Return the function that a checked setting names.

    Args:
        setting: the setting, for the message.
        function: a key of `known`, a dotted path, or a function, which is returned as it is.
        known: the project's own choices by name.

    Raises:
        LotteryError: if a dotted path cannot be imported or does not lead to a function.
    """
    if not isinstance(function, str):
        return function
    if function in known:
        return known[function]
    try:
        found = pkgutil.resolve_name(function)
    except Exception as error:  # importing a user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LotteryError(
            f"{setting}: {function!r} cannot be imported ({reason}); check the path, and add the folder of its "
            "package to PYTHONPATH"
        ) from error
    if not callable(found):
        raise LotteryError(f"{setting}: {function!r} is a {type(found).__name__}, not a function; give a function")
    return found


def function_name(function: str | Callable[..., Any]) -> str:
    """Return the name that a setting gives, or the dotted path of a function.

    >>> function_name("magnitude"), function_name(load_function)
    ('magnitude', 'lt_lightning.lottery.functions.load_function')
    """
    if isinstance(function, str):
        return function
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def arguments_of(function: Callable[..., Any]) -> dict[str, bool]:
    """Return the arguments of a function, and whether each is needed; "**" stands for arguments of any name.

    >>> arguments_of(lambda parameters, mask, temperature=200.0: None)
    {'parameters': True, 'mask': True, 'temperature': False}
    """
    try:
        arguments = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C have none
        return {}
    return {
        "**" if one.kind is one.VAR_KEYWORD else one.name: one.default is one.empty
        for one in arguments
        if one.kind is not one.VAR_POSITIONAL
    }


def call_with_inputs(
    setting: str,
    function: Callable[..., Any],
    name: str,
    inputs: Mapping[str, Any],
    computed: Mapping[str, Callable[[], Any]] | None = None,
) -> Any:
    """Call `function` with the inputs that its signature names.

    Args:
        setting: the setting that chose the function, for the message.
        function: the function. A first argument that is no input's name gets the first input.
        name: its name, for the message.
        inputs: values by name; `**` arguments get all of them.
        computed: further inputs, computed where an argument has the name.

    Raises:
        LotteryError: if the function asks for an unknown input.
    """
    computed, first = computed or {}, next(iter(inputs))
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none
        return function(inputs[first])
    positional, named = [], {}
    for index, argument in enumerate(signature.parameters.values()):
        by_name = argument.kind is not argument.POSITIONAL_ONLY
        if argument.kind is argument.VAR_KEYWORD:
            named = {**inputs, **named}
            if positional:
                del named[first]
        elif argument.kind is argument.VAR_POSITIONAL:
            continue
        elif argument.name in inputs and by_name:
            named[argument.name] = inputs[argument.name]
        elif argument.name in computed and by_name:
            named[argument.name] = computed[argument.name]()
        elif index == 0 and argument.kind is not argument.KEYWORD_ONLY:
            positional.append(inputs[first])
        elif argument.default is argument.empty:
            raise LotteryError(
                f"{setting}: {name} asks for {argument.name!r}, which is none of {', '.join((*inputs, *computed))}; "
                "rename it, or give it a default"
            )
    return function(*positional, **named)
