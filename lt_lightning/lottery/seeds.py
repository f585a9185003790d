"""Derive independent random streams from one seed.

Each random operation has its own seed, so that no draw depends on the number of earlier draws.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Mix `parts` into a seed in [0, 2³²): the same parts give the same seed on every machine.

    Args:
        parts: the purpose of the stream, such as `(seed, "shuffle", round, epoch)`.

    Examples:
        >>> derive_seed(0, "shuffle", 1, 2) == derive_seed(0, "shuffle", 1, 2)
        True
        >>> derive_seed(0, "shuffle", 1, 2) == derive_seed(0, "shuffle", 2, 1)
        False
    """
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little")
