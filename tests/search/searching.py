"""Run the command line of `lt_lightning.train` without drawing reports, which take most of the time of a tiny run.

Run it as `python -m searching`: the workers of launchers import the task by its module and name.
"""

import sys
from pathlib import Path
from typing import Any


def quick(composed: Any) -> float:
    """Run one job; its report is an empty page."""
    import lt_lightning.train
    from lt_lightning.runtime.fast_import import load_lightning

    load_lightning()
    from lt_lightning.experiment import experiment

    def draw(run: Path) -> Path:
        (run / "report.html").touch()
        return run

    setattr(experiment, "draw_report", draw)  # noqa: B010
    return lt_lightning.train.task(composed)


if __name__ == "__main__":
    from lt_lightning.experiment.hydra_main import run_hydra
    from lt_lightning.runtime.arguments import start_program

    sys.exit(start_program(lambda: run_hydra(quick)))
