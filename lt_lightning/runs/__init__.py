"""One run directory, written and read.

- `records`: the rows of its tables; `description`: `run.json`, typed; `rounds`: sealed rounds; `round_ticket`,
  `rewind_weights`: weights and masks; `masks`: masks without torch;
- `reading`, `folders`: a run directory as one object, and where run directories are; `table`: many as a DataFrame;
- `columns`, `metrics`, `winners`, `partial`, `confusion`: the numbers that judge a round;
- `tasks`, `formatting`, `origins`, `terminal`: the same as words and text tables;
- `recorded_config`, `parsing`: settings and other JSON as typed values; `kept_tickets`, `machine`.

Nothing here draws, trains or prunes. Most files import the standard library alone, so that reading a run does not wait
for torch or matplotlib.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.runs.table import load_runs

__all__ = ["load_runs"]


def __getattr__(name: str) -> Any:
    """Import `load_runs` once it is asked for."""
    if name == "load_runs":
        from lt_lightning.runs.table import load_runs

        return load_runs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
