"""The files that the fuzz damages, each with its reader and its mutations.

`trials.oracles` decides what must be refused and what must be read, without the reader under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.experiment.round_checkpoint import find_checkpoint
from lt_lightning.report.run import draw_run
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.masks import read_masks
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, ExampleRecord, LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket, read_rewind_weights
from lt_lightning.runs.rounds import PlayedRound, read_round
from lt_lightning.storage.sealed import read_seal
from lt_lightning.tickets import Ticket
from lt_lightning.tickets.file import Packed
from trials import oracles
from trials.mutations import (
    BYTEWISE,
    Mutation,
    change_cell,
    change_header,
    change_json,
    change_number,
    digested_anew,
    sealed_anew,
    sealed_json_anew,
    stretch,
)
from trials.specimens import CACHE, CHECKPOINT_ROUND, PACKED, read_corpus_cache, read_word_cache
from trials.watching import require, watched

TABLES = {
    "results": Record, "layers": LayerRecord, "epochs": EpochRecord, "confusion": ConfusionRecord,
    "examples": ExampleRecord,
}  # fmt: skip
ROUND = "state/round_00.json"
REWIND = "state/rewind.safetensors"
TEXTS = ("word1 and word2, then word3", "", "word5 " * 300)
SECONDS = 10.0
"""Time limit of a reader."""
_ROOM = 2**23
"""The memory limit of predictions, as a size of files."""


@dataclass(frozen=True)
class Subject:
    """A file, its mutations, and its correct reading.

    Attributes:
        file: the file below the folder.
        read: reads it, given the folder and whether to draw figures too.
        check: raises a Failure if the result of reading does not match the bytes.
        may_read: whether these bytes may be read; otherwise they must be refused.
        mutations: its mutations by name.
        beside: the other files that its reader reads.
        made_anew: whether the reader rebuilds a damaged file instead of refusing it.
        share: how often it is chosen, relative to the others.
    """

    file: str
    read: Callable[[Path, bool], Any]
    check: Callable[[bytes, Any], None]
    may_read: Callable[[bytes], bool]
    mutations: Mapping[str, Mutation]
    beside: tuple[str, ...] = ()
    made_anew: bool = False
    share: int = field(default=2, compare=False)


def subjects(folder: Path) -> list[Subject]:
    """Return the files to damage in a run with its specimens."""
    found = [_ticket(folder, min((folder / "tickets").iterdir()).relative_to(folder).as_posix())]
    found += [_description(folder)]
    found += [_table(folder, name) for name in TABLES if (folder / f"{name}.csv").exists()]
    found += [subject for subject in (_round(), _rewind(), _packed()) if (folder / subject.file).exists()]
    found += [_checkpoint(path.relative_to(folder).as_posix()) for path in (folder / "state").glob("*.ckpt")]
    return found + [_cache(folder, path) for path in sorted((folder / CACHE).glob("*"))]


def _sealed(**mutations: Mutation) -> dict[str, Mutation]:
    """Return mutations of a sealed file, with and without a new seal that fits."""
    every = {**BYTEWISE, "header": change_header, "number": change_number, **mutations}
    return {**every, **{f"{name}, sealed anew": sealed_anew(mutation) for name, mutation in every.items()}}


def _ticket(folder: Path, file: str) -> Subject:
    base = oracles.read_content((folder / file).read_bytes()).get("base")
    beside = () if base is None else (base["file"],)
    weights = {} if base is None else oracles.decode((folder / base["file"]).read_bytes())

    def read(folder: Path, drawn: bool) -> RoundTicket:
        read_seal(folder / file)
        read_masks(folder / file)
        return RoundTicket.load(folder / file)

    def check(data: bytes, ticket: RoundTicket) -> None:
        oracles.check_round_ticket(data, ticket, weights)

    return Subject(file, read, check, oracles.has_right_seal, _sealed(), beside, share=4)


def _packed() -> Subject:
    def read(folder: Path, drawn: bool) -> Packed:
        return Packed.load(folder / PACKED)

    def check(data: bytes, packed: Packed) -> None:
        oracles.check_packed_ticket(data, packed)
        with watched(_ROOM, SECONDS):  # it may need more numbers than its file has, up to a limit
            probabilities = Ticket(packed).predict(TEXTS)
        oracles.check_probabilities(packed.about["class_names"], probabilities)

    return Subject(PACKED, read, check, oracles.has_right_seal, _sealed(size=stretch), share=4)


def _rewind() -> Subject:
    def read(folder: Path, drawn: bool) -> dict[str, Any]:
        return read_rewind_weights(folder)

    return Subject(REWIND, read, oracles.check_tensors, oracles.has_right_seal, _sealed())


def _round() -> Subject:
    def read(folder: Path, drawn: bool) -> PlayedRound:
        return read_round(folder / ROUND, 0)

    mutations = {**BYTEWISE, "value": change_json, "value, sealed anew": sealed_json_anew}
    return Subject(ROUND, read, oracles.check_round, oracles.has_right_sum, mutations)


def _description(folder: Path) -> Subject:
    return Subject(
        "run.json", _read_page, oracles.check_description, _anything, {**BYTEWISE, "value": change_json}, _files(folder)
    )


def _table(folder: Path, name: str) -> Subject:
    def read(folder: Path, drawn: bool) -> list[Any]:
        _read_page(folder, drawn)
        return read_records(folder / f"{name}.csv", TABLES[name])

    return Subject(
        f"{name}.csv", read, oracles.check_rows, _anything, {**BYTEWISE, "cell": change_cell}, _files(folder)
    )


def _checkpoint(file: str) -> Subject:
    digest = file.removesuffix(".ckpt").rpartition("_")[2]

    def read(folder: Path, drawn: bool) -> Path:
        found, _, damages = find_checkpoint(folder / "state", CHECKPOINT_ROUND)
        if found is None:
            raise SettingError("; ".join(damages))
        return found

    def check(data: bytes, found: Path) -> None:
        require(found.name == Path(file).name, f"{found.name} was found")

    return Subject(file, read, check, lambda data: sha256(data).hexdigest() == digest, BYTEWISE)


def _cache(folder: Path, path: Path) -> Subject:
    """Return a file of a cache, whose content must be unchanged after reading, unless its digest fits."""
    file = path.relative_to(folder).as_posix()
    reader = _words if path.name.startswith("words-") else _rows
    right = reader(folder, False)

    def check(data: bytes, found: Any) -> None:  # a value out of range with a digest that fits raises an error
        require(found == right or oracles.has_right_digest(data), "the content of a damaged cache was read")

    every = {**BYTEWISE, "header": change_header, "number": change_number}
    anew = {f"{name}, digested anew": digested_anew(mutation) for name, mutation in every.items()}
    return Subject(file, reader, check, _anything, {**every, **anew}, made_anew=True)


def _words(folder: Path, drawn: bool) -> tuple[Any, ...]:
    texts = read_word_cache(folder / CACHE)
    words, ids = texts.words.to_pylist(), texts.ids.tolist()
    ends = zip(texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), strict=True)
    require(min(ids, default=0) >= 0, "a word has a negative number")
    return words, [[words[number] for number in ids[start:end]] for start, end in ends], texts.offsets.tolist()


def _rows(folder: Path, drawn: bool) -> dict[str, Any]:
    splits = read_corpus_cache(folder / CACHE)
    return {str(name): (rows.features["label"].names, rows.to_dict()) for name, rows in splits.items()}


def _read_page(folder: Path, drawn: bool) -> Run:
    found = read_run(folder)
    render_page(found, [])
    if drawn:
        draw_run(found)
    return found


def _files(folder: Path) -> tuple[str, ...]:
    return ("run.json", *(f"{name}.csv" for name in TABLES if (folder / f"{name}.csv").exists()))


def _anything(data: bytes) -> bool:
    return True
