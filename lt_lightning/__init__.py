"""A lottery-ticket laboratory for text classifiers on PyTorch Lightning.

A folder is a layer, and imports run one way, from top to bottom (`make lint` checks it):

    console    __main__.py
    commands   train.py  predict.py  study/  the __main__.py of report/  export/  evaluate/  connect/
    features   experiment/  export/  evaluate/  connect/
    pages      report/
    networks   models/
    parts      runs/  callbacks/
    files      tickets/
    ground     data/  runtime/
    base       config/  storage/  extras.py
    bedrock    lottery/  kernels/  errors.py

Each folder's docstring lists what belongs there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.experiment.entry import run
    from lt_lightning.tickets import Ticket

__all__ = ["Ticket", "__version__", "run"]

__version__ = "0.4.0"


def __getattr__(name: str) -> Any:
    """Import `Ticket` and `run` on first use: settings are checked, and refused, without NumPy.

    Raises:
        NotInstalledError: packages that `run` needs are missing.
    """
    if name == "Ticket":
        from lt_lightning.tickets import Ticket

        return Ticket
    if name == "run":
        from lt_lightning.extras import require_training

        require_training("lt_lightning.run")
        from lt_lightning.experiment.entry import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
