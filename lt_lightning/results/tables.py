"""A run's records as plain text: the table of rounds, which can grow by a row a round, and the table of parameters.

Only characters that every common terminal and log encoding has.
"""

import math
from collections.abc import Sequence

from lt_lightning.results.metrics import ACCURACY, Metric
from lt_lightning.results.records import LayerRecord, Record, format_shape

# The columns and their widths. With two spaces between them 100 characters; networks of a hundred million weights and
# more shift the row a little.
_COLUMNS = (
    ("round", 5), ("density", 8), ("alive", 10), ("epochs", 6), ("train loss", 10), ("valid loss", 10),
    ("valid acc", 9), ("test loss", 9), ("test acc", 8), ("seconds", 7),
)  # fmt: skip


def _columns(metric: Metric) -> tuple[tuple[str, int], ...]:
    if metric.heading in dict(_COLUMNS):
        return _COLUMNS
    # As wide as the column that makes way for it.
    *others, seconds = (column for column in _COLUMNS if column[0] != "valid acc")
    return (*others, (metric.heading, dict(_COLUMNS)["valid acc"]), seconds)


def round_columns(metric: Metric = ACCURACY) -> tuple[str, ...]:
    """The headings of the table of rounds, in the order of `round_cells`.

    >>> from lt_lightning.results.metrics import BITS
    >>> round_columns()[-4:], round_columns(BITS)[-4:]
    (('valid acc', 'test loss', 'test acc', 'seconds'), ('test loss', 'test acc', 'test bits', 'seconds'))
    """
    return tuple(name for name, _ in _columns(metric))


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


def measured(value: float, metric: Metric) -> str:
    """A value of what rounds are judged by, as it stands below a heading that names it; at most 8 characters.

    >>> from lt_lightning.results.metrics import BITS
    >>> measured(0.8, ACCURACY), measured(2.0416, BITS), measured(float("nan"), BITS)
    ('80.00 %', '2.042', '-')
    """
    if metric.is_share:
        return percent(value)
    if math.isnan(value):
        return "-"
    return f"{value:.{metric.digits}f}" if abs(value) < 1000 else f"{value:.2e}"


def with_unit(value: float, metric: Metric) -> str:
    """A value of what rounds are judged by, as it stands within a sentence.

    >>> from lt_lightning.results.metrics import BITS
    >>> with_unit(0.8, ACCURACY), with_unit(2.0416, BITS)
    ('80.00 %', '2.042 bits')
    """
    said = measured(value, metric)
    return said if metric.is_share else f"{said} {metric.unit}"


def compression(alive: int, total: int) -> str:
    """How many times smaller the survivors are than the whole, e.g. `86.74x`; `-` where nothing survives."""
    return f"{total / alive:,.2f}x" if alive else "-"


def round_cells(record: Record, metric: Metric = ACCURACY) -> tuple[str, ...]:
    """A round's values as text, one for each of `round_columns`."""
    cells = {
        "round": str(record.round),
        "density": percent(record.density),
        "alive": f"{record.alive:,}",
        "epochs": str(record.epochs),
        "train loss": loss(record.train_loss),
        "valid loss": loss(record.valid_loss),
        "valid acc": percent(record.valid_acc),
        "test loss": loss(record.test_loss),
        "test acc": percent(record.test_acc),
        metric.heading: measured(metric.read(record), metric),
        "seconds": f"{record.seconds:.1f}",
    }
    return tuple(cells[name] for name in round_columns(metric))


def _right_aligned(cells: Sequence[str], metric: Metric) -> str:
    return "  ".join(cell.rjust(width) for cell, (_, width) in zip(cells, _columns(metric), strict=True))


def round_header(metric: Metric = ACCURACY) -> str:
    """The two lines above the first `round_row`: headings and a rule."""
    headings = _right_aligned(round_columns(metric), metric)
    return f"{headings}\n{'-' * len(headings)}"


def round_row(record: Record, metric: Metric = ACCURACY) -> str:
    """A round as a row of fixed width, at most 100 characters, so that a table can grow under `round_header`."""
    return _right_aligned(round_cells(record, metric), metric)


def round_line(record: Record, rounds: int, metric: Metric = ACCURACY) -> str:
    """A round as a line that can be read alone, for logs.

    Args:
        record: the round.
        rounds: how many rounds of pruning the run has, i.e. the number of its last round.
        metric: what the run is judged by.
    """
    _, *between, seconds = zip(round_columns(metric), round_cells(record, metric), strict=True)
    said = [f"{name} {cell}" for name, cell in between]
    return "  ".join([f"round {record.round}/{rounds}", *said, f"{seconds[1]} s"])


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
