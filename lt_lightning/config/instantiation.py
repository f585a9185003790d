"""Why an object that settings describe by `_target_` could not be made, in one line.

Hydra hides the reason in the causes of its error: a package that is missing, an argument that is misspelled.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

_KEY = re.compile(r"\s*full_key: (\S+)\s*$")
_LOCATING = re.compile(r"Error locating target '(.*?)'")
_CALLING = re.compile(r"Error in (?:call to target '|creating partial\()(.*?)(?:'|, \.\.\.\))")
_NOT_CALLABLE = re.compile(r"Expected a callable target, got '(.*)' of type '(\w+)'", re.DOTALL)
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(.*?)'")
_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)$")
_REQUIREMENT = re.compile(r"Requirement '(.*?)' not met")


def explain_instantiation(error: BaseException, group: str = "") -> str:
    """Return the setting, what is wrong with its object, and what to do.

    Args:
        error: Hydra's InstantiationException.
        group: the group whose objects were made, such as `trainer`; empty where keys are whole already.
    """
    text = str(error)
    key = _KEY.search(text)
    place = ".".join(filter(None, (group, re.sub(r"(\D)(\d+)(?=\.|$)", r"\1[\2]", key[1]) if key else "")))
    return f"{place or '_target_'}: {_reason(_KEY.sub('', text), error)}"


def _reason(text: str, error: BaseException) -> str:
    causes = list(_causes(error))
    if located := _LOCATING.search(text):
        return _not_located(located[1], causes)
    if called := _CALLING.search(text):
        return f"{called[1]} {_not_called(called[1], causes[0] if causes else error)}"
    if not_callable := _NOT_CALLABLE.search(text):
        return f"_target_ is {not_callable[1]}, of type {not_callable[2]}; give the full name of a class or function"
    return " ".join(text.split())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error came of, the nearest first."""
    while error.__cause__ is not None:
        error = error.__cause__
        yield error


def _not_located(target: str, causes: list[BaseException]) -> str:
    """Return why a target cannot be imported."""
    if not target:
        return "_target_ is empty; give the full name of a class or function, such as my_package.MyCallback"
    root = causes[-1] if causes else None
    name = getattr(root, "name", None)
    if not isinstance(root, ModuleNotFoundError) or not name:
        return f"{target} cannot be imported ({_told(root)}); correct what it imports, or give another _target_"
    if target != name and not target.startswith(f"{name}."):
        return f"{target} needs the package {name.split('.')[0]}; {_install(name)}"
    parent, _, last = name.rpartition(".")
    if not parent:
        return f"there is no module {name}; correct _target_={target}, or install its package ({_install(name)})"
    found = sys.modules.get(parent)
    perhaps = _perhaps(last, vars(found)) if found is not None else ""
    return f"{parent} has no {last}{perhaps}; correct _target_={target}"


def _not_called(target: str, cause: BaseException) -> str:
    """Return why a target that was found made no object."""
    said = str(cause)
    if isinstance(cause, TypeError) and is_from(cause, "hydra"):  # the call itself, and not something within it
        parameters = _parameters(target)
        unexpected = _UNEXPECTED.search(said)
        if unexpected and unexpected[1] not in parameters:
            takes = ", ".join(parameters) or "none"
            return f"takes no argument {unexpected[1]}{_perhaps(unexpected[1], parameters)}; its arguments: {takes}"
        if missing := _MISSING.search(said):
            return f"needs {missing[1].replace(chr(39), '')}; add what is missing beside _target_"
    if isinstance(cause, ImportError):
        if requirement := _REQUIREMENT.search(said):
            return f"needs {requirement[1]}; pip install '{requirement[1]}'"
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return f"needs the package {cause.name.split('.')[0]}; {_install(cause.name)}"
    return f"failed: {_told(cause)}"


def is_from(error: BaseException, package: str) -> bool:
    """Return whether a package raised an error, rather than what it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).split(".")[0] == package


def _parameters(target: str) -> list[str]:
    """Return the names of the arguments of a class or function that has been imported."""
    module = target
    while module and module not in sys.modules:
        module = module.rpartition(".")[0]
    try:
        found: Any = import_module(module)
        for name in target.removeprefix(module).strip(".").split("."):
            found = getattr(found, name)
        known = inspect.signature(found).parameters.values()
    except (AttributeError, ImportError, TypeError, ValueError):
        return []
    return [one.name for one in known if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def _perhaps(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, [name for name in known if not name.startswith("_")], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _install(module: str) -> str:
    return f"pip install {module.split('.')[0].replace('_', '-')}"


def _told(error: BaseException | None) -> str:
    return "no reason given" if error is None else f"{type(error).__name__}: {' '.join(str(error).split())}"
