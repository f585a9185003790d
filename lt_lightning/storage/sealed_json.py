"""Write a JSON object with a checksum of its content. Imports the standard library alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal_json(content: Mapping[str, Any]) -> bytes:
    """Return the text of a JSON object with its checksum as last value.

    >>> seal_json({"round": 1}).decode().strip()
    '{"round": 1, "sha256": "e4efddf83021d110e595718fe5deacd60f8c00e4a9597a2c4385e77b0ec18c59"}'
    """
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}).encode() + b"\n"
