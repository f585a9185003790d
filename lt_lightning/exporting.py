"""What `export` does once the round is chosen: pack, measure, write, and say what was written."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import SettingError
from lt_lightning.results.facts import look_up
from lt_lightning.results.model_card import CARD, write_card
from lt_lightning.results.packing import pack_ticket
from lt_lightning.results.provenance import describe_origin
from lt_lightning.results.records import Record
from lt_lightning.results.round_tickets import RoundTicket
from lt_lightning.results.rounds import ticket_path
from lt_lightning.results.runs import Run
from lt_lightning.results.tables import percent
from lt_lightning.tickets.format import Packed
from lt_lightning.transfer.keeping import find_first_weights

if TYPE_CHECKING:
    from lt_lightning.config import DataConfig

_TASK = "classification"
_BATCH = 256


@dataclass(frozen=True)
class Wishes:
    """What is wanted beside the plain ticket.

    Attributes:
        half: weights rounded to float16.
        first_weights: the survivors' first weights in the file.
        onnx: an ONNX graph beside it.
        state_dict: dense weights beside it.
        data: where the run's corpus lies now; None: where it lay.
    """

    half: bool = False
    first_weights: bool = False
    onnx: bool = False
    state_dict: bool = False
    data: Path | None = None


def export(run: Run, record: Record, path: Path, wishes: Wishes) -> None:
    """Write a round's ticket, its card and what else is wanted, and print what they are.

    Raises:
        SettingError: the run is not one of a classifier of texts, its ticket is damaged, or `path` is something else.
        OSError: something cannot be written.
    """
    task = run.description.get("task", _TASK)
    if task != _TASK:
        raise SettingError(
            f"{run.folder}: a run of the task {task!r}; only classifiers of texts can be packed; give a run of one"
        )
    _check_place(path)
    ticket = RoundTicket.load(ticket_path(run.folder, record.round))
    if ticket.about.get("round") != record.round:
        raise SettingError(
            f"{ticket_path(run.folder, record.round)}: the ticket of another round; restore it from a copy"
        )
    packed = _pack(run, record, ticket, wishes)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx, dense_file, words = _companions(path)
    if wishes.onnx:  # first, as it may lack its library
        _write_onnx(packed, onnx)
    if wishes.state_dict:
        _write_dense(ticket, dense_file)
    if wishes.onnx or wishes.state_dict:
        _write_words(ticket, words)
    packed.save(path)
    dense = sum(4 * weight.numel() for weight in ticket.weights.values())
    card = write_card(run, packed, path, dense)
    size = path.stat().st_size
    print(f"ticket   {path}")
    print(f"         {size:,} bytes, {percent(size / dense)} of the whole network's {dense:,}")
    print(f"         {record.alive:,} of {record.total:,} weights alive ({percent(record.density)})")
    full = packed.about["full_test_acc"]
    whole = "" if full is None else f"; the whole network {percent(full)}"
    print(f"accuracy {percent(record.test_acc)} on the test split{whole}")
    if wishes.half:
        print(f"         {percent(packed.about['half_test_acc'])} with weights rounded to float16")
    print(f"card     {card}")
    print(f'try      python -m lt_lightning.predict {shlex.quote(str(path))} "a text of yours"')


def _check_place(path: Path) -> None:
    """See that nothing but an earlier export is where the ticket is to go."""
    if path.name == CARD:
        raise SettingError(f"--output: {path}: a ticket cannot be called as its card is; give another name")
    if path.is_dir():
        raise SettingError(f"--output: {path} is a folder; give a file in it, such as {path / 'ticket.safetensors'}")
    in_the_way = [other for other in _companions(path) if other.exists()]
    if in_the_way and not path.exists():
        raise SettingError(f"--output: {in_the_way[0]} is there already, of something else; give another name")
    if path.exists():
        try:
            Packed.load(path)
        except SettingError:
            raise SettingError(f"--output: {path} is there already and is no ticket; give another name") from None


def _companions(path: Path) -> tuple[Path, Path, Path]:
    """Where the ONNX graph, the dense weights and the tokenizer of a ticket go."""
    names = (f"{path.stem}.onnx", f"{path.stem}_dense.safetensors", f"{path.stem}_tokenizer.json")
    onnx, dense, words = map(path.with_name, names)
    return onnx, dense, words


def _pack(run: Run, record: Record, ticket: RoundTicket, wishes: Wishes) -> Packed:
    about = describe_origin(run, record)
    first = find_first_weights(run, ticket, keep=wishes.first_weights)
    try:
        packed = pack_ticket(ticket, {**about, "first": first.recipe}, first=first.weights, half=wishes.half)
    except ValueError as error:
        said = f"{ticket_path(run.folder, record.round)}: {error}"
        raise SettingError(f"{said}; only the tickets of classifiers of texts can be packed") from error
    if wishes.half:
        measured = _measure(packed, run, wishes.data)
        packed = replace(packed, about={**packed.about, "half_test_acc": measured})
    return packed


def _measure(packed: Packed, run: Run, data: Path | None) -> float:
    """The share of the run's test rows that a ticket gets right."""
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.tickets.ticket import Ticket

    corpus = load_corpus(_data_settings(run, data))
    found, then = corpus.fingerprints.get("test"), look_up(run.description, "corpus.fingerprint.test")
    if found != then:
        raise SettingError(
            f"--data: the test split of {corpus.source} is not the one that the run was tested on; give that one"
        )
    ticket, right, rows = Ticket(packed), 0, corpus.splits["test"]
    for batch in rows.with_format("arrow").iter(_BATCH):
        texts, labels = batch["text"].to_pylist(), batch["label"].to_numpy()  # pyright: ignore
        right += int((ticket.predict(texts).argmax(axis=1) == labels).sum())
    return right / len(rows)


def _data_settings(run: Run, data: Path | None) -> DataConfig:
    """What the run was told of its data."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from lt_lightning.config import DataConfig

    known = {one.name for one in fields(DataConfig)}
    said = look_up(run.description, "config.data") or {}
    settings = {key: value for key, value in said.items() if key in known}
    if data is not None:
        settings["path"] = str(data)
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), settings))
    except OmegaConfBaseException:
        path = run.folder / "run.json"
        raise SettingError(f"{path}: does not say what data the run read; restore it, or leave out --half") from None
    assert isinstance(config, DataConfig)
    return config


def _write_onnx(packed: Packed, path: Path) -> None:
    from lt_lightning.tickets.onnx import write_onnx

    difference = write_onnx(packed, path)
    checked = "not checked: onnxruntime is not installed" if difference is None else f"checked to {difference:.1e}"
    print(f"ONNX     {path} ({checked})")


def _write_dense(ticket: RoundTicket, path: Path) -> None:
    from lt_lightning.results.dense import write_state_dict

    write_state_dict(ticket, path)
    print(f"dense    {path}")


def _write_words(ticket: RoundTicket, path: Path) -> None:
    """Write what makes ids of texts, without which whoever has the dense network has no use for it."""
    from lt_lightning.results.dense import write_tokenizer

    write_tokenizer(ticket, path)
    print(f"words    {path}")
