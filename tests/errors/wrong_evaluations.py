"""Wrong words for `evaluate`, and rows that a ticket cannot be evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from observing import Case, Kind
from samples import CSV, Content, fill

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.parameters import Parameter

Change = Callable[[Path], object]


def evaluate(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.evaluate`."""
    from lt_lightning.evaluate.__main__ import main

    return main(arguments)


def make_ticket(path: Path) -> None:
    """A ticket of two classes, `a` and `b`, that knows four words."""
    about: dict[str, Any] = {
        "model": {"name": "cnn", "filters": 2, "widths": [2]}, "embedding_dim": 2, "words": 4,
        "class_names": ["a", "b"], "splitter": "words", "max_length": None, "values": "float32", "seed": 0, "round": 1,
        "sparsity": 0.0, "corpus": "films", "experiment": "quickstart", "test_acc": 0.5,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    parameters = {
        name: Parameter(shape, rng.standard_normal(int(np.prod(shape)), np.float32), None, True)
        for name, shape in expected_shapes(about).items()
    }
    Packed(parameters, ("film", "good"), np.array([2, 3]), None, about).save(path)


def _case(wrong: str, names: Sequence[str], *arguments: str, change: Change = lambda _: None) -> Case:
    def make(folder: Path) -> list[str]:
        make_ticket(folder / "ticket.safetensors")
        (folder / "corpus").mkdir()
        for name in ("rows.csv", "corpus/train.csv", "corpus/test.csv"):
            fill(folder / name, CSV)
        change(folder)
        return ["ticket.safetensors", *arguments]

    return Case(wrong, make, tuple(names), evaluate)


def _rows(wrong: str, content: Content, names: Sequence[str], *arguments: str, name: str = "rows.csv") -> Case:
    return _case(wrong, names, f"data={name}", *arguments, change=lambda folder: fill(folder / name, content))


def _cut(folder: Path) -> None:
    path = folder / "ticket.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def _says(**said: Any) -> Change:
    def write(folder: Path) -> None:
        packed = Packed.load(folder / "ticket.safetensors")
        replace(packed, about={**packed.about, **said}).save(folder / "ticket.safetensors")

    return write


CASES = (
    _case("no data", ["data: ", "pydocs"]),
    _case("a ticket that is cut off", ["ticket.safetensors", "cut off"], "data=rows.csv", change=_cut),
    _case("a ticket whose accuracy is NaN", ["ticket.safetensors", "nan"], "data=rows.csv",
          change=_says(test_acc=float("nan"))),
    _case("a ticket whose accuracy is no share", ["ticket.safetensors", "test_acc", "1e+300"], "data=rows.csv",
          change=_says(test_acc=1e300)),
    _case("a ticket whose classes are half characters", ["ticket.safetensors", "surrogate"], "data=rows.csv",
          change=_says(class_names=["a", "\ud800"])),
    _case("no such ticket", ["ticket.safetensors", "no such file"], "data=rows.csv",
          change=lambda folder: (folder / "ticket.safetensors").unlink()),
    _case("a threshold in per cent", ["--threshold", "'90'", "0.9"], "data=rows.csv", "--threshold", "90"),
    _case("a word without `=`", ["'rows.csv'", "key=value"], "rows.csv"),
    _case("a corpus that there is not", ["'agnew'", "did you mean agnews?"], "data=agnew"),
    _case("no such file", ["gone.csv"], "data=gone.csv"),
    _case("a file of another kind", ["notes.txt", ".jsonl"], "data=notes.txt",
          change=lambda folder: (folder / "notes.txt").write_text("mine")),
    _case("pairs of strings", ["data: ", "pairs of strings"], "data=pairs"),
    _case("an empty folder", ["data.path", "corpus", "train"], "data=corpus",
          change=lambda folder: [(folder / "corpus" / name).unlink() for name in ("train.csv", "test.csv")]),
    _case("a folder and `data.path`", ["data.path", "data=corpus"], "data=corpus", "data.path=corpus"),
    _case("a setting that there is not", ["data.textcolumn", "did you mean data.text_column?"], "data=rows.csv",
          "data.textcolumn=text"),
    _case("a setting of training", ["pruning.rounds", "no such setting here"], "data=rows.csv", "pruning.rounds=3"),
    _case("a setting that is the ticket's", ["data.max_length", "determines"], "data=rows.csv", "data.max_length=3"),
    _case("a limit that is no number", ["data.limit", "'few'"], "data=rows.csv", "data.limit=few"),
    _case("data twice", ["data: ", "twice"], "data=rows.csv", "data=corpus"),
    _case("a part that there is not", ["split: ", "did you mean test?"], "data=corpus", "split=tets"),
    _case("what validated, of a single file of another corpus", ["split: "], "data=rows.csv", "split=valid"),
    _case("what validated, of another corpus", ["split: "], "data=corpus", "split=valid"),
    _case("no labels", ["data.label_column"], "data=rows.csv", "data.label_column=null"),
    _case("a column that there is not", ["rows.csv", "'body'", "text, label"], "data=rows.csv",
          "data.text_column=body"),
    _case("mistakes that cannot be counted", ["--mistakes", "'many'"], "data=rows.csv", "--mistakes", "many"),
    _case("a file where the folder should be", ["--output", "rows.csv"], "data=rows.csv", "-o", "rows.csv"),
    _case("a folder below a file", ["rows.csv", "cannot be written"], "data=rows.csv", "-o", "rows.csv/found"),
    _rows("a class that the ticket does not know", CSV.replace(",b", ",c"), ["rows.csv", "'c'", "a, b"]),
    _rows("a number that is no class's", CSV.replace(",a", ",0").replace(",b", ",2"), ["rows.csv", "'2'", "a, b"]),
    _rows("an empty file", "", ["data: ", "rows.csv", "empty"]),
    _rows("a header alone", "text,label\n", ["rows.csv", "no row"]),
    _rows("Latin-1", CSV.replace("good", "café").encode("latin-1"), ["rows.csv", "UTF-8", "0xe9"]),
    _rows("a .jsonl with half a line", '{"text": "good film", "label": "a"}\n{"text"', ["rows.jsonl", "line 2"],
          name="rows.jsonl"),
    _rows("a .parquet that is none", b"PAR1", ["rows.parquet", "cannot be read"], name="rows.parquet"),
    _rows("no label in half of the rows", CSV.replace(",b", ","), ["rows.csv", "10 of 20"]),
)  # fmt: skip

KIND = Kind(
    14, "Evaluations",
    "Given to `python -m lt_lightning.evaluate`; the ticket tells `a` from `b`, which `rows.csv` and `corpus` have.",
    CASES,
)  # fmt: skip
