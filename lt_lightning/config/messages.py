"""What Hydra and OmegaConf say in several lines, as one: the setting, what is wrong with it and what to do."""

from __future__ import annotations

import difflib
import re
from dataclasses import fields
from pathlib import Path

from lt_lightning.config.instantiation import explain_instantiation
from lt_lightning.config.quoting import text_settings
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import LotteryError, Settings

_REASONS: tuple[tuple[str, str], ...] = (
    (r"While dereferencing interpolation '(.*?)'", "what {0} stands for is no value for it; give another"),
    (
        r"Value '(.*)' of type '\w+' could not be converted to Integer",
        "'{0}' is not a whole number; give one, such as 3",
    ),
    (r"Value '(.*)' of type '\w+' could not be converted to Float", "'{0}' is not a number; give one, such as 0.5"),
    (r"Value '(.*)' is not a valid bool", "'{0}' is neither true nor false; give one of them"),
    (r"Invalid value '(.*)', expected one of \[(.*)\]", "'{0}' is none of {1}; give one of them"),
    (r"is not Optional", "null is no value for it; give another, or leave the setting out"),
    (r"is not a ListConfig, list or tuple|Cannot merge DictConfig with ListConfig", "not a list; write KEY=[…]"),
    (r"Cannot convert '\w+' to string: '(.*)'$", "{0} is several values; give one, in quotes if it has odd characters"),
    (r"missing mandatory value", "there is no value; give one"),
    (r"does not support deletion", "it cannot be taken away; give it another value"),
    (r"Interpolation key '(.*)' not found", "there is no setting {0} to take the value from; --help lists them all"),
    (r"(Environment variable '.*?') not found", "{0} is not set; set it, or give a value"),
)
"""What OmegaConf says of a value, and what people are told."""

_WRITE = "write key=value without blanks, and quotes around odd characters"


def explain(error: BaseException) -> str:
    """Return the one line for what Hydra or OmegaConf raised."""
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
    """What is to be said where a group, or one of its choices, does not exist."""
    if match := re.search(r"Could not find '([^/']+)/(.*)'", text):
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
    """What is to be said where the command line cannot be read, or asks for what a single run is not."""
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
    if "Could not override ''" in text or "override must be a string" in text:
        return f"cannot read the command line: a word of it begins with =; {_WRITE}"
    if "--resolve" in text:
        return "--resolve: it says how --cfg prints; add --cfg job, or leave it out"
    return None


def _reason(text: str) -> str | None:
    for pattern, said in _REASONS:
        if match := re.search(pattern, text, re.M):
            return said.format(*map(str, match.groups()))
    return None


def _no_such_setting(key: str, text: str) -> str:
    from lt_lightning.config.choice import CHOICES
    from lt_lightning.config.validation import no_such_setting

    chosen = re.search(r"Key '.+' not in '(\w+)'", text)
    classes = CHOICES.get(key.partition(".")[0], {}).values()
    return no_such_setting(key, next((one for one in classes if chosen and one.__name__ == chosen[1]), None))


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
