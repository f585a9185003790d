"""A run's records as plain text: the table of rounds, which can grow by a row a round, and the table of parameters.

Only characters that every common terminal and log encoding has.
"""

import math
from collections.abc import Sequence

from lt_lightning.results.records import LayerRecord, Record, format_shape

ROUND_COLUMNS = (
    "round",
    "density",
    "alive",
    "epochs",
    "train loss",
    "valid loss",
    "valid acc",
    "test loss",
    "test acc",
    "seconds",
)
"""The headings of the table of rounds, in the order of `round_cells`."""

# With two spaces between them 100 characters. Networks of a hundred million weights and more shift the row a little.
_WIDTHS = (5, 8, 10, 6, 10, 10, 9, 9, 8, 7)


def percent(fraction: float) -> str:
    """A fraction in per cent: two decimals, or three digits where two decimals would tell little; at most 8 characters.

    >>> percent(1.0), percent(0.011529), percent(0.00012345), percent(0.00001), percent(0.0), percent(float("nan"))
    ('100.00 %', '1.15 %', '0.0123 %', '<0.01 %', '0.00 %', '-')
    """
    value = 100 * fraction
    if math.isnan(value):
        return "-"
    if 0 < value < 0.01:
        return "<0.01 %"
    return f"{value:.3g} %" if 0 < value < 0.995 else f"{value:.2f} %"


def loss(value: float) -> str:
    """A loss with four decimals, or in powers of ten where that would be longer than a column."""
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.2e}"


def compression(alive: int, total: int) -> str:
    """How many times smaller the survivors are than the whole, e.g. `86.74x`; `-` where nothing survives."""
    return f"{total / alive:,.2f}x" if alive else "-"


def round_cells(record: Record) -> tuple[str, ...]:
    """A round's values as text, one for each of `ROUND_COLUMNS`."""
    return (
        str(record.round),
        percent(record.density),
        f"{record.alive:,}",
        str(record.epochs),
        loss(record.train_loss),
        loss(record.valid_loss),
        percent(record.valid_acc),
        loss(record.test_loss),
        percent(record.test_acc),
        f"{record.seconds:.1f}",
    )


def _right_aligned(cells: Sequence[str]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def round_header() -> str:
    """The two lines above the first `round_row`: headings and a rule."""
    headings = _right_aligned(ROUND_COLUMNS)
    return f"{headings}\n{'-' * len(headings)}"


def round_row(record: Record) -> str:
    """A round as a row of fixed width, at most 100 characters, so that a table can grow under `round_header`."""
    return _right_aligned(round_cells(record))


def round_line(record: Record, rounds: int) -> str:
    """A round as a line that can be read alone, for logs.

    Args:
        record: the round.
        rounds: how many rounds of pruning the run has, i.e. the number of its last round.
    """
    return (
        f"round {record.round}/{rounds}"
        f"  density {percent(record.density)}"
        f"  alive {record.alive:,}"
        f"  epochs {record.epochs}"
        f"  train loss {loss(record.train_loss)}"
        f"  valid loss {loss(record.valid_loss)}"
        f"  valid acc {percent(record.valid_acc)}"
        f"  test loss {loss(record.test_loss)}"
        f"  test acc {percent(record.test_acc)}"
        f"  {record.seconds:.1f} s"
    )


def parameter_table(layers: Sequence[LayerRecord]) -> str:
    """What is left of each parameter, and below it of the whole network.

    Args:
        layers: the parameters of one round.

    Returns:
        Lines without a line end at the last.

    >>> print(parameter_table([
    ...     LayerRecord(2, "fc.weight", 768, 1200, (4, 300)),
    ...     LayerRecord(2, "fc.bias", 4, 4, (4,)),
    ... ]))
    parameter  alive / total     alive  pruned  shape
    -------------------------------------------------
    fc.weight    768 / 1,200   64.00 %     432  4x300
    fc.bias        4 /     4  100.00 %       0  4
    -------------------------------------------------
    alive 772 of 1,204, pruned 432 (35.88 %), compression 1.56x
    """
    alive, total = sum(layer.alive for layer in layers), sum(layer.total for layer in layers)
    # One width for all totals, so that the strokes stand below each other.
    digits = max((len(f"{layer.total:,}") for layer in layers), default=0)
    rows = [("parameter", "alive / total", "alive", "pruned", "shape")]
    rows += [
        (
            layer.parameter,
            f"{layer.alive:,} / {layer.total:>{digits},}",
            percent(layer.density),
            f"{layer.total - layer.alive:,}",
            format_shape(layer.shape),
        )
        for layer in layers
    ]
    name, *numbers, shape = (max(len(cell) for cell in column) for column in zip(*rows, strict=True))
    lines = [
        "  ".join(
            [row[0].ljust(name), *(cell.rjust(width) for cell, width in zip(row[1:-1], numbers, strict=True)), row[-1]]
        )
        for row in rows
    ]
    rule = "-" * (name + sum(numbers) + shape + 2 * (len(numbers) + 1))
    pruned_share = percent((total - alive) / total) if total else "-"
    totals = (
        f"alive {alive:,} of {total:,}, pruned {total - alive:,} ({pruned_share}), "
        f"compression {compression(alive, total)}"
    )
    return "\n".join([lines[0], rule, *lines[1:], rule, totals])
