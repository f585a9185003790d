"""A lottery-ticket laboratory for text classifiers on PyTorch Lightning.

The package has nine parts; imports point one way, towards `lottery` and `kernels`:

- `lottery`: the algorithm in plain torch: masks, criteria, pruning, rewinding, rounds;
- `callbacks`: when, in a Lightning fit, the algorithm acts;
- `models`: networks and the LightningModule that trains them;
- `kernels`: compiled loops on plain arrays, for `models`;
- `data`: from text to batches;
- `results`: what a run leaves behind;
- `tickets`: a round's network in one small file, and prediction with it in NumPy;
- `transfer`: starting a run from such a file;
- `storage`: whether a file may be read at all.

Beside them stand the entry points, one a file, `python -m lt_lightning.train`, `report`, `export`, `predict` and
`evaluate` (the work of two of them in `exporting` and `evaluating`); what goes on with a run that was stopped
(`resuming`, `continuing`, `interruption`); and what starts several processes for one run (`processes`, `supervisor`,
`worker`, `environment`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.tickets import Ticket

__all__ = ["Ticket", "__version__"]

__version__ = "0.4.0"


def __getattr__(name: str) -> Any:
    """`Ticket`, imported once it is asked for: settings are checked, and refused, without NumPy."""
    if name == "Ticket":
        from lt_lightning.tickets import Ticket

        return Ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
