"""Pack a run's ticket into one file: `python -m lt_lightning.export RUN [--round N] [-o FILE]`."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.runs.formatting import name_rounds, percent
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.records import Record
from lt_lightning.runs.winners import best_ticket, kept_rounds, margin_for, smallest_winner, sparsest_within
from lt_lightning.runtime.arguments import (
    Parser,
    exit_code,
    number_to,
    require_working_directory,
    start_program,
    whole_number,
)
from lt_lightning.runtime.terminal import complain, write
from lt_lightning.tickets.rounding import BITS, HALF, WHOLE

_SUFFIXES = {WHOLE: "", HALF: "_half", **{bits: f"_{bits}bits" for bits in BITS}}
"""Endings of the folders of rounded tickets."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a ticket, print its path and return the exit code; see `exit_code`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.data is not None and given.bits == WHOLE and not given.calibrate:
        parser.error("argument --data: nothing is measured on it with --no-calibration")
    if given.within is not None and not given.smallest_winning:
        parser.error("argument --within: it needs --smallest-winning")
    if given.first_weights and (given.shrink or given.bits < HALF):
        option = "--shrink" if given.shrink else "--bits"
        parser.error(f"argument {option}: not with --first-weights, which are those of the whole network")
    for option, value in (
        ("--private", given.private),
        ("--revision", given.revision),
        ("--commit-message", given.message),
    ):
        if value and given.push is None:
            parser.error(f"argument {option}: it needs --push")
    return exit_code(lambda: _export(given))


def _export(given: argparse.Namespace) -> None:
    require_training("lt_lightning.export")
    require_working_directory()
    if given.push is not None:
        from lt_lightning.export.push_request import Push, check_push

        push = Push(given.push, given.private, given.revision, given.message)
        check_push(push, given.output, given.hf)
    else:
        push = None
    run = read_run(given.run)
    for damage in run.damages:
        complain(damage)
    within = given.within or 0.0
    record = choose_round(run, given.round, given.max_sparsity, smallest=given.smallest_winning, within=within)
    from lt_lightning.export.export import Wishes, export

    name = f"round_{record.round:02}" + ("_shrunk" if given.shrink else "") + _SUFFIXES[given.bits]
    path = given.output or run.folder / "export" / name / "ticket.safetensors"
    margin = within if given.smallest_winning else None
    wishes = Wishes(
        bits=given.bits, calibrate=given.calibrate, first_weights=given.first_weights, onnx=given.onnx,
        state_dict=given.state_dict, data=given.data, shrink=given.shrink, hf=given.hf, margin=margin,
        licence=given.licence, html=given.html, js=given.js, pyz=given.pyz,
    )  # fmt: skip
    exported = export(run, record, path, wishes)
    lines = [*exported.lines]
    if given.round is None and given.max_sparsity is None and not given.smallest_winning:
        lines += _hint(run, record)
    write(*lines)
    if push is not None:
        from lt_lightning.export.pushing import push_export

        write(*push_export(exported, push))


def _hint(run: Run, last: Record) -> list[str]:
    """Return lines that point to the smallest winning ticket, if the user chose no round."""
    winner = smallest_winner(run.compared, run.metric)
    if winner is None or winner == last or run.description.ticket is not None:
        return []
    if winner.round not in kept_rounds(run.folder):
        return []
    return [
        "",
        f"This is the last round's ticket. The smallest winning one is round {winner.round}'s, with "
        f"{percent(winner.density)} alive and {run.metric.show(run.metric.read(winner))} {run.metric.name}: "
        "--smallest-winning",
    ]


def choose_round(
    run: Run, number: int | None, sparsity: float | None, *, smallest: bool, within: float = 0.0
) -> Record:
    """Return the record of the round to export: the chosen one, or the last.

    Args:
        run: the run.
        number: the round's number.
        sparsity: the largest sparsity; the sparsest round within it is taken.
        smallest: take the smallest winning ticket.
        within: with `smallest`, the margin of a winning ticket in percentage points of the run's metric.

    Raises:
        SettingError: no round fits; the message names those that exist.
    """
    if number is not None:
        chosen, there = run.record(number), [record.round for record in run.records]
        if chosen is None:
            raise SettingError(f"--round: {run.folder} has no round {number}; give one from {name_rounds(there)}")
        return chosen
    if sparsity is not None:
        found = sparsest_within(run.records, sparsity)
        if found is None:
            least = percent(min(record.sparsity for record in run.records))
            raise SettingError(f"--max-sparsity: every round of {run.folder} is sparser; the least sparse has {least}")
        return found
    if smallest and run.description.ticket is not None:
        raise SettingError(
            f"--smallest-winning: {run.folder} began with a ticket, so the whole network's result is unknown; "
            "give --round or --max-sparsity"
        )
    if smallest:
        found = smallest_winner(run.compared, run.metric, within)
        if found is None:
            raise SettingError(_no_winner(run, within))
        return found
    return run.records[-1]


def _no_winner(run: Run, within: float) -> str:
    """Return the message if no ticket wins: the nearest one, and how to export it."""
    records, metric = run.compared, run.metric
    nearest, full = best_ticket(records, metric), metric.judge(run.full)
    said = f"--smallest-winning: no ticket of {run.folder} is as good as the whole network"
    if nearest is None or not math.isfinite(full):
        return f"{said}; give --round or --max-sparsity"
    margin = f" or worse by at most {within:g} points" if within else ""
    return (
        f"{said} ({metric.show(full)} {metric.valid.name}){margin}; the nearest, round {nearest.round}'s, has "
        f"{metric.show(metric.judge(nearest))} with {percent(nearest.density)} alive: give "
        f"--within {margin_for(nearest, records, metric)}, or --round or --max-sparsity"
    )


def _parser() -> Parser:
    parser = Parser(
        prog="python -m lt_lightning.export",
        description="Pack the ticket of a round into one small file, with all that is needed to predict, and a model "
        "card beside it. Without a choice of round, the last.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory, outputs/<experiment>/<date>_<time>")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--round", metavar="N", type=whole_number(0), help="this round's ticket; 0: the whole network")
    winning = "the sparsest ticket that is as good as the whole network on the validation part"
    which.add_argument("--smallest-winning", action="store_true", help=winning)
    points = number_to(100, " of points", "0.5")
    within = "with --smallest-winning: or worse by at most so many percentage points there (default: 0)"
    parser.add_argument("--within", metavar="POINTS", type=points, help=within)
    sparsity = "the sparsest ticket of which at most this share is pruned, 0 … 1"
    which.add_argument("--max-sparsity", metavar="S", type=number_to(1, "", "0.95"), help=sparsity)
    output = "the ticket's file (default: RUN/export/round_NN/ticket.safetensors)"
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help=output)
    folder = (
        "of a pre-trained encoder: write a folder, too, that transformers' AutoModelForSequenceClassification loads, "
        "with a tokenizer and a card"
    )
    parser.add_argument("--hf", metavar="FOLDER", type=Path, help=folder)
    html = "write a page, too, that classifies what is typed or dropped: the ticket inside, offline, in any browser"
    parser.add_argument("--html", metavar="FILE", type=Path, help=html)
    js = "write ticket.js, too, an ES module without dependencies that reads tickets in browsers and in Node"
    parser.add_argument("--js", metavar="FILE", type=Path, help=js)
    pyz = (
        "write one executable file, too, which answers as lt_lightning.predict does and needs Python and NumPy alone: "
        'python FILE "a text"'
    )
    parser.add_argument("--pyz", metavar="FILE", type=Path, help=pyz)
    licence = "the licence of the weights, for the card, such as apache-2.0: https://huggingface.co/docs/hub/repositories-licenses"
    parser.add_argument("--license", "--licence", dest="licence", metavar="ID", type=_licence, help=licence)
    push = "upload all that is exported to this model repository on the Hugging Face Hub, in one commit"
    parser.add_argument("--push", metavar="OWNER/NAME", help=push)
    parser.add_argument("--private", action="store_true", help="with --push: make a new repository private")
    parser.add_argument(
        "--revision", metavar="BRANCH", help="with --push: the branch, made if it is new (default: main)"
    )
    message = "with --push: the message of the commit (default: the round, its density and test accuracy)"
    parser.add_argument("--commit-message", dest="message", metavar="TEXT", help=message)
    rounding = parser.add_mutually_exclusive_group()
    half = "round weights to float16, and measure their test accuracy"
    rounding.add_argument("--half", dest="bits", action="store_const", const=HALF, default=WHOLE, help=half)
    bits = (
        "round weights to levels that 8 or 4 bits number, list words in alphabetical order, which takes less room, and "
        "measure the test accuracy"
    )
    rounding.add_argument("--bits", dest="bits", type=_bits, metavar="{8,4}", help=bits)
    raw = "fit no temperature on the run's validation rows: probabilities stay those of the network"
    parser.add_argument("--no-calibration", dest="calibrate", action="store_false", help=raw)
    data = "the folder of the run's corpus, if it was moved; for the temperature, --half and --bits"
    parser.add_argument("--data", metavar="FOLDER", type=Path, help=data)
    for option, meaning in (
        ("--first-weights", "keep the survivors' first weights in the file too, for pruning.ticket with "
            "pruning.rewind=init on machines that draw others from the same seed"),
        ("--shrink", "cut the network smaller: leave out the filters, hidden units, dimensions and words that change "
            "no answer, such as those that pruning.pattern=rows pruned; the answers stay"),
        ("--onnx", "write the network as a dense ONNX graph, too (needs the extra onnx), and a tokenizer.json"),
        ("--state-dict", "write a dense safetensors file of plain weights, too, and a tokenizer.json"),
    ):  # fmt: skip
        parser.add_argument(option, action="store_true", help=meaning)
    return parser


def _bits(text: str) -> int:
    """Parse the bits of a weight."""
    if text not in map(str, BITS):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not one of {', '.join(map(str, BITS))}; 16 are --half")
    return int(text)


def _licence(text: str) -> str:
    """Parse the identifier of a licence."""
    if re.fullmatch("[a-z0-9][a-z0-9.+-]*", text) is None:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not the identifier of a licence, such as apache-2.0 or mit")
    return text


if __name__ == "__main__":
    sys.exit(start_program(main))
