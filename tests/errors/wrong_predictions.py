"""Wrong tickets and texts for predictions, and odd ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from observing import Case, Kind

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import expected_shapes
from lt_lightning.tickets.parameters import Parameter

ABOUT = {
    "model": {"name": "cnn", "filters": 2, "widths": [2]}, "embedding_dim": 2, "words": 4, "splitter": "words",
    "class_names": ["bad", "good"], "max_length": None,
}  # fmt: skip


def predict(arguments: Sequence[str]) -> int:
    """`python -m lt_lightning.predict`, with the file `stdin` on stdin, if there is one, and `answers` as stdout."""
    from lt_lightning.predict import main

    with contextlib.ExitStack() as stack:
        if Path("stdin").exists():
            stack.enter_context(patch.object(sys, "stdin", stack.enter_context(Path("stdin").open())))
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path("answers").open("w"))))
        return main(arguments)


def make_ticket(path: Path) -> None:
    """That of a network of two words, `<unk>` and `<pad>`."""
    rng = np.random.default_rng(0)
    parameters = {
        name: Parameter(shape, rng.normal(size=int(np.prod(shape))).astype(np.float32), None, True)
        for name, shape in expected_shapes(ABOUT).items()
    }
    Packed(parameters, ("cat", "dog"), np.array([2, 3]), None, ABOUT).save(path)


def _case(
    wrong: str, names: Sequence[str], *arguments: str, stdin: bytes | None = None,
    damage: Callable[[Path], object] = lambda _: None, accepted: Callable[[Path], str] | None = None,
) -> Case:  # fmt: skip
    def make(folder: Path) -> list[str]:
        make_ticket(folder / "pets.safetensors")
        damage(folder / "pets.safetensors")
        if stdin is not None:
            (folder / "stdin").write_bytes(stdin)
        return list(arguments)

    return Case(wrong, make, tuple(names), predict, ("answers",), accepted)


def _answers(what: str, count: int) -> Callable[[Path], str]:
    """Says what is done with odd texts that have so many answers."""

    def says(folder: Path) -> str:
        answers = (folder / "answers").read_text().splitlines()
        assert len(answers) == count
        assert all(answer.split("\t")[0] in ("bad", "good") for answer in answers)
        return what

    return says


def _says(**said: Any) -> Callable[[Path], object]:
    """Writes the ticket anew, and seals it, with these values in its header."""

    def write(path: Path) -> None:
        packed = Packed.load(path)
        replace(packed, about={**packed.about, **said}).save(path)

    return write


def _write_wide_filter(path: Path) -> None:
    """A few kilobytes in which a single filter sees a million words."""
    about = {**ABOUT, "model": {"name": "cnn", "filters": 1, "widths": [1 << 20]}, "embedding_dim": 1}
    none, dead = np.empty(0, np.float32), np.empty(0, np.int64)
    parameters = {name: Parameter(shape, none, dead, True) for name, shape in expected_shapes(about).items()}
    Packed(parameters, (), dead, None, about).save(path)


def _nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


PETS = "pets.safetensors"
CASES = (
    _case("no such ticket", ("dogs.safetensors", "no such file"), "dogs.safetensors", "a cat"),
    _case("a ticket that is a folder", (".", "not a file"), ".", "a cat"),
    _case(
        "a ticket that is cut off", (PETS,), PETS, "a cat", damage=lambda path: path.write_bytes(path.read_bytes()[:-9])
    ),
    _case("a ticket with a filter as wide as a library", (PETS, "operations"), PETS, "a cat",
          damage=_write_wide_filter),
    _case("a ticket with NaN in its header", (PETS, "nan"), PETS, "a cat", damage=_says(test_acc=float("nan"))),
    _case("a ticket with half a character in its header", (PETS, "'\\ud800'"), PETS, "a cat",
          damage=_says(corpus="\ud800")),
    _case("a ticket with a header 700 deep", (PETS, "deep"), PETS, "a cat", damage=_says(corpus=_nested(700))),
    _case("no ticket at all", ("FILE",)),
    _case("a file that is none", (PETS,), PETS, "a cat", damage=lambda path: path.write_text("cat,dog\n")),
    _case("`--top` of none", ("--top", "0"), PETS, "--top", "0", "a cat"),
    _case("a threshold in per cent", ("--threshold", "'90'", "0.9"), PETS, "--threshold", "90", "a cat"),
    _case("`--batch` that is no number", ("--batch", "all"), PETS, "--batch", "all", "a cat"),
    _case("a page without reasons", ("--html", "--explain"), PETS, "--html", "why.html", "a cat"),
    _case("a page in a folder that is a file", (PETS,), PETS, "--explain", "--html", f"{PETS}/why.html", "a cat"),
    _case("an unknown flag", ("--jsn",), PETS, "--jsn", "a cat"),
    _case("a text that is not UTF-8", ("TEXT 2", "UTF-8"), PETS, "a cat", "un \udce9t\udce9"),
    _case("a line that is not UTF-8", ("line 2", "byte 4", "0xe9"), PETS, stdin=b"a cat\nun \xe9t\xe9\n"),
    _case("a line that is not JSON", ("line 1", "JSON"), PETS, "--jsonl", stdin=b'{"text": "a cat"'),
    _case("a JSON object without a text", ("line 1", "text"), PETS, "--jsonl", stdin=b'{"title": "a cat"}\n'),
    _case("no lines at all", (), PETS, stdin=b"", accepted=_answers("there is nothing to answer", 0)),
    _case("a text without words", (), PETS, "", accepted=_answers("is answered as `<pad>` is", 1)),
    _case("unknown words only", (), PETS, "a fish", accepted=_answers("each of them is answered as `<unk>` is", 1)),
    _case(
        "a text of 10 MB", (), PETS, stdin=b"a cat, a dog; " * 750_000,
        accepted=_answers("is answered, piece by piece, in memory of little more than its size", 1),
    ),
)  # fmt: skip

KIND = Kind(
    13, "Predictions",
    "Given to `python -m lt_lightning.predict`; `pets.safetensors` is a ticket. Lines before one that is wrong have "
    "been answered by then.", CASES,
)  # fmt: skip
