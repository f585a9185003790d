"""Wrong wishes for a packed ticket, and runs that have none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from observing import Case, Kind
from wrong_predictions import make_ticket as make_packed
from wrong_runs import make_run

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import make_tokenizer
from lt_lightning.lottery import Mask
from lt_lightning.models import BinaryCNN
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.tickets.file import Packed

Change = Callable[[Path], object]


def export(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.export`."""
    from lt_lightning.export.__main__ import main

    return main(arguments)


def make_ticket_run(run: Path, **changes: Any) -> None:
    """Two rounds of a network of four words, with their tickets."""
    make_run(run, **changes)
    torch.manual_seed(0)
    weights = BinaryCNN(4, dim=2, filters=2, widths=[2]).state_dict()
    for round in range(2):
        about = {
            "round": round, "sparsity": 0.1 * round, "alive": 10 - round, "total": 10, "test_acc": 0.5, "seed": 0,
            "model": {"name": "cnn", "filters": 2, "widths": [2]}, "embedding_dim": 2, "class_names": ["a", "b"],
            "splitter": "words", "max_length": None, "corpus": "PyDocs", "experiment": "quickstart",
        }  # fmt: skip
        tokenizer = make_tokenizer(["cat", "dog"], Splitter.words).to_str()
        RoundTicket(weights, Mask.ones(weights), about, tokenizer).save(run / f"tickets/round_{round:02}.safetensors")


def _case(wrong: str, names: Sequence[str], *arguments: str, change: Change = lambda _: None, **changes: Any) -> Case:
    def make(folder: Path) -> list[str]:
        make_ticket_run(folder / "run", **changes)
        change(folder)
        return list(arguments)

    return Case(wrong, make, tuple(names), export)


def _cut(folder: Path) -> None:
    path = folder / "run/tickets/round_01.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def _swapped(folder: Path) -> None:
    (folder / "run/tickets/round_00.safetensors").replace(folder / "run/tickets/round_01.safetensors")


def _diverged(folder: Path) -> None:
    path = folder / "run/tickets/round_01.safetensors"
    ticket = RoundTicket.load(path)
    ticket.weights["fc.bias"].fill_(float("nan"))
    ticket.save(path)


def _nonsense(folder: Path) -> None:
    make_packed(folder / "mine.safetensors")
    packed = Packed.load(folder / "mine.safetensors")
    replace(packed, about={**packed.about, "test_acc": float("inf")}).save(folder / "mine.safetensors")


def _no_winner(folder: Path) -> None:
    path = folder / "run/results.csv"
    first, *rows, last = path.read_text().splitlines()
    names, values = first.split(","), last.split(",")
    values[names.index("valid_acc")] = "0.4988"
    path.write_text("\n".join([first, *rows, ",".join(values), ""]))


def _reseal(folder: Path, number: int = 1, **wrong: Any) -> None:
    """Seal the ticket of a round anew, with wrong content."""
    path = folder / f"run/tickets/round_{number:02}.safetensors"
    ticket = RoundTicket.load(path)
    tokenizer = wrong.pop("tokenizer", ticket.tokenizer)
    RoundTicket(ticket.weights, ticket.mask, {**ticket.about, **wrong}, tokenizer).save(path)


def _revived(folder: Path) -> None:
    """Prune in round 0 what lives in round 1."""
    path = folder / "run/tickets/round_00.safetensors"
    ticket = RoundTicket.load(path)
    weights, mask = dict(ticket.weights), Mask.ones(ticket.weights)
    mask["fc.bias"][0] = False
    mask.apply_(weights)
    RoundTicket(weights, mask, ticket.about, ticket.tokenizer).save(path)


DATA = {
    "name": "files", "kind": "texts", "path": "gone", "tokenizer": "words", "batch_size": 64, "num_workers": 0,
    "text_column": "text", "label_column": "label",
}  # fmt: skip

CASES = (
    _case("no run", ["RUN"]),
    _case("no such folder", ["none", "no such folder"], "none"),
    _case("a folder that is no run", ["not a run directory"], "empty",
          change=lambda folder: (folder / "empty").mkdir()),
    _case("a ticket instead of a run", ["is a file"], "run/tickets/round_00.safetensors"),
    _case("a round that was not played", ["--round", "from 0 to 1"], "run", "--round", "2"),
    _case("a round that is no number", ["--round", "last"], "run", "--round", "last"),
    _case("a round below zero", ["--round"], "run", "--round=-1"),
    _case("two choices of a round", ["--smallest-winning"], "run", "--round", "1", "--smallest-winning"),
    _case("no winning ticket", ["--smallest-winning", "round 1's", "--within"], "run", "--smallest-winning",
          change=_no_winner),
    _case("a margin in something else than points", ["--within", "1%"], "run", "--smallest-winning", "--within", "1%"),
    _case("a margin without a choice", ["--within", "--smallest-winning"], "run", "--within", "1"),
    _case("sparsity in per cent", ["--max-sparsity", "95"], "run", "--max-sparsity", "95"),
    _case("sparsity that is no number", ["--max-sparsity"], "run", "--max-sparsity", "nan"),
    _case("a flag that there is not", ["--smalest"], "run", "--smalest-winning"),
    _case("another task", ["'language model'", "classifiers"], "run", task="language model"),
    _case("a round that diverged", ["round_01.safetensors", "'fc.bias'", "--round"], "run", change=_diverged),
    _case("a ticket in the file's place that says nonsense", ["mine.safetensors", "another name"], "run", "-o",
          "mine.safetensors", change=_nonsense),
    _case("a folder to write to", ["--output", "out/ticket.safetensors"], "run", "-o", "out",
          change=lambda folder: (folder / "out").mkdir()),
    _case("something else in the file's place", ["notes.txt", "another name"], "run", "-o", "notes.txt",
          change=lambda folder: (folder / "notes.txt").write_text("mine")),
    _case("a file where a folder should be", ["notes.txt"], "run", "-o", "notes.txt/ticket.safetensors",
          change=lambda folder: (folder / "notes.txt").write_text("mine")),
    _case("a ticket called README.md", ["README.md", "give another"], "run", "-o", "README.md"),
    _case("no ticket of that round", ["round_01.safetensors", "no such file"], "run",
          change=lambda folder: (folder / "run/tickets/round_01.safetensors").unlink()),
    _case("a ticket that is cut off", ["round_01.safetensors", "cut off"], "run", change=_cut),
    _case("a ticket of another round in its place", ["round_01.safetensors", "another round"], "run", change=_swapped),
    _case("a ticket of junk for words", ["round_01.safetensors", "tokenizer"], "run",
          change=lambda folder: _reseal(folder, tokenizer='{"model": {"vocab": ["a"]}}')),
    _case("a ticket of a network that cannot be", ["round_01.safetensors", "filters"], "run",
          change=lambda folder: _reseal(folder, model={"name": "cnn", "filters": "two", "widths": [2]})),
    _case("a ticket that tells of other results", ["round_01.safetensors", "test_acc", "results.csv"], "run",
          change=lambda folder: _reseal(folder, test_acc=0.9)),
    _case("a ticket nested 900 deep", ["round_01.safetensors", "deep"], "run",
          change=lambda folder: _reseal(folder, experiment=json.loads("[" * 900 + "]" * 900))),
    _case("a ticket in which pruned entries live again", ["round_01.safetensors", "round before"], "run",
          change=_revived),
    _case("a folder for transformers of another network", ["--hf", "model=cnn", "transformers"], "run", "--hf", "hf"),
    _case("a folder as a page", ["--html", "out", "a file in it"], "run", "--html", "out",
          change=lambda folder: (folder / "out").mkdir()),
    _case("something else in the page's place", ["--html", "notes.html", "another name"], "run", "--html", "notes.html",
          change=lambda folder: (folder / "notes.html").write_text("mine")),
    _case("something else in the reader's place", ["--js", "mine.js", "another name"], "run", "--js", "mine.js",
          change=lambda folder: (folder / "mine.js").write_text("mine")),
    _case("a page in the ticket's place", ["--html", "pets.safetensors", "another name"], "run", "-o",
          "pets.safetensors", "--html", "pets.safetensors"),
    _case("a folder as an executable file", ["--pyz", "out", "a file in it"], "run", "--pyz", "out",
          change=lambda folder: (folder / "out").mkdir()),
    _case("something else in the executable file's place", ["--pyz", "tool.pyz", "another name"], "run", "--pyz",
          "tool.pyz", change=lambda folder: (folder / "tool.pyz").write_text("mine")),
    _case("an executable file in the page's place", ["--pyz", "pets.html", "another name"], "run", "--html",
          "pets.html", "--pyz", "pets.html"),
    _case("first weights that nobody kept", ["--first-weights"], "run", "--first-weights"),
    _case("first weights of a network that is cut smaller", ["--shrink", "--first-weights"], "run", "--shrink",
          "--first-weights"),
    _case("first weights of a network whose words get another order", ["--bits", "--first-weights"], "run",
          "--bits", "4", "--first-weights"),
    _case("weights of a number of bits that there is not", ["--bits", "'3'", "8, 4"], "run", "--bits", "3"),
    _case("weights of 16 and of 4 bits", ["--bits", "--half"], "run", "--half", "--bits", "4"),
    _case("a corpus that nothing is measured on", ["--data", "--no-calibration"], "run", "--no-calibration", "--data",
          "corpus"),
    _case("to calibrate on data that has gone", ["data.path", "gone"], "run", "--data", "gone",
          config={"pruning": {"rewind": "init"}, "data": DATA}),
    _case("to cut a network of one's own smaller", ["--shrink", "model=custom", "multi_cnn"], "run", "--shrink",
          config={"pruning": {"rewind": "init"}, "model": {"name": "custom"}}),
    _case("to measure rounded weights where `run.json` says too little", ["run.json", "the run's data"], "run",
          "--half"),
    _case("to measure rounded weights on data that has gone", ["data.path", "gone"], "run", "--half",
          config={"pruning": {"rewind": "init"}, "data": DATA}),
    _case("to measure rounded weights on a folder that is none", ["data.path", "nowhere"],
          "run", "--half", "--data", "nowhere", config={"pruning": {"rewind": "init"}, "data": DATA}),
)  # fmt: skip

KIND = Kind(
    12, "Exports",
    "Given to `python -m lt_lightning.export`; `run` has two rounds of a classifier, both of which are as good.", CASES,
)  # fmt: skip
