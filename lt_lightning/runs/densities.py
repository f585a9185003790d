"""Which densities count as one. Imports nothing."""

ALIKE = 0.02
"""Densities that differ by no more, relatively, are one density."""


def densities_alike(one: float, other: float) -> bool:
    """Return whether two densities count as one.

    >>> densities_alike(0.1, 0.101), densities_alike(0.1, 0.11)
    (True, False)
    """
    return abs(one - other) <= ALIKE * max(one, other)
