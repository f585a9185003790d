"""Pack, measure, check and write the ticket of a chosen round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lt_lightning.errors import SettingError
from lt_lightning.export.describing import describe_cuts, describe_files
from lt_lightning.export.files import (
    Places,
    check_answers,
    check_finite,
    check_packed,
    is_card_of,
    rounded,
    write_state_dict,
    write_tokenizer,
    written_and_checked,
)
from lt_lightning.export.first_weights import find_first_weights
from lt_lightning.export.measuring import measured
from lt_lightning.export.model_card import shell_name, write_card
from lt_lightning.export.shrinking import Shrunk, check_shrinkable, shrink
from lt_lightning.export.standalone import check_runnable, check_standalone, write_standalone
from lt_lightning.runs.masks import check_inside, read_masks
from lt_lightning.runs.packing import describe_origin, is_encoder, pack_ticket
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record
from lt_lightning.runs.round_ticket import RoundTicket, check_nesting
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.winners import explain_missing
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.sealed import quoted
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.header import check_about, expected_shapes
from lt_lightning.tickets.rounding import HALF, WHOLE
from lt_lightning.tickets.ticket import load_packed

if TYPE_CHECKING:
    from lt_lightning.tickets.encoder.file import PackedEncoder


_TITLE = 120
"""The longest title of a page."""


@dataclass(frozen=True)
class Wishes:
    """The options of an export."""

    bits: int = WHOLE  # round weights to 16, 8 or 4 bits
    first_weights: bool = False  # keep the survivors' first weights in the file
    onnx: bool = False  # write an ONNX graph beside it
    state_dict: bool = False  # write dense weights beside it
    data: Path | None = None  # the folder of the run's corpus, if it was moved
    calibrate: bool = True  # fit a temperature on the run's validation rows
    shrink: bool = False  # cut the network smaller
    hf: Path | None = None  # a folder for transformers
    margin: float | None = None  # of the smallest winning ticket, in percentage points; None for other choices
    licence: str | None = None  # the identifier of the licence of the weights, for the cards
    html: Path | None = None  # a page with the ticket inside
    js: Path | None = None  # the reader of tickets in JavaScript
    pyz: Path | None = None  # an executable file with the ticket inside

    @property
    def tokenizer(self) -> bool:
        """Return whether to write the tokenizer: a dense network is useless without it."""
        return self.onnx or self.state_dict


@dataclass(frozen=True)
class Exported:
    """An export that is on disk.

    Attributes:
        run: the run.
        packed: the packed ticket.
        places: the paths of its files.
        whole: the size of the whole network's weights in float32, in bytes.
        wishes: the options.
        lines: a report for the screen.
    """

    run: Run
    packed: Packed | PackedEncoder
    places: Places
    whole: int
    wishes: Wishes
    lines: tuple[str, ...] = ()


def export(run: Run, record: Record, path: Path, wishes: Wishes) -> Exported:
    """Write a round's ticket, its card and the optional files, and read them back.

    Raises:
        SettingError: the run has no text classifier, its ticket is damaged, another file is in the way, or a file
            cannot be written.
    """
    places = _places(path, wishes)
    check_standalone(wishes, path)
    if wishes.shrink:
        check_shrinkable(run)
    ticket = _load(run, record)
    has_encoder = is_encoder(ticket.about)
    if wishes.hf is not None:
        _check_hf(run, ticket, wishes.hf, places)
    check_finite(ticket, ticket_path(run.folder, record.round))
    whole = sum(4 * weight.numel() for weight in ticket.weights.values())
    prepare = _prepare_encoder if has_encoder else _prepare
    content = prepare(run, record, ticket, wishes)
    check_runnable(content.packed, wishes)
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_and_checked(path) as unchecked:
            content.packed.save(unchecked)
            content.check(unchecked)
        exported = Exported(run, content.packed, places, whole, wishes)
        write_card(exported)
        others = [*content.write_others(places, wishes)]
    title = f"{content.packed.about['corpus']}: {', '.join(content.packed.about['class_names'])}"
    others += write_standalone(path, title[:_TITLE], wishes)
    lines = (
        *describe_files(content.packed, places, whole, content.uncalibrated),
        *others,
        f'try      python -m lt_lightning.predict {shell_name(str(path))} "a text"',
    )
    return replace(exported, lines=lines)


class Content(Protocol):
    """A packed ticket, checked, with what writes the other files of an export."""

    @property
    def packed(self) -> Packed | PackedEncoder:
        """Return the packed ticket."""
        ...

    @property
    def uncalibrated(self) -> str:
        """Return why the ticket has no temperature; empty if it has one, or is to have none."""
        ...

    def check(self, path: Path) -> None:
        """Read the packed ticket back; raise a ValueError if it is not as written."""

    def write_others(self, places: Places, wishes: Wishes) -> Iterator[str]:
        """Write the optional files; yield lines for each."""
        ...


@dataclass(frozen=True)
class WordsContent:
    """The content of an export of a network that reads words."""

    packed: Packed
    shrunk: Shrunk
    uncalibrated: str

    def check(self, path: Path) -> None:  # noqa: D102
        check_packed(path, self.shrunk.ticket, self.packed)

    def write_others(self, places: Places, wishes: Wishes) -> Iterator[str]:  # noqa: D102
        if wishes.shrink:
            yield from describe_cuts(self.shrunk.cuts)
        yield from _write_others(self.shrunk.ticket, self.packed, places, wishes)


def _prepare(run: Run, record: Record, ticket: RoundTicket, wishes: Wishes) -> Content:
    packed, shrunk = _pack(run, record, ticket, wishes)
    check_answers(packed)
    packed, uncalibrated = measured(packed, run, wishes)
    if wishes.onnx:
        from lt_lightning.tickets.onnx import check_onnx

        check_onnx(packed)
    return WordsContent(packed, shrunk, uncalibrated)


def _prepare_encoder(run: Run, record: Record, ticket: RoundTicket, wishes: Wishes) -> Content:
    if find_spec("transformers") is None:
        raise SettingError(f"{run.folder}: its encoder needs transformers; pip install 'lt-lightning[bert]'")
    if wishes.first_weights:
        raise SettingError("--first-weights: no run begins with the ticket of a pre-trained encoder; leave it out")
    from lt_lightning.export.encoder_export import prepare_encoder

    path = ticket_path(run.folder, record.round)
    try:
        _check_content(ticket, record)
        return prepare_encoder(run, ticket, describe_origin(run, record), wishes)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{path}: {error}; restore it from a copy") from error


def _check_hf(run: Run, ticket: RoundTicket, folder: Path, places: Places) -> None:
    """Raise a SettingError unless a round's ticket can be written as a folder for transformers."""
    if not is_encoder(ticket.about):
        model = ticket.about.get("model")
        name = model.get("name") if isinstance(model, dict) else model
        raise SettingError(
            f"--hf: {run.folder} has model={name}, which transformers does not know; use --onnx or --state-dict, or "
            "give a run of model=bert or model=minilm"
        )
    if find_spec("transformers") is None:
        raise SettingError("--hf: transformers is not installed; pip install 'lt-lightning[bert]'")
    from lt_lightning.export.huggingface.folder import check_folder

    check_folder(folder, places)


def _places(path: Path, wishes: Wishes) -> Places:
    """Return the paths of all files, after checking that they are free or from an earlier export."""
    if path.is_dir():
        raise SettingError(f"--output: {path} is a folder; give a file in it, such as {path / 'ticket.safetensors'}")
    if again := path.exists():
        try:
            load_packed(path)
        except SettingError:
            raise SettingError(f"--output: {path} exists and is not a ticket; give another name") from None
    places = Places.beside(path)
    others = (wishes.onnx, places.onnx), (wishes.state_dict, places.dense), (wishes.tokenizer, places.tokenizer)
    files = [places.card, places.picture, *(other for wanted, other in others if wanted)]
    if path in (path.with_name("README.md"), *files):
        raise SettingError(f"--output: {path}: another file of the export has this name; give another")
    for file in files:
        ours = is_card_of(file, path) if file == places.card else again
        if file.exists() and not ours:
            raise SettingError(f"--output: {file} exists and is not from this export; give another name")
    return places


def _load(run: Run, record: Record) -> RoundTicket:
    task = run.description.task
    if not task.sorts_texts:
        raise SettingError(
            f"{run.folder}: {run.description.model or repr(task.name)} cannot be packed: a packed ticket needs a "
            "tokenizer, words and class names, which only this package's classifiers of texts have; its weights and "
            "masks are in tickets/"
        )
    path = ticket_path(run.folder, record.round)
    if not path.exists():
        raise SettingError(explain_missing(run.folder, run.description, record.round))
    ticket = RoundTicket.load(path)
    if ticket.about.get("round") != record.round:
        raise SettingError(f"{path}: the ticket of another round; restore it from a copy")
    before = ticket_path(run.folder, record.round - 1)
    if run.description.plan.is_nested and before.exists():  # old tickets may have been removed
        check_inside(path, read_masks(path).masks, read_masks(before).masks)
    return ticket


def _pack(run: Run, record: Record, ticket: RoundTicket, wishes: Wishes) -> tuple[Packed, Shrunk]:
    """Return a packed ticket, and the ticket that it packs, which may be smaller than the round's."""
    recipe, weights = None, None
    try:
        _check(ticket, record)
        # Beside few bits for each weight, words take most of the room: less without the dead ones, in order.
        cuts = wishes.shrink or wishes.bits < HALF
        shrunk = shrink(ticket, words_alone=not wishes.shrink) if cuts else Shrunk(ticket)
        if shrunk.ticket is ticket:  # a smaller network's first weights have other shapes, or another order
            recipe, weights = find_first_weights(run, ticket, keep=wishes.first_weights)
        about = {**describe_origin(run, record), "first": recipe}
        packed = pack_ticket(shrunk.ticket, about, first=weights, bits=wishes.bits)
        packed = replace(packed, zero_words=shrunk.zero_words)
    except SettingError:
        raise
    except ValueError as error:
        said = f"{ticket_path(run.folder, record.round)}: {error}"
        raise SettingError(f"{said}; restore it from a copy, or give a run of a classifier of texts") from error
    return packed, shrunk


def _check(ticket: RoundTicket, record: Record) -> None:
    """Check the header of a ticket, also against its row of `results.csv`; raise a ValueError if it is wrong."""
    check_nesting(ticket.about)
    about = {**ticket.about, "words": len(ticket.vocabulary)}
    _check_content(ticket, record)
    check_about(about)
    expected_shapes(about)


def _check_content(ticket: RoundTicket, record: Record) -> None:
    """Check what the tickets of all networks have; raise a ValueError if it is wrong."""
    from tokenizers import Tokenizer

    about = ticket.about
    check_nesting(about)
    try:
        Tokenizer.from_str(ticket.tokenizer)
    except Exception as error:  # the library raises this type
        raise ValueError(f"its tokenizer cannot be read ({quoted(error)})") from error
    if type(about.get("seed")) is not int or not 0 <= about["seed"] < 2**32:
        raise ValueError(f"its seed is {quoted(str(about.get('seed')))}")
    for key in ("alive", "total", "sparsity", "test_acc"):
        said, recorded = about.get(key), getattr(record, key)
        if repr(said) != repr(recorded):  # NaN equals NaN, and true is not 1
            raise ValueError(f"its {key} is {quoted(str(said))}, in results.csv {recorded}")


def _write_others(ticket: RoundTicket, packed: Packed, places: Places, wishes: Wishes) -> Iterator[str]:
    """Write the optional files; yield a line for each."""
    if wishes.onnx:
        from lt_lightning.tickets.onnx import write_onnx

        difference = write_onnx(packed, places.onnx)
        checked = "not checked: onnxruntime is not installed" if difference is None else f"checked to {difference:.1e}"
        yield f"ONNX     {places.onnx} ({checked})"
    if wishes.state_dict:
        write_state_dict(rounded(ticket, packed) if wishes.bits < WHOLE else ticket, places.dense)
        yield f"dense    {places.dense}"
    if wishes.tokenizer:
        write_tokenizer(ticket, places.tokenizer, packed.zero_words)
        yield f"words    {places.tokenizer}"
