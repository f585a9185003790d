"""Tell the failures of a tracker that may pass, such as those of a connection, from refusals of single values."""

from __future__ import annotations

from collections.abc import Iterator

_PASSING = frozenset({401, 403, 408, 425, 429})
"""HTTP statuses from 400 to 499 that another try may not get: a renewed account, fewer requests."""


_MISSING_FILES = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_WRONG_VALUES = (AttributeError, ImportError, LookupError, NotImplementedError, TypeError, ValueError)


def is_refusal(error: BaseException) -> bool:
    """Return whether a tracker would answer the same to another try.

    Args:
        error: raised by the tracker's client. Its HTTP status counts if it has one. Otherwise errors of the system, or
            those behind which one of these lies, may pass, but for missing files. Errors of wrong values are refusals;
            others may pass, as libraries have errors of their own for connections.

    >>> is_refusal(ValueError("not a number")), is_refusal(ConnectionError("refused")), is_refusal(RuntimeError("down"))
    (True, False, False)
    """
    for one in _chain(error):
        status = _status(one)
        if status is not None:
            return 400 <= status < 500 and status not in _PASSING
        if isinstance(one, OSError):
            return isinstance(one, _MISSING_FILES)
    return isinstance(error, _WRONG_VALUES)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__  # pyright: ignore[reportAssignmentType]


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error of requests, httpx or MLflow."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if callable(of_mlflow := getattr(error, "get_http_status_code", None)):
        status = of_mlflow()
    return status if isinstance(status, int) else None
