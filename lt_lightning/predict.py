"""Classify texts with a ticket, without torch: `python -m lt_lightning.predict FILE [TEXT …]`.

Whatever the number of texts, no more than a batch of them is in memory.
"""

from __future__ import annotations

import codecs
import json
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lt_lightning.command_line import BROKEN_PIPE, INTERRUPTED, Parser, drop_stdout
from lt_lightning.errors import SettingError

BATCH = 256
LETTERS = 1_000_000
"""So many characters are as good as a whole batch, however few the texts."""


class Question(NamedTuple):
    """A text, and what goes into its JSON object before the answer."""

    text: str
    entry: Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify the texts of the command line, or the lines of stdin.

    Args:
        arguments: those of the command line; None takes them from there.

    Returns:
        The exit code: 0, or 2 where the ticket or a text could not be read, after the answers to all texts before it.
    """
    parser = Parser(
        prog="python -m lt_lightning.predict",
        description="Classify texts with a ticket: those given or, without any, each line of stdin. Prints a line a "
        "text: the most likely class and its probability, with a tab between.",
    )
    parser.add_argument("ticket", metavar="FILE", type=Path, help="what lt_lightning.export wrote")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; after -- it may begin with a dash")
    parser.add_argument("--top", metavar="K", type=_count, help="the K most likely classes (1; with --jsonl all)")
    parser.add_argument(
        "--jsonl",
        action="store_true",
        help="print a JSON object a text: text, prediction, probability, and the probabilities of all classes; a line "
        "of stdin that begins with { is an object that has a text, and what else it has is handed through",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=_count,
        help=f"how many texts are answered together ({BATCH}; on a terminal 1); the answers are the same",
    )
    given = parser.parse_intermixed_args(arguments)
    try:
        _answer_all(given)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_stdout()
        return BROKEN_PIPE
    except OSError as error:
        drop_stdout()
        print(f"stdout: answers cannot be written ({error.strerror}); send them elsewhere", file=sys.stderr)
        return 2
    return 0


def _answer_all(given: Namespace) -> None:
    from lt_lightning.tickets import Ticket

    ticket = Ticket.load(given.ticket)
    size = given.batch or BATCH
    if given.texts:
        questions = _arguments(given.texts)
    elif sys.stdin is None:
        raise SettingError("TEXT: neither texts nor a stdin to read them from; give a TEXT")
    else:
        questions = _lines(sys.stdin.buffer, given.jsonl)
        if sys.stdin.isatty():
            size = given.batch or 1
            print("a text a line, please; Ctrl-D ends", file=sys.stderr, flush=True)
    _write_utf_8()
    for batch in _batches(questions, size):
        probabilities = ticket.predict([question.text for question in batch])
        orders = (-probabilities).argsort(axis=1, kind="stable")[:, : given.top or (None if given.jsonl else 1)]
        for question, row, order in zip(batch, probabilities.tolist(), orders.tolist(), strict=True):
            best = [(ticket.class_names[place], row[place]) for place in order]
            print(_object(question, best) if given.jsonl else _line(best))
        sys.stdout.flush()


def _line(best: Sequence[tuple[str, float]]) -> str:
    """Classes and their probabilities, with tabs between; there are none within."""
    return "\t".join(f"{' '.join(name.split())}\t{probability:.4f}" for name, probability in best)


def _object(question: Question, best: Sequence[tuple[str, float]]) -> str:
    rounded = {name: round(probability, 6) for name, probability in best}
    name = best[0][0]
    answer = {"prediction": name, "probability": rounded[name], "probabilities": rounded}
    return json.dumps({**question.entry, **answer}, ensure_ascii=False)


def _arguments(texts: Iterable[str]) -> Iterator[Question]:
    for number, text in enumerate(texts, start=1):
        if any("\udc80" <= letter <= "\udcff" for letter in text):  # as Python hands on bytes that it cannot read
            raise SettingError(f"TEXT {number}: not UTF-8; give it in UTF-8")
        yield Question(text, {"text": text})


def _lines(lines: Iterable[bytes], jsonl: bool) -> Iterator[Question]:
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            byte = f"byte {error.start + 1:,}, 0x{line[error.start]:02x}"
            raise SettingError(f"line {number:,}: not UTF-8 ({byte}); give the texts in UTF-8") from None
        yield _entry(text, number) if jsonl and text.startswith("{") else Question(text, {"text": text})


def _entry(line: str, number: int) -> Question:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"line {number:,}: begins with {{ but is no JSON object ({reason}); mend it") from None
    if not isinstance(entry.get("text"), str):
        raise SettingError(f'line {number:,}: a JSON object without a text; give it {{"text": "…"}}')
    return Question(entry["text"], entry)


def _batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Questions in batches; what is wrong with one is raised after the batch of those before it."""
    batch: list[Question] = []
    wrong, letters = None, 0
    try:
        for question in questions:
            batch.append(question)
            letters += len(question.text)
            if len(batch) >= size or letters >= LETTERS:
                yield batch
                batch, letters = [], 0
    except SettingError as error:
        wrong = error
    if batch:
        yield batch
    if wrong is not None:
        raise wrong


def _write_utf_8() -> None:
    """Whatever the locale; half of a surrogate pair, which JSON can hold, leaves as the escape that it came as."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="backslashreplace")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) <= 1_000_000_000 and len(text) <= 10):
        raise ArgumentTypeError(f"{text[:40]!r} is no number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
