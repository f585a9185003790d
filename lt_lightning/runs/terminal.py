"""A run's records as plain text: the table of rounds, which can grow by a row a round, and the table of parameters.

Uses only characters that every common terminal and log encoding has.
"""

from collections.abc import Sequence
from dataclasses import replace

from lt_lightning.runs.blocks import block_note, shown_parameters
from lt_lightning.runs.columns import ROUND_COLUMNS, TRAIN_LOSS, VALID_ACC, VALID_LOSS, Column
from lt_lightning.runs.formatting import compression, percent
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.records import LayerRecord, Record, format_shape
from lt_lightning.runtime.layout import table, table_width


def round_columns(metric: Metric = ACCURACY) -> tuple[Column, ...]:
    """Return the columns of a table of rounds: those of every table, and both columns of the metric.

    >>> from lt_lightning.runs.metrics import BITS
    >>> [column.heading for column in round_columns(BITS)][-4:]
    ['test loss', 'test acc', 'test bits', 'seconds']
    """
    headings = {column.heading for column in ROUND_COLUMNS}
    if metric.heading in headings:
        return ROUND_COLUMNS
    # The new column takes the place and the width of one that tells less.
    gone = VALID_ACC if metric.valid.heading == VALID_LOSS.heading else TRAIN_LOSS
    chosen_by = VALID_ACC if metric.valid.heading in headings else replace(metric.valid, width=VALID_ACC.width)
    *others, seconds = (column for column in ROUND_COLUMNS if column != gone)
    shown = (chosen_by if column == VALID_ACC else column for column in others)
    # Without a value of the test part, both columns of the metric are one.
    added = [] if metric.heading == chosen_by.heading else [replace(metric.test, width=gone.width)]
    return (*shown, *added, seconds)


def fitting_columns(width: int | None, metric: Metric = ACCURACY) -> tuple[Column, ...]:
    """Return the columns of a table of rounds that fits into a terminal.

    Args:
        width: the columns of the terminal; None for all.
        metric: the metric of the rounds; its column stays.

    >>> [column.heading for column in fitting_columns(60)]
    ['round', 'density', 'epochs', 'valid acc', 'test acc', 'seconds']
    """
    kept = list(round_columns(metric))
    for column in sorted((one for one in kept if one.drop and one.heading != metric.heading), key=lambda one: one.drop):
        if width is None or sum(one.width + 2 for one in kept) - 2 <= width:
            break
        kept.remove(column)
    return tuple(kept)


def round_header(columns: Sequence[Column] = ROUND_COLUMNS) -> str:
    """Return the two lines above the first `round_row`: headings and a rule."""
    headings = _right_aligned([column.heading for column in columns], columns)
    return f"{headings}\n{'-' * len(headings)}"


def round_row(record: Record, columns: Sequence[Column] = ROUND_COLUMNS) -> str:
    """Return a round as a row of fixed width, so that a table can grow under `round_header`."""
    return _right_aligned([column.cell(record) for column in columns], columns)


def _right_aligned(cells: Sequence[str], columns: Sequence[Column]) -> str:
    return table([cells], rule=False, least=[column.width for column in columns])


def round_line(record: Record, rounds: int, metric: Metric = ACCURACY) -> str:
    """Return a round as a line that can be read alone, for logs.

    Args:
        record: the round.
        rounds: the number of the run's last round.
        metric: the metric of the run.
    """
    _, *between, seconds = round_columns(metric)
    cells = [f"{column.heading} {column.cell(record)}" for column in between]
    return "  ".join([f"round {record.round}/{rounds}", *cells, f"{seconds.cell(record)} s"])


def parameter_table(layers: Sequence[LayerRecord], width: int | None = None) -> str:
    """Return how much of each parameter is alive, and below it of the whole network.

    Args:
        layers: the parameters of one round; many are shown as blocks.
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
    note, layers = block_note(layers), shown_parameters(layers)
    alive, total = sum(layer.alive for layer in layers), sum(layer.total for layer in layers)
    # One width for all totals, so that the strokes stand below each other.
    digits = max((len(f"{layer.total:,}") for layer in layers), default=0)
    columns = {
        "parameter": [layer.parameter for layer in layers],
        "alive / total": [f"{layer.alive:,} / {layer.total:>{digits},}" for layer in layers],
        "alive": [percent(layer.density) for layer in layers],
        "pruned": [f"{layer.total - layer.alive:,}" for layer in layers],
        "shape": ["" if layer.parameter.endswith(".*") else format_shape(layer.shape) for layer in layers],
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
    return "\n".join([table(rows(), texts), "-" * table_width(rows()), *end, *([note] if note else [])])


def _without_middle(name: str, width: int) -> str:
    """Return a name that takes at most so many characters, its end kept: `encoder.lstm...bias_hh_l0`.

    >>> _without_middle("network.encoder.weight_hh_l0_reverse", 24)
    'network...hh_l0_reverse'
    """
    if len(name) <= width:
        return name
    start = (width - 3) // 3
    return f"{name[:start]}...{name[len(name) - (width - 3 - start) :]}"
