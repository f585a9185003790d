"""Evaluate a ticket on labelled texts: `python -m lt_lightning.evaluate FILE data=… [split=…] [-o FOLDER]`.

Imports `datasets` and matplotlib only after the command line is checked, and no torch.
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.runtime.arguments import Parser, exit_code, number_to, start_program, whole_number
from lt_lightning.runtime.terminal import write

_NEEDED = ("datasets", "pyarrow", "hydra", "omegaconf", "matplotlib", "jinja2", "rich", "jaxtyping")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a ticket, print the results and the page's path, and return the exit code; see `exit_code`."""
    parser = Parser(
        prog="python -m lt_lightning.evaluate",
        description="Evaluate a ticket on labelled texts: accuracy, macro F1, calibration, confusion and the "
        "most confident mistakes, as a table, evaluation.json and evaluation.html.",
    )
    ticket = "a ticket that python -m lt_lightning.export wrote, or hf://OWNER/NAME[@REVISION][/FILE]"
    parser.add_argument("ticket", metavar="FILE", help=ticket)
    settings = (
        "data=FILE (.csv, .tsv, .jsonl, .parquet), data=FOLDER with train and test, or data=NAME as in training "
        "(pydocs, agnews, imdb, names), with data.path=, data.text_column=, data.label_column=, data.class_names=, "
        "data.delimiter=, data.limit=; split=test (default; of a file: all rows), train or valid"
    )
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help=settings)
    folder = "the folder for the results (default: beside the ticket, <ticket>_<data>_<split>)"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help=folder)
    mistakes = "how many of the most confident mistakes to show (default: 10)"
    parser.add_argument("--mistakes", metavar="N", type=whole_number(0), default=10, help=mistakes)
    threshold = "say how many rows are answered, and how many of them are right, with a probability of P or more"
    parser.add_argument("--threshold", metavar="P", type=number_to(1, "", "0.9"), help=threshold)
    given = parser.parse_intermixed_args(arguments)
    return exit_code(lambda: _evaluate(given))


def _evaluate(given: Namespace) -> None:
    """Evaluate a ticket, and print the results and the path of the page."""
    where, output = given.ticket, given.output
    require_training("lt_lightning.evaluate", *_NEEDED)
    from lt_lightning.config.hub_address import is_address, parse_address
    from lt_lightning.tickets.ticket import Ticket

    ticket = Ticket.load(where)
    # Beside the file, but not in the cache of the Hub.
    beside = Path(parse_address(where).repo.rpartition("/")[2]) if is_address(where) else Path(where).with_suffix("")
    from lt_lightning.evaluate.request import read_request
    from lt_lightning.experiment.hydra_main import hide_progress_bars_in_pipes

    request = read_request(given.settings)
    part = "" if request.split is None else f"_{request.split}"
    folder = beside.with_name(f"{beside.name}_{request.name}{part}") if output is None else output
    if os.path.lexists(folder) and not folder.is_dir():
        raise SettingError(f"--output: {folder} is not a folder; give another")
    from lt_lightning.evaluate.evaluation import evaluate_ticket

    hide_progress_bars_in_pipes()
    name = where if is_address(where) else Path(where).name
    evaluated = evaluate_ticket(ticket, name, request, given.mistakes, given.threshold)
    from lt_lightning.evaluate.report import write_evaluation
    from lt_lightning.evaluate.terminal import evaluation_text

    # 0 in a pipe or a file, unless COLUMNS says otherwise.
    width = shutil.get_terminal_size((0, 0)).columns or None
    page = write_evaluation(evaluated, folder)
    write(*evaluation_text(evaluated, width).split("\n"), "", str(page))


if __name__ == "__main__":
    sys.exit(start_program(main))
