"""One run directory, written and read.

- `records`: the rows of its tables; `description`, `recorded`: `run.json`, typed;
- `rounds`: sealed rounds; `round_ticket`: weights and masks; `masks`: masks without torch;
- `packing`: a round's ticket as a packed one, for `export` and pages;
- `bases`, `ticket_parts`, `checkpoint_parts`: what tickets and checkpoints leave to a file of the run;
- `reading`: run directories, found and read; `table`: many as a DataFrame;
- `columns`, `metrics`, `winners`, `confusion`: the numbers that judge a round;
- `tasks`, `formatting`, `notes`, `terminal`: names, values, sentences and text tables.

Nothing here draws, trains or prunes. Most files import the standard library alone, so that reading a run does not wait
for torch or matplotlib.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.runs.table import load_runs

__all__ = ["load_runs"]


def __getattr__(name: str) -> Any:
    """Import `load_runs` when it is used."""
    if name == "load_runs":
        from lt_lightning.extras import require_training

        require_training("lt_lightning.runs.load_runs", "pandas")
        from lt_lightning.runs.table import load_runs

        return load_runs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
