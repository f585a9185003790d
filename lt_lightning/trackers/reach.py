"""Ask whether a server answers, within seconds; its client library may try for minutes."""

from __future__ import annotations

import urllib.error
import urllib.request

from lt_lightning.trackers.base import TrackerError

SECONDS = 5.0


def require_answer(address: str, remedy: str, seconds: float = SECONDS) -> None:
    """Raise a `TrackerError` unless an HTTP server answers, with whatever status.

    Args:
        address: its URL; of any other scheme than HTTP nothing is asked.
        remedy: what to do, for the message.
        seconds: how long to wait.
    """
    if not address.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(address, timeout=seconds).close()
    except urllib.error.HTTPError as error:
        error.close()  # it answers, if only that there is nothing to see
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise TrackerError(f"{address} cannot be reached ({reason}); {remedy}") from None
