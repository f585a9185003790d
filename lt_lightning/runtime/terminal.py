r"""Text on its way to a terminal, a pipe or a log: no control characters, and no failure in any encoding.

Class names, columns, paths and texts come from anywhere. Every line that the programs print or log is escaped here, so
that no caller has to think of it. Imports the standard library alone.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
import traceback
import warnings
from types import TracebackType

from lt_lightning.errors import SettingError

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, line and paragraph separators, bidirectional overrides and isolates, and lone surrogates.

Other characters without ink, such as the joiners within an emoji or a Persian word, belong to normal text.
"""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_ASCII = {"–": "-", "—": "-", "…": "...", "·": "-", "×": "x", "≥": ">=", "≤": "<=", "−": "-", "→": "->", "±": "+-"}
"""Substitutes for the punctuation of the project's own messages."""

CLOSED = "stdout: its reader has closed it, and the run has stopped"
"""The error of a run whose output was piped into a program that ended, such as `head`."""

FALLBACK = "lt_lightning.fallback"
"""The name of the error handler that streams use for characters that their encoding lacks."""


def escape(text: str, keep: str = "") -> str:
    r"""Return a text whose control characters are escapes that terminals print.

    Args:
        text: any text.
        keep: control characters that stay as they are.

    Returns:
        The text with escapes in the form of JSON: an escaped line of JSON is the same JSON.

    >>> print(escape("a\x1b[2Jb\n\u202ec"))
    a\u001b[2Jb\n\u202ec
    """

    def escaped(found: re.Match[str]) -> str:
        letter = found[0]
        return letter if letter in keep else _SHORT.get(letter, f"\\u{ord(letter):04x}")

    return _UNSAFE.sub(escaped, text)


def write(*lines: str) -> None:
    """Print lines to stdout, escaped but for tabs, and flush them.

    Raises:
        SettingError: if stdout cannot be written.
        BrokenPipeError: if the reader of stdout has closed it.
    """
    try:
        for line in lines:
            print(escape(line, keep="\t"))
        sys.stdout.flush()
    except OSError as error:
        give_up()
        if isinstance(error, BrokenPipeError):
            raise
        raise SettingError(f"stdout: cannot be written ({error.strerror}); send it elsewhere") from None


def complain(message: str) -> None:
    """Print a message to stderr as one line, escaped; without a stderr, print nothing."""
    if sys.stderr is not None:  # or `print` would take stdout
        print(escape(" ".join(message.split())), file=sys.stderr, flush=True)


def give_up() -> None:
    """Send the rest of stdout to nowhere. Otherwise, Python tries once more to write it as it ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file descriptor has nothing left to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_streams() -> None:
    """Let stdout and stderr print what their encoding lacks as ASCII or as escapes, and escape tracebacks."""
    codecs.register_error(FALLBACK, _substitute)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=FALLBACK)
    sys.excepthook = _print_traceback
    warnings.formatwarning = _format_warning


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Return what to print instead of characters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_ASCII.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters), (
        error.end
    )


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if sys.stderr is not None:
        print(escape("".join(traceback.format_exception(kind, error, trace)), keep="\n\t"), end="", file=sys.stderr)


_plain_warning = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return escape(_plain_warning(message, category, filename, lineno, line), keep="\n\t")
