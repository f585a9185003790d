"""Classify texts with a ticket, without torch: `python -m lt_lightning.predict FILE [TEXT …]`.

Holds at most one batch of texts in memory.
"""

from __future__ import annotations

import json
import math
import re
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any, NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.runtime.arguments import Parser, exit_code, number_to, start_program, whole_number
from lt_lightning.runtime.terminal import complain, write
from lt_lightning.storage.atomic import write_whole, writing_to

BATCH = 256
LETTERS = 1_000_000
"""The number of characters that completes a batch."""


UNSURE = "unsure"
"""The answer to a text whose probability is below the threshold; in JSON it is null."""
ANSWER = ("prediction", "probability", "probabilities")
"""The keys of an answer. Input fields of these names are kept as `previous_…`."""
REASONS = "reasons"
"""The key of the words that decided, in answers with `--explain`."""


class Question(NamedTuple):
    """A text, and the fields of its JSON object before the answer."""

    text: str
    entry: Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify the texts of the command line, or the lines of stdin.

    Returns:
        The exit code: 0, or 2 if the ticket or a text cannot be read; texts before it are answered.
    """
    parser = _parser(
        "python -m lt_lightning.predict", "FILE [TEXT ...]",
        "Classify texts with a ticket: the given ones or, without any, each line of stdin.",
    )  # fmt: skip
    parser.add_argument(
        "ticket", metavar="FILE", nargs="?", help="what lt_lightning.export wrote, or hf://OWNER/NAME[@REVISION][/FILE]"
    )
    given, names = _parse(parser, arguments)
    if not names:
        parser.error("the following arguments are required: FILE")
    return exit_code(lambda: _answer_all(names[0], None, names[1:], given))


def main_of_file(file: Path, content: bytes, arguments: Sequence[str] | None = None) -> int:
    """Classify as `main` does, with the ticket that an executable file holds (`export --pyz`).

    Args:
        file: the executable file.
        content: the file of the ticket.
        arguments: the command line after the name of the file.

    Returns:
        The exit code, as of `main`.
    """
    what = "Classify texts: the given ones or, without any, each line of stdin."
    given, texts = _parse(_parser(f"python {file.name}", "[TEXT ...]", what), arguments)
    return exit_code(lambda: _answer_all(str(file), content, texts, given))


def _parser(program: str, positional: str, what: str) -> Parser:
    """Return a parser of the options; `what` says what the program does."""
    parser = Parser(
        prog=program,
        usage="%(prog)s [-h] [--version] [--top K] [--threshold P] [--raw] [--jsonl] [--explain] [--html PAGE] "
        f"[--batch N] {positional}",
        description=f"{what} Prints a line per text: the most likely class and its probability, separated by a tab.",
    )
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; after -- it may begin with a dash")
    parser.add_argument("--top", metavar="K", type=whole_number(1), help="the K most likely classes (1; --jsonl: all)")
    threshold = f"answer {UNSURE!r} (--jsonl: null) where the largest probability is below P, 0 … 1"
    parser.add_argument("--threshold", metavar="P", type=number_to(1, "", "0.9"), default=0.0, help=threshold)
    raw = "give the network's own probabilities, without the temperature that was fitted on validation texts"
    parser.add_argument("--raw", action="store_true", help=raw)
    jsonl = (
        "print a JSON object per text: text, prediction, probability, and the probabilities of all classes; a line of "
        "stdin that begins with { is an object with a text, whose other fields are kept"
    )
    parser.add_argument("--jsonl", action="store_true", help=jsonl)
    explain = (
        "name the words that decided, with what each adds to the score of the class; with --jsonl all words and classes"
    )
    parser.add_argument("--explain", action="store_true", help=explain)
    page = "with --explain: write the texts to this page, their words marked"
    parser.add_argument("--html", metavar="PAGE", type=Path, help=page)
    batch = (
        f"how many texts are classified together ({BATCH}; on a terminal 1); only the last digits of a recurrent "
        "network's answers depend on it"
    )
    parser.add_argument("--batch", metavar="N", type=whole_number(1), help=batch)
    return parser


def _parse(parser: Parser, arguments: Sequence[str] | None) -> tuple[Namespace, list[str]]:
    """Return the options of a command line, by default the process's, and its other words in their order."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_intermixed_args(words[:end])
    if given.html is not None and not given.explain:
        parser.error("argument --html: it needs --explain")
    first = getattr(given, "ticket", None)
    # argparse would take words after -- for options if FILE follows it, too.
    return given, [*([] if first is None else [first]), *given.texts, *words[end + 1 :]]


def _answer_all(file: str, content: bytes | None, texts: Sequence[str], given: Namespace) -> None:
    from lt_lightning.tickets.explaining import WINDOWS
    from lt_lightning.tickets.file import Packed
    from lt_lightning.tickets.reasons import reasons_line, reasons_page, reasons_section
    from lt_lightning.tickets.ticket import Ticket

    ticket = Ticket.load(file) if content is None else Ticket(Packed.load(Path(file), content))
    size = given.batch or BATCH
    if texts:
        questions = _arguments(texts)
    elif sys.stdin is None:
        raise SettingError("TEXT: there are no texts, and stdin is closed; give a TEXT")
    else:
        questions = _lines(sys.stdin.buffer, given.jsonl)
        if sys.stdin.isatty():
            size = given.batch or 1
            complain("enter one text per line; Ctrl-D ends")
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(encoding="utf-8", errors="backslashreplace")  # in any locale; lone surrogates as escapes
    sections, method = list[str](), WINDOWS
    for batch in _batches(questions, size):
        probabilities = ticket.predict([question.text for question in batch], raw=given.raw)
        orders = (-probabilities).argsort(axis=1, kind="stable")[:, : given.top or (None if given.jsonl else 1)]
        reasons = ticket.explain([question.text for question in batch]) if given.explain else repeat(None)
        answers: list[str] = []
        for question, row, order, found in zip(batch, probabilities.tolist(), orders.tolist(), reasons, strict=False):
            best = [(ticket.class_names[place], row[place]) for place in order]
            sure = row[order[0]] >= given.threshold
            if given.jsonl:
                answers.append(_object(question, best, sure, found and found.to_json(ticket.class_names)))
            else:
                line = _line(best, sure)
                answers.append(line if found is None else f"{line}\t{reasons_line(found, order[0])}")
            if found is not None and given.html is not None:
                sections.append(reasons_section(found, ticket.class_names, order[0], row[order[0]]))
                method = found.method
        write(*answers)
    if given.html is not None:
        with writing_to(given.html.parent):
            write_whole(given.html, reasons_page(sections, method, f"Why {Path(file).name} answered so").encode())


def _line(best: Sequence[tuple[str, float]], sure: bool) -> str:
    """Return classes and probabilities, separated by tabs; of an answer that is not sure, what it is not sure of."""
    answer = "\t".join(f"{' '.join(name.split())}\t{probability:.4f}" for name, probability in best)
    return answer if sure else f"{UNSURE}\t{answer}"


def _object(
    question: Question, best: Sequence[tuple[str, float]], sure: bool, reasons: Mapping[str, Any] | None
) -> str:
    rounded = {name: round(probability, 6) for name, probability in best}
    name = best[0][0]
    answer: dict[str, Any] = dict(zip(ANSWER, (name if sure else None, rounded[name], rounded), strict=True))
    if reasons is not None:
        answer[REASONS] = reasons
    entry = question.entry
    if any(key in entry for key in answer):
        answered = re.compile(rf"(previous_)*({'|'.join(answer)})")
        entry = {f"previous_{key}" if answered.fullmatch(key) else key: value for key, value in entry.items()}
    return json.dumps({**entry, **answer}, ensure_ascii=False, allow_nan=False)


def _arguments(texts: Iterable[str]) -> Iterator[Question]:
    for number, text in enumerate(texts, start=1):
        if any("\udc80" <= letter <= "\udcff" for letter in text):  # surrogates stand for bytes that are not UTF-8
            raise SettingError(f"TEXT {number}: not UTF-8; give it in UTF-8")
        yield Question(text, {"text": text})


def _lines(lines: Iterable[bytes], jsonl: bool) -> Iterator[Question]:
    # Keep no reference to a line while its text is answered: it may be long.
    try:
        yield from map(_question, lines, count(1), repeat(jsonl))
    except OSError as error:
        raise SettingError(f"stdin: cannot be read ({error.strerror}); pass them as arguments") from None


def _question(line: bytes, number: int, jsonl: bool) -> Question:
    text = _text(line, number)
    is_object = jsonl and text.lstrip(" \t\r").startswith("{")
    return _entry(text, number) if is_object else Question(text, {"text": text})


def _text(line: bytes, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1:,}, 0x{line[error.start]:02x}"
        raise SettingError(f"line {number:,}: not UTF-8 ({byte}); give the texts in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    return text.removeprefix("\ufeff") if number == 1 else text


def _number(text: str) -> float:
    """Parse a JSON number; raise a ValueError unless it is finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _entry(line: str, number: int) -> Question:
    try:
        entry = json.loads(line, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"line {number:,}: begins with {{ but is not a JSON object ({reason}); fix it") from None
    if not isinstance(entry.get("text"), str):
        raise SettingError(f'line {number:,}: a JSON object without a text; give it {{"text": "…"}}')
    return Question(entry["text"], entry)


def _batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    """Yield questions in batches; raise the error of a question after the batch before it."""
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


if __name__ == "__main__":
    sys.exit(start_program(main))
