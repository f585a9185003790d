"""Print text to a terminal, a pipe or a log without control characters, in any encoding.

Everything that the programs print or log is escaped here, since names and texts come from users' data. Imports the
standard library alone.
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

CLOSED = "stdout: its reader has closed it; the run has stopped"
"""The error of a run whose output was piped into a program that ended, such as `head`."""

FALLBACK = "lt_lightning.fallback"
"""The name of the error handler that streams use for characters that their encoding lacks."""


def escape(text: str, keep: str = "") -> str:
    r"""Return a text with control characters as JSON escapes, except those in `keep`. Escaped JSON is the same JSON.

    >>> print(escape("a\x1b[2Jb\n\u202ec"))
    a\u001b[2Jb\n\u202ec
    """

    def escaped(found: re.Match[str]) -> str:
        letter = found[0]
        return letter if letter in keep else _SHORT.get(letter, f"\\u{ord(letter):04x}")

    return _UNSAFE.sub(escaped, text)


def write(*lines: str) -> None:
    """Print lines to stdout, escaped except for tabs, and flush.

    Raises:
        SettingError: stdout cannot be written.
        BrokenPipeError: the reader of stdout has closed it.
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
    """Print a message to stderr as one escaped line; without a stderr, print nothing."""
    if sys.stderr is not None:  # or `print` would take stdout
        print(escape(" ".join(message.split())), file=sys.stderr, flush=True)


def give_up() -> None:
    """Redirect stdout to the null device, so that Python does not fail again when it exits."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file descriptor has nothing left to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_streams() -> None:
    """Print characters that an encoding lacks as ASCII or as escapes, and escape tracebacks and warnings."""
    codecs.register_error(FALLBACK, _substitute)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=FALLBACK)
    sys.excepthook = _print_traceback
    warnings.formatwarning = _format_warning


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement for characters that an encoding lacks, and the position after them."""
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
