"""Define the log handlers and formatters that `conf/hydra` names."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, TextIO

from lt_lightning.runtime.terminal import escape
from lt_lightning.storage.atomic import remove_links


class LogFile(logging.FileHandler):
    """Log to a UTF-8 file, ignoring a full disk (the run reports it once). Replace a link in its place."""

    def __init__(self, filename: str, mode: str = "a", *, delay: bool = False) -> None:
        super().__init__(filename, mode, encoding="utf-8", delay=delay, errors="backslashreplace")

    def _open(self) -> Any:
        remove_links(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Ignore write errors."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class TerminalHandler(logging.StreamHandler):
    """Log to the current stderr, so that a live display can capture the lines."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the current stderr."""
        return sys.stderr


class LineFormatter(logging.Formatter):
    """Format a log record, escaping control characters except tabs and line ends."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return escape(super().format(record), keep="\n\t")


class StdoutHandler(logging.StreamHandler):
    """Log to stdout, and raise if its reader has closed it."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Raise the BrokenPipeError that is being handled; leave other errors to logging."""
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            raise error
        super().handleError(record)
