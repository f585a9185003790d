"""One seed, many independent streams of random numbers.

Everything random in a lottery (shuffles, redraws, random scores) takes its own seed from the run's seed and the
place where it is used, so that no draw depends on how many others came before it.
"""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Mix `parts` into a seed in [0, 2³²): the same parts give the same seed on every machine.

    Args:
        parts: what the stream is for, from the general to the particular, such as `(seed, "shuffle", round, epoch)`.

    Example:
        >>> derive_seed(0, "shuffle", 1, 2) == derive_seed(0, "shuffle", 1, 2)
        True
        >>> derive_seed(0, "shuffle", 1, 2) == derive_seed(0, "shuffle", 2, 1)
        False
    """
    digest = hashlib.sha256("\x1f".join(map(repr, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "little")
