"""Show many parameters as blocks, so that tables and figures of large networks can be read; layers.csv has each one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lt_lightning.runs.records import LayerRecord

MOST = 48
"""The number of parameters that tables and figures show one by one."""


def shown_parameters(layers: Sequence[LayerRecord], most: int = MOST) -> list[LayerRecord]:
    """Return rows of `layers.csv` to show: those of a numbered block as one if there are more parameters than `most`.

    A block is what a name has up to its first number, such as `encoder.layer.3`; the rows of one parameter stay as they
    are. The shape of a block is empty.

    >>> rows = [LayerRecord(0, f"layer.{n}.{of}", 1, 2, (2,)) for n in (0, 1) for of in ("weight", "bias")]
    >>> [(one.parameter, one.alive, one.total) for one in shown_parameters(rows, 3)]
    [('layer.0.*', 2, 4), ('layer.1.*', 2, 4)]
    """
    names = dict.fromkeys(layer.parameter for layer in layers)
    if len(names) <= most:
        return list(layers)
    blocks = {name: _block(name) for name in names}
    sizes = Counter(blocks.values())
    joined: dict[tuple[int, str], list[LayerRecord]] = {}
    for layer in layers:
        block = blocks[layer.parameter]
        joined.setdefault((layer.round, block if sizes[block] > 1 else layer.parameter), []).append(layer)
    return [
        rows[0]
        if len(rows) == 1 and rows[0].parameter == name
        else LayerRecord(number, f"{name}.*", sum(one.alive for one in rows), sum(one.total for one in rows), ())
        for (number, name), rows in joined.items()
    ]


def block_note(layers: Sequence[LayerRecord], most: int = MOST) -> str:
    """Return a sentence if parameters are shown as blocks; empty if each is shown."""
    count = len({layer.parameter for layer in layers})
    shown = len({layer.parameter for layer in shown_parameters(layers, most)})
    return f"{count} parameters in {shown} rows; layers.csv has each." if shown < count else ""


def _block(name: str) -> str:
    found = re.match(r"(.*?\.\d+)\.", name)
    return found[1] if found else name
