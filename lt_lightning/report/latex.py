"""Write tables as LaTeX for a paper: rounded, escaped, with the rules of booktabs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from lt_lightning.runs.formatting import loss, mean_count, percent
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.reading import Run
from lt_lightning.runs.terminal import round_columns

_SIGNS = {"−": "$-$", "±": "$\\pm$", "…": "\\dots{}", "×": "$\\times$", "–": "--"}

_WORDS = ("group", "seeds", "pair", "verdict", "folder", "ticket", "class")
"""Columns of text, which are aligned on the left."""


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    r"""Return a `tabular` to `\input`; needs `\usepackage{booktabs}`.

    Args:
        columns: the headings.
        rows: the cells as text, which is escaped.
        left: the positions of the columns that are aligned on the left.

    >>> print(latex_table(["group", "acc"], [["a_b & c", "80 %"]], left=[0]))
    \begin{tabular}{lr}
    \toprule
    group & acc \\
    \midrule
    a\_b \& c & 80 \% \\
    \bottomrule
    \end{tabular}
    <BLANKLINE>
    """
    shape = "".join("l" if position in left else "r" for position in range(len(columns)))
    frame = pandas.DataFrame(rows, columns=pandas.Index(columns))
    text = frame.map(lambda cell: " ".join(cell.split())).to_latex(index=False, escape=True, column_format=shape)
    return "".join(_SIGNS.get(letter, letter) for letter in text)


def compared_latex(table: pandas.DataFrame, metric: Metric) -> str:
    """Return a table of a comparison: means with half the width of their 95 % intervals, shares in per cent."""
    shown = [name for name in table.columns if not name.endswith(("_low", "_high"))]
    rows = [[_cell(name, row, metric) for name in shown] for row in table.to_dict("records")]
    left = [position for position, name in enumerate(shown) if name in _WORDS]
    return latex_table([name.replace("_", " ") for name in shown], rows, left)


def run_latex(run: Run) -> str:
    """Return the table of a run's rounds."""
    columns = round_columns(run.metric)
    rows = [[column.cell(record) for column in columns] for record in run.records]
    return latex_table([column.heading for column in columns], rows)


def _cell(name: str, values: Mapping[str, Any], metric: Metric) -> str:
    value = values[name]
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if name == "steps":
        return mean_count(value)
    if name.endswith(("density", "sparsity", "accuracy", "densest", "sparsest")):
        return percent(value)
    is_metric = name.endswith((f"_{metric.key}", f"_{metric.key}_median"))
    if f"{name}_high" not in values:
        return metric.show(value) if is_metric else loss(value)
    is_share = metric.is_share if is_metric else not name.endswith("loss")
    digits, scale = (metric.digits if is_metric else 2 if is_share else 4), 100 if is_share else 1
    high = values[f"{name}_high"]
    half = "" if high is None else f" ± {scale * (high - value):.{digits}f}"
    sign = "" if name.startswith("difference") or not is_share else " %"
    return f"{scale * value:.{digits}f}{half}{sign}".replace("-", "−")
