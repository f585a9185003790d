"""Turn the errors of Hydra and OmegaConf into one line: the setting, what is wrong with it and what to do.

Hydra hides in causes why an object of a `_target_` cannot be made: a missing package, a misspelled argument.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from lt_lightning.config.aliases import typed_names
from lt_lightning.config.quoting import text_settings
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import LotteryError, Settings

_REASONS: tuple[tuple[str, str], ...] = (
    (r"Value '\{\}' of type 'dict'", "it is one value, with no settings below it; --help lists all settings"),
    (r"While dereferencing interpolation '(.*?)'", "the value of {0} is not allowed; give another"),
    (
        r"Value '(.*)' of type '\w+' could not be converted to Integer",
        "'{0}' is not a whole number; give one, such as 3",
    ),
    (r"Value '(.*)' of type '\w+' could not be converted to Float", "'{0}' is not a number; give one, such as 0.5"),
    (r"Value '(.*)' is not a valid bool", "'{0}' is neither true nor false; give one of them"),
    (r"Invalid value '(.*)', expected one of \[(.*)\]", "'{0}' is none of {1}; give one of them"),
    (r"is not Optional", "null is not allowed; give another value, or leave the setting out"),
    (r"is not a ListConfig, list or tuple|Cannot merge DictConfig with ListConfig", "not a list; write KEY=[…]"),
    (r"Cannot convert '\w+' to string: '(.*)'$", "{0} is several values; give one, in quotes if it has odd characters"),
    (r"missing mandatory value", "there is no value; give one"),
    (r"does not support deletion", "it cannot be taken away; give it another value"),
    (r"Interpolation key '(.*)' not found", "there is no setting {0} to take the value from; --help lists them all"),
    (r"(Environment variable '.*?') not found", "{0} is not set; set it, or give a value"),
)
"""Patterns of OmegaConf's messages about a value, and our reasons."""

_WRITE = "write key=value without blanks, and quotes around odd characters"


def explain(error: BaseException) -> str:
    """Return the one-line message for an error of Hydra or OmegaConf."""
    return typed_names(_explain(error))


def _explain(error: BaseException) -> str:
    from hydra.errors import InstantiationException, OverrideParseException  # waits for Hydra

    if isinstance(error, InstantiationException):
        return explain_instantiation(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override} on the command line; {_WRITE}"
    text = "\n".join(str(part) for part in (error, error.__cause__) if part is not None)
    if said := _of_choices(text) or _of_the_line(text):
        return said
    full_key = re.search(r"full_key: (\S+)", text)
    key = full_key[1] if full_key else None
    if key and re.search(r"Key '.+' (is )?not in", text):
        return _no_such_setting(key, text)
    if key and (reason := _reason(text)):
        return f"{key}: {reason.replace('KEY', key)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{key + ': ' if key else ''}{lines[0]}{' ' + lines[1] if len(lines) > 1 else ''}"


def _of_choices(text: str) -> str | None:
    """Return the message where a group, or one of its choices, does not exist, or None."""
    if match := re.search(r"Could not find '(hydra/\w+|[^/']+)/(.*)'", text):
        group, choice = match[1], match[2]
        options = [name for name in re.findall(r"^\t(\S+)$", text, re.M) if not name.startswith("_")]
        wish = f"+{group}" if group == "experiment" else group
        close = difflib.get_close_matches(choice.rpartition("/")[2], options, n=1)
        perhaps = f"; did you mean {close[0]}?" if close else ""
        choices = (
            f"choose {wish}=… from {', '.join(options)}, or give the --config-dir that has it"
            if options
            else "--help lists the choices"
        )
        return f"{group}: there is no {choice!r}{perhaps}; {choices}"
    if match := re.search(r"Could not override '(.+?)'", text):
        key = match[1]
        if difflib.get_close_matches(key, ["experiment"]):
            return f"{key}: to choose an experiment write +experiment=NAME"
        if "No match in the defaults list" in text:
            return _no_such_setting(key, text)
        if "Key '" in text:
            return _no_such_setting(re.sub(r"^\++", "", key), text)
    return None


def _of_the_line(text: str) -> str | None:
    """Return the message where the command line cannot be read, or asks for several runs, or None."""
    several = "{0}: {1} is several values; add -m to run them one by one, or write a list as [a,b]"
    if match := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '\+*(.*?)=(.*)'", text):
        line = several.format(match[1], match[2])
        # Text may hold commas: the quotes that a shell leaves to Hydra.
        is_text = match[1] in text_settings()[0] and "'" not in match[2]
        return f"{line}, or one text as '{match[1]}=\"{match[2]}\"'" if is_text else line
    if match := re.search(r"primary config '(.*?)'", text):
        return f"--config-name: there is no {match[1]!r}; leave it out, and choose +experiment=NAME"
    if match := re.search(r"Additional config directory '(.*)' not found", text):
        folder = match[1].removeprefix(f"{Path.cwd()}/")
        return f"--config-dir: {folder} does not exist; give a folder, or leave it out"
    if match := re.search(r"parsing override '(.*)'|LexerNoViableAltException: (.*)", text):
        return f"cannot read {match[1] or match[2]} on the command line; {_WRITE}"
    if "override must be a string" in text:
        return (
            "cannot read the command line: a group takes the name of a choice, not a number, and no word begins with "
            "=; --help lists the choices"
        )
    if match := re.search(r"override (\S+?)=.*Invalid type assigned: \w+ is not a subclass of", text, re.DOTALL):
        names = ", ".join(f"{match[1]}.{name}" for name in _names_below(match[1]))
        return f"{match[1]}: it has settings of its own, and no value; give one of {names}"
    if "Could not override ''" in text:
        return f"cannot read the command line: a word of it begins with =; {_WRITE}"
    if match := re.search(r"does not support sweep type : (\w+)", text):
        return f"{match[1].lower()}(…): only a search draws from it; add hydra/sweeper=optuna, or write KEY=A,B"
    if "--resolve" in text:
        return "--resolve: it says how --cfg prints; add --cfg job, or leave it out"
    return None


def _names_below(key: str) -> list[str]:
    """Return the names of the settings below one of the configuration."""
    from lt_lightning.config.schema import Config

    kind: Any = get_type_hints(Config).get(key)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else ["its settings"]


def _reason(text: str) -> str | None:
    for pattern, said in _REASONS:
        if match := re.search(pattern, text, re.M):
            return said.format(*map(str, match.groups()))
    return None


def _no_such_setting(key: str, text: str) -> str:
    from lt_lightning.config.choice import CHOICES
    from lt_lightning.config.validation import no_such_setting

    chosen = re.search(r"Key '.+' not in '(\w+)'", text)
    if key.startswith("hydra.launcher."):
        from lt_lightning.config.launchers import LAUNCHERS, no_such_launcher_setting

        return no_such_launcher_setting(
            key, next((one for one in LAUNCHERS if chosen and one.__name__ == chosen[1]), None)
        )
    classes = CHOICES.get(key.partition(".")[0], {}).values()
    return no_such_setting(key, next((one for one in classes if chosen and one.__name__ == chosen[1]), None))


def explain_unread_tracker(overrides: Iterable[str]) -> str:
    """Return the error for a setting of a tracker that is not chosen.

    >>> explain_unread_tracker(["seed=1", "logger.wandb.project=x"])
    'logger.wandb.project: only read with logger=wandb; choose it, or leave the setting out'
    """
    found = (re.match(r"\+{0,2}(logger\.(\w+)\.\w+)=", one) for one in overrides)
    key, tracker = next(((one[1], one[2]) for one in found if one), ("logger.NAME.…", "NAME"))
    return f"{key}: only read with logger={tracker}; choose it, or leave the setting out"


def describe_error(error: SettingError | LotteryError) -> str:
    """Return an error's line; a setting of the lottery that it begins with is one of the group `pruning`.

    >>> describe_error(LotteryError("rewind: step:9 was never reached"))
    'pruning.rewind: step:9 was never reached'
    >>> describe_error(LotteryError("the weights are not finite"))
    'the weights are not finite'
    """
    text = str(error)
    word = re.match(r"\w*", text)
    of_group = isinstance(error, LotteryError) and word and word[0] in {field.name for field in fields(Settings)}
    return f"pruning.{text}" if of_group else text


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
    return f"{place or '_target_'}: {_why_not_made(_KEY.sub('', text), error)}"


def _why_not_made(text: str, error: BaseException) -> str:
    causes = list(_causes(error))
    if located := _LOCATING.search(text):
        return _not_located(located[1], causes)
    if called := _CALLING.search(text):
        return f"{called[1]} {_not_called(called[1], causes[0] if causes else error)}"
    if not_callable := _NOT_CALLABLE.search(text):
        return f"_target_ is {not_callable[1]}, of type {not_callable[2]}; give the full name of a class or function"
    return " ".join(text.split())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an error, the nearest first."""
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
    """Return why calling an existing target failed."""
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
