"""Handlers and formatters of logs; `conf/hydra` names them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, TextIO

from lt_lightning.runtime.terminal import escape
from lt_lightning.storage.atomic import remove_links


class LogFile(logging.FileHandler):
    """A log in UTF-8 that holds what it can: a full disk is said once, by the run itself, not at every line.

    A link in its place is replaced, not followed.
    """

    def __init__(self, filename: str, mode: str = "a", *, delay: bool = False) -> None:
        super().__init__(filename, mode, encoding="utf-8", delay=delay, errors="backslashreplace")

    def _open(self) -> Any:
        remove_links(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Pass over what cannot be written."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class TerminalHandler(logging.StreamHandler):
    """Logs to whatever stderr is at the moment, so that a live display can take its lines in."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The current stderr."""
        return sys.stderr


class LineFormatter(logging.Formatter):
    """Formats a log record, escaped but for tabs and line ends: a traceback has several lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return escape(super().format(record), keep="\n\t")


class StdoutHandler(logging.StreamHandler):
    """Logs to stdout, and raises where its reader has closed it; logging would print a traceback and go on."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Raise the BrokenPipeError that is being handled; leave others to logging."""
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise error
        super().handleError(record)
