"""The errors that are meant for people: what they asked for cannot be done, and here is what to do.

Imports nothing, so that a rejected setting costs no start-up time.
"""

from typing import Any


class SettingError(ValueError):
    """A setting or a file that the user gave is wrong.

    The message is one line that names the setting or file, says what is wrong with it and what to do. Entry
    points print it and exit with code 2; anything else that is raised is a defect and keeps its traceback.
    """


class ResumableError(SettingError):
    """What stopped a run that can go on once the cause is gone: a full disk, a process that was killed."""


class InUseError(SettingError):
    """Another process holds the folder."""


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or its type.

    >>> first_line(ValueError("no such row.\nSee the manual."))
    'no such row'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_LONGEST = 80
"""Characters of a value in an error message."""


def shown(value: Any) -> str:
    r"""Return a value of a file for an error message: ASCII, on one line and not too long.

    >>> shown("é"), len(shown([1] * 100))
    ("'\\xe9'", 80)
    """
    text = ascii(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
