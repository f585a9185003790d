"""Small corpora, vectors and runs for the cases: sound ones, to be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from observing import Case, train

TEXTS = [f"{('bad', 'good')[number % 2]} film number {number}" for number in range(20)]
LABELS = ["ab"[number % 2] for number in range(20)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))

Content = str | bytes | pa.Table | Sequence[Mapping[str, Any]] | Callable[[Path], object]
"""What a file holds: text, bytes, a table, the rows of a .jsonl; or what makes the file, or something in its place."""

LOG = ("run/.hydra/*", "run/train.log", "run/state/lock")
"""What a run leaves that stopped at its data: the settings, the traceback, perhaps the file that held the directory."""


def fill(path: Path, content: Content) -> None:
    """Make a file."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_bytes(content.encode())
    elif isinstance(content, pa.Table):
        pq.write_table(content, path)
    elif callable(content):
        content(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in content))


def rows(texts: Sequence[Any] = TEXTS, labels: Sequence[Any] = LABELS) -> list[dict[str, Any]]:
    """The rows of a .jsonl."""
    return [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]


def table(texts: Any = TEXTS, labels: Any = LABELS) -> pa.Table:
    """The rows of a .parquet."""
    return pa.table({"text": texts, "label": labels})


def make_corpus(folder: Path, files: Mapping[str, Content]) -> list[str]:
    """Make `corpus` of these files, by their names, and give the arguments that read it."""
    (folder / "corpus").mkdir()
    for name, content in files.items():
        fill(folder / "corpus" / name, content)
    return ["data=files", "data.path=corpus", "model=cnn", "model.filters=2"]


def corpus_case(
    wrong: str,
    files: Mapping[str, Content] | Content,
    names: Sequence[str],
    *arguments: str,
    accepted: Callable[[Path], str] | None = None,
    leaves: Sequence[str] = LOG,
) -> Case:
    """A corpus that is given to a run; a single content is that of `train.csv`, beside a sound `test.csv`."""
    of = files if isinstance(files, Mapping) else {"train.csv": files, "test.csv": CSV}
    left = ("run/*",) if accepted else tuple(leaves)
    return Case(
        wrong, lambda folder: [*make_corpus(folder, of), *arguments], tuple(names), train, left, accepted
    )  # fmt: skip


def train_file(name: str, content: Content) -> dict[str, Content]:
    """This training file, beside a sound `test.csv`."""
    return {name: content, "test.csv": CSV}


def described(folder: Path) -> dict[str, Any]:
    """`run.json` of the run that a case made."""
    return json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))


def rows_read(folder: Path) -> str:
    """How many rows the run of a case found, and how many words and classes."""
    about = described(folder)
    kept = about["corpus"]["rows"]
    total = kept["train"] + kept["valid"]
    words, names = about["vocabulary"]["words"], about["corpus"]["class_names"]
    return f"read: {total} rows to learn from, {kept['test']} to test, {words} words, classes {', '.join(names)}"
