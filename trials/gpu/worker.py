"""Run one check in this process: `python -m trials.gpu.worker REQUEST RESULT`, both JSON files."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from lt_lightning.storage.atomic import write_whole
from trials.gpu.results import Outcome, Request, SkipError


def main(asked: Path, found: Path) -> None:
    """Run the check of a request, and write its outcome, or the reason why it cannot be made."""
    # Before CUDA starts: products of matrices in one order.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    given = json.loads(asked.read_text())
    module, _, name = given.pop("function").partition(":")
    data = given.pop("data")
    request = Request(given["device"], given["seconds"], Path(given["folder"]), data and Path(data))
    try:
        outcome: Outcome = getattr(import_module(f"trials.gpu.{module}"), name)(request)
        content = asdict(outcome)
    except SkipError as error:
        content = {"skipped": str(error)}
    write_whole(found, json.dumps(content, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
