"""Copy rows of different lengths out of one flat array."""

from __future__ import annotations

from lt_lightning.kernels.compiling import compiled


@compiled
def copy_rows(flat, starts, lengths, filling, copied):
    """Copy rows out of `flat` below each other, and pad them with `filling`.

    Shapes: flat (numbers,); starts, lengths (rows,); copied (rows, width), at least as wide as the longest row.
    """
    for row in range(len(starts)):
        start, length = starts[row], lengths[row]
        for t in range(length):
            copied[row, t] = flat[start + t]
        for t in range(length, copied.shape[1]):
            copied[row, t] = filling
