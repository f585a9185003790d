"""Evaluate a ticket on labelled texts: `python -m lt_lightning.evaluate FILE data=… [split=…] [-o FOLDER]`.

Imports `datasets` and matplotlib only after the command line is checked, and no torch.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import SettingError
from lt_lightning.runtime.arguments import Parser, exit_code, start_program, whole_number
from lt_lightning.runtime.terminal import write

if TYPE_CHECKING:
    from lt_lightning.evaluate.evaluation import Evaluated
    from lt_lightning.evaluate.request import Request
    from lt_lightning.tickets.ticket import Ticket

BATCH = 1000
"""The number of texts that are converted to Python strings at a time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a ticket, print the results and the page's path, and return the exit code; see `exit_code`."""
    parser = Parser(
        prog="python -m lt_lightning.evaluate",
        description="Evaluate a ticket on labelled texts: accuracy, macro F1, calibration, confusion and the "
        "most confident mistakes, as a table, evaluation.json and evaluation.html.",
    )
    parser.add_argument("ticket", metavar="FILE", type=Path, help="a ticket that python -m lt_lightning.export wrote")
    parser.add_argument(
        "settings",
        metavar="KEY=VALUE",
        nargs="*",
        help="data=FILE (.csv, .tsv, .jsonl, .parquet), data=FOLDER with train and test, or data=NAME as in training "
        "(pydocs, agnews, imdb, names), with data.path=, data.text_column=, data.label_column=, data.class_names=, "
        "data.delimiter=, data.limit=; split=test (default; of a file: all rows), train or valid",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="the folder for evaluation.json, evaluation.html and the figures (default: beside the ticket, "
        "<ticket>_<data>_<split>)",
    )
    parser.add_argument(
        "--mistakes",
        metavar="N",
        type=whole_number(0),
        default=10,
        help="how many of the most confident mistakes to show (default: 10)",
    )
    given = parser.parse_intermixed_args(arguments)
    return exit_code(lambda: _evaluate(given.ticket, given.settings, given.output, given.mistakes))


def _evaluate(file: Path, settings: Sequence[str], output: Path | None, mistakes: int) -> None:
    """Evaluate a ticket, and print the results and the path of the page."""
    from lt_lightning.tickets.ticket import Ticket

    ticket = Ticket.load(file)
    from lt_lightning.evaluate.request import read_request
    from lt_lightning.experiment.hydra_main import hide_progress_bars_in_pipes

    request = read_request(settings)
    part = "" if request.split is None else f"_{request.split}"
    folder = file.with_name(f"{file.stem}_{request.name}{part}") if output is None else output
    if os.path.lexists(folder) and not folder.is_dir():
        raise SettingError(f"--output: {folder} is not a folder; give another")
    hide_progress_bars_in_pipes()
    evaluated = evaluate_ticket(ticket, file.name, request, mistakes)
    from lt_lightning.evaluate.report import write_evaluation
    from lt_lightning.evaluate.terminal import evaluation_text

    # 0 in a pipe or a file, unless COLUMNS says otherwise.
    width = shutil.get_terminal_size((0, 0)).columns or None
    page = write_evaluation(evaluated, folder)
    write(*evaluation_text(evaluated, width).split("\n"), "", str(page))


def evaluate_ticket(ticket: Ticket, name: str, request: Request, mistakes: int = 10) -> Evaluated:
    """Compare a ticket's predictions with the labels of texts; `name` is its file's, `mistakes` the number to keep.

    Raises:
        SettingError: the texts cannot be read, or have labels that the ticket does not know.
    """
    import numpy as np

    from lt_lightning.evaluate.evaluation import Evaluated
    from lt_lightning.evaluate.request import read_texts
    from lt_lightning.tickets.scores import evaluate

    about = ticket.packed.about
    texts = read_texts(request, ticket.class_names, about)
    logits = np.concatenate([ticket.logits(batch) for batch in texts.batches(BATCH)])
    found = evaluate(logits, texts.labels, mistakes)
    rows = [mistake.row for mistake in found.mistakes]
    return Evaluated(
        ticket=name,
        about=about,
        class_names=ticket.class_names,
        data=request.name if request.file or request.data.name == "files" else request.data.name,
        source=texts.source,
        split=request.split,
        dropped=texts.dropped,
        fingerprint=texts.fingerprint,
        evaluation=found,
        numbers=texts.numbers[rows].tolist(),
        texts=texts.texts(rows),
    )


if __name__ == "__main__":
    sys.exit(start_program(main))
