"""Ask whether a server answers, within seconds; its client library may try for minutes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from lt_lightning.config.trackers import without_account
from lt_lightning.trackers.base import TrackerError

SECONDS = 5.0


def require_answer(address: str, remedy: str, seconds: float = SECONDS) -> None:
    """Raise a `TrackerError` unless something listens at the address of a server, or of the proxy before it.

    The tracker's client checks the account and the certificates.

    Args:
        address: its URL; schemes other than HTTP are not checked.
        remedy: what to do, for the message.
        seconds: how long to wait.
    """
    if not address.startswith(("http://", "https://")):
        return
    try:
        server = urlsplit(address)
        proxy = None if proxy_bypass(server.hostname or "") else getproxies().get(server.scheme)
        asked = server if proxy is None else urlsplit(proxy)
        port = asked.port or (443 if asked.scheme == "https" else 80)
        socket.create_connection((asked.hostname, port), timeout=seconds).close()
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrackerError(f"{without_account(address)} cannot be reached ({reason}); {remedy}") from None
