"""Rows of different lengths, out of one flat array."""

from __future__ import annotations

from lt_lightning.kernels.compiling import compiled


@compiled
def copy_rows(flat, starts, lengths, filling, copied):
    """Copy rows below each other, and fill them up.

    Args:
        flat: (numbers,).
        starts: (rows,) where each row begins in it.
        lengths: (rows,) how long each is.
        filling: what comes behind it.
        copied: (rows, width) written; as wide as the longest row at least.
    """
    for row in range(len(starts)):
        start, length = starts[row], lengths[row]
        for t in range(length):
            copied[row, t] = flat[start + t]
        for t in range(length, copied.shape[1]):
            copied[row, t] = filling
