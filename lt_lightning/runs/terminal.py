"""A run's records as plain text: the table of rounds, which can grow by a row a round, and the table of parameters.

Only characters that every common terminal and log encoding has.
"""

import math
from collections.abc import Mapping, Sequence

from lt_lightning.runs.metrics import ACCURACY, F1, Metric
from lt_lightning.runs.records import LayerRecord, Record, format_shape
from lt_lightning.runtime.layout import table, table_width

# The columns and their widths. With two spaces between them 100 characters; networks of a hundred million weights and
# more shift the row by up to 3, for which 80 characters have room.
_COLUMNS = (
    ("round", 5), ("density", 8), ("alive", 10), ("epochs", 6), ("train loss", 10), ("valid loss", 10),
    ("valid acc", 9), ("test loss", 9), ("test acc", 8), ("seconds", 7),
)  # fmt: skip


_EXPENDABLE = ("train loss", "test loss", "valid loss", "alive", "epochs", "seconds", "valid acc")
"""The columns to leave out, the first first, where a terminal is narrow; results.csv has all."""


def _columns(metric: Metric) -> tuple[tuple[str, int], ...]:
    widths = dict(_COLUMNS)
    if metric.heading in widths:
        return _COLUMNS
    # As wide as the column that makes way for it. The column that winners are chosen by stays.
    gone = "valid acc" if metric.valid.heading == "valid loss" else "train loss"
    chosen_by = "valid acc" if metric.valid.heading in widths else metric.valid.heading
    *others, seconds = (column for column in _COLUMNS if column[0] != gone)
    renamed = ((chosen_by if name == "valid acc" else name, width) for name, width in others)
    return (*renamed, (metric.heading, widths[gone]), seconds)


def round_columns(metric: Metric = ACCURACY) -> tuple[str, ...]:
    """The headings of the table of rounds, in the order of `round_cells`.

    >>> from lt_lightning.runs.metrics import BITS
    >>> round_columns()[-4:], round_columns(BITS)[-4:]
    (('valid acc', 'test loss', 'test acc', 'seconds'), ('test loss', 'test acc', 'test bits', 'seconds'))
    """
    return tuple(name for name, _ in _columns(metric))


def fitting_columns(width: int | None, metric: Metric = ACCURACY) -> tuple[str, ...]:
    """Return the headings of a table of rounds that fits into a terminal.

    Args:
        width: the columns of the terminal; None for all headings.
        metric: what the rounds are judged by; its column stays.

    >>> fitting_columns(80)
    ('round', 'density', 'alive', 'epochs', 'valid loss', 'valid acc', 'test acc', 'seconds')
    >>> fitting_columns(60)
    ('round', 'density', 'epochs', 'valid acc', 'test acc', 'seconds')
    """
    kept = dict(_columns(metric))
    for name in _EXPENDABLE:
        if width is None or sum(kept.values()) + 2 * (len(kept) - 1) <= width:
            break
        if name != metric.heading:
            kept.pop(name, None)
    return tuple(kept)


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

    >>> from lt_lightning.runs.metrics import BITS
    >>> measured(0.8, ACCURACY), measured(2.0416, BITS), measured(float("nan"), BITS)
    ('80.00 %', '2.042', '-')
    """
    if metric.is_share and not abs(value) > 1:  # some modules log per cent
        return percent(value)
    if math.isnan(value):
        return "-"
    return f"{value:.{metric.digits}f}" if abs(value) < 1000 else f"{value:.2e}"


def with_unit(value: float, metric: Metric) -> str:
    """A value of what rounds are judged by, as it stands within a sentence.

    >>> from lt_lightning.runs.metrics import BITS
    >>> with_unit(0.8, ACCURACY), with_unit(2.0416, BITS)
    ('80.00 %', '2.042 bits')
    """
    said = measured(value, metric)
    return said if metric.is_share else f"{said} {metric.unit}".rstrip()


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
        "valid f1": measured(F1.judge(record), F1),
        "seconds": f"{record.seconds:.1f}",
    }
    cells.setdefault(metric.heading, measured(metric.read(record), metric))
    cells.setdefault(metric.valid.heading, measured(metric.judge(record), metric))
    return tuple(cells[name] for name in round_columns(metric))


def _right_aligned(cells: Mapping[str, str], columns: Sequence[str] | None, metric: Metric) -> str:
    shown = [(cells[name], width) for name, width in _columns(metric) if columns is None or name in columns]
    return table([[cell for cell, _ in shown]], rule=False, least=[width for _, width in shown])


def round_header(metric: Metric = ACCURACY, columns: Sequence[str] | None = None) -> str:
    """Return the two lines above the first `round_row`: headings and a rule; arguments as there."""
    names = round_columns(metric)
    headings = _right_aligned(dict(zip(names, names, strict=True)), columns, metric)
    return f"{headings}\n{'-' * len(headings)}"


def round_row(record: Record, metric: Metric = ACCURACY, columns: Sequence[str] | None = None) -> str:
    """Return a round as a row of fixed width, so that a table can grow under `round_header`.

    Args:
        record: the round.
        metric: what the run is judged by.
        columns: some of `round_columns`, such as `fitting_columns` gives; None for all, which take 100 characters.
    """
    return _right_aligned(dict(zip(round_columns(metric), round_cells(record, metric), strict=True)), columns, metric)


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


def parameter_table(layers: Sequence[LayerRecord], width: int | None = None) -> str:
    """Return how much of each parameter is alive, and below it of the whole network.

    Args:
        layers: the parameters of one round.
        width: the columns of the terminal; a narrow one leaves out columns, and the middle of long names. None for all.

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
    columns = {
        "parameter": [layer.parameter for layer in layers],
        "alive / total": [f"{layer.alive:,} / {layer.total:>{digits},}" for layer in layers],
        "alive": [percent(layer.density) for layer in layers],
        "pruned": [f"{layer.total - layer.alive:,}" for layer in layers],
        "shape": [format_shape(layer.shape) for layer in layers],
    }

    def rows() -> list[list[str]]:
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    for expendable in ("pruned", "shape"):
        if width is not None and table_width(rows()) > width:
            del columns[expendable]
    if width is not None and (excess := table_width(rows()) - width) > 0:
        longest = max(map(len, columns["parameter"]), default=0)
        columns["parameter"] = [_without_middle(name, max(9, longest - excess)) for name in columns["parameter"]]
    pruned_share = percent((total - alive) / total) if total else "-"
    totals = [
        f"alive {alive:,} of {total:,}",
        f"pruned {total - alive:,} ({pruned_share})",
        f"compression {compression(alive, total)}",
    ]
    joined = ", ".join(totals)
    texts = [place for place, name in enumerate(columns) if name in ("parameter", "shape")]
    end = [joined] if width is None or len(joined) <= width else totals
    return "\n".join([table(rows(), texts), "-" * table_width(rows()), *end])


def _without_middle(name: str, width: int) -> str:
    """Return a name that takes at most so many characters, its end kept: `encoder.lstm...bias_hh_l0`.

    >>> _without_middle("network.encoder.weight_hh_l0_reverse", 24)
    'network...hh_l0_reverse'
    """
    if len(name) <= width:
        return name
    start = (width - 3) // 3
    return f"{name[:start]}...{name[len(name) - (width - 3 - start) :]}"
