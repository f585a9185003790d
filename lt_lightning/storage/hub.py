"""Reach the Hugging Face Hub: one question without retries and with a short timeout, and its cache.

`huggingface_hub` is imported when the Hub is asked. Documentation:
https://huggingface.co/docs/huggingface_hub/guides/download
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

from lt_lightning.errors import SettingError, first_line

T = TypeVar("T")

CONNECT_SECONDS = 2.5
"""How long to wait for the Hub's first answer."""


def require_hub(what: str) -> None:
    """Raise a `SettingError` unless huggingface_hub is installed; `what` needs it. Does not import it."""
    if find_spec("huggingface_hub") is None:
        raise SettingError(f"{what}: needs huggingface_hub; pip install huggingface_hub")


def ask(question: Callable[[], T]) -> T:
    """Return the answer to a question to the Hub.

    Args:
        question: calls the client; it runs in a thread, since no timeout applies to the DNS lookup.

    Raises:
        TimeoutError: no answer came in `CONNECT_SECONDS`.
        Exception: what `question` raises.
    """
    answers: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(question())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError(f"no answer in {CONNECT_SECONDS} seconds")
    return answers[0]


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of a refusal of the Hub; None if the error is none."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError):
        return None
    return getattr(error.response, "status_code", None)


def is_offline(error: BaseException) -> bool:
    """Return whether an error says that `HF_HUB_OFFLINE` is set."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    return isinstance(error, OfflineModeIsEnabled)


def is_refusal(error: BaseException) -> bool:
    """Return whether the Hub was reached and does not give what was asked for; it is out of reach otherwise."""
    status = status_of(error)
    return status is not None and status < 500


def list_files(repo: str, kind: str, setting: str, remedy: str) -> list[str]:
    """Request the page of a repository that is not in the cache, and return the names of its files.

    Args:
        repo: such as `owner/name`.
        kind: `model` or `dataset`.
        setting: the setting that names it, for errors.
        remedy: what to do without it, for errors.

    Raises:
        SettingError: the Hub is out of reach, or refuses it.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    missing = f"{setting}: {repo} is not in the cache, and"
    try:
        info = ask(lambda: huggingface_hub.HfApi().repo_info(repo, repo_type=kind, timeout=CONNECT_SECONDS))
    except Exception as error:  # HTTP libraries raise many types
        if is_offline(error):
            raise SettingError(f"{missing} HF_HUB_OFFLINE is set; unset it, or {remedy}") from error
        if isinstance(error, HfHubHTTPError):
            raise SettingError(f"{missing} the Hub refuses it ({first_line(error)}); {remedy}") from error
        raise SettingError(f"{missing} the Hub is out of reach; {remedy}") from error
    return [one.rfilename for one in getattr(info, "siblings", None) or ()]
