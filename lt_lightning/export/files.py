"""Name an export's files after the ticket, and write, read back and check each before it takes its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save

from lt_lightning.config.hub_address import ENDING
from lt_lightning.errors import SettingError
from lt_lightning.export.shrinking import renumbered
from lt_lightning.runs.formatting import exact
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.storage.atomic import WriteError, read_regular, write_whole, writing_to
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy import build_network
from lt_lightning.tickets.parameters import Parameter

if TYPE_CHECKING:
    from lt_lightning.tickets.encoder.file import PackedEncoder

_TEXTS = 16  # to try, each a word longer than the one before


@contextmanager
def written_and_checked(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write and check; then move the file to `path`.

    Raises:
        SettingError: the check raised a ValueError; the old file stays.
        OSError: the file cannot be written; the old file stays.
    """
    unchecked = path.with_name(f".{path.name}.unchecked")
    try:
        yield unchecked
        unchecked.replace(path)
    except WriteError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # the name that users know
    except ValueError as error:
        raise SettingError(
            f"{path}: read back, the file is not what was written: {error}; check the disk, and export it again"
        ) from error
    finally:
        unchecked.unlink(missing_ok=True)


def check_finite(ticket: RoundTicket, path: Path) -> None:
    """Raise a `SettingError` if a round's ticket has NaN or infinite weights; `path` is its file."""
    for name, weight in ticket.weights.items():
        if count := int((~torch.isfinite(weight)).sum()):
            raise SettingError(
                f"{path}: {name!a} has {count:,} of {weight.numel():,} weights that are NaN or infinite; training "
                "diverged, export an earlier round by --round"
            )


def check_packed(path: Path, ticket: RoundTicket, packed: Packed) -> None:
    """Read a packed ticket back; raise a ValueError if it differs from the round's ticket or from `packed`."""
    found = Packed.load(path)
    check_weights(found.parameters, ticket, packed)
    if found.zero_words != packed.zero_words:
        raise ValueError("its zero_words differ")
    if exact(found.about) != exact(packed.about):
        raise ValueError("its header differs")
    _check_words(found, ticket.vocabulary)
    for name, values in (packed.first or {}).items():
        if found.first is None or not np.array_equal(found.first[name], values):
            raise ValueError(f"the first weights of {name} differ")


def check_weights(parameters: Mapping[str, Parameter], ticket: RoundTicket, packed: Packed | PackedEncoder) -> None:
    """Raise a ValueError if parameters of a file are not the weights of a ticket, rounded as in `packed`."""
    if parameters.keys() != ticket.weights.keys():
        raise ValueError("it has other parameters")
    for name, weight in ticket.weights.items():
        own = packed.parameters[name]
        rounded = own.dense() if own.codes is not None else weight.cpu().numpy().astype(own.values.dtype)
        if not np.array_equal(parameters[name].dense(), rounded.astype(np.float32)):
            raise ValueError(f"the weights of {name} differ")


def check_answers(packed: Packed) -> None:
    """Raise a `SettingError` unless a ticket gives finite logits for texts of random words."""
    rng, words = np.random.default_rng(0), packed.parameters["embedding.weight"].shape[0]
    texts = [rng.integers(words, size=length).astype(np.int32) for length in range(_TEXTS)]
    with np.errstate(over="ignore", invalid="ignore"):
        logits = build_network(packed).logits(texts)
    if not np.isfinite(logits).all():
        raise SettingError("the ticket's weights are so large that an answer is not finite; export an earlier round")


def _check_words(packed: Packed, vocabulary: Sequence[str]) -> None:
    """Check that each word has the vector of its id, whether listed or not."""
    ids = packed.word_ids.tolist()
    if [vocabulary[number] for number in ids] != list(packed.words):
        raise ValueError("its words differ")
    embedding = packed.parameters["embedding.weight"].dense()
    unlisted = np.setdiff1d(np.arange(2, len(vocabulary)), packed.word_ids)
    if not (embedding[unlisted] == embedding[0]).all():
        raise ValueError("a word is missing")


def rounded(ticket: RoundTicket, packed: Packed | PackedEncoder) -> RoundTicket:
    """Return a round ticket with the weights of its packed form."""
    weights = {name: torch.from_numpy(parameter.dense()) for name, parameter in packed.parameters.items()}
    return replace(ticket, weights=weights)


def write_state_dict(ticket: RoundTicket, path: Path) -> None:
    """Write a plain safetensors file for `network.load_state_dict`: dense weights, zero where pruned, and no masks.

    Raises:
        SettingError: the file, read back, is not what was written.
        WriteError: the file cannot be written.
    """
    weights = {name: weight.detach().cpu().contiguous() for name, weight in ticket.weights.items()}
    with written_and_checked(path) as unchecked:
        with writing_to(path.parent):
            write_whole(unchecked, save(weights, {"format": "pt"}))  # names and layout are torch's
        found = load_file(unchecked)
        if found.keys() != weights.keys():
            raise ValueError("it has other parameters")
        for name, weight in weights.items():
            if not torch.equal(found[name], weight):
                raise ValueError(f"the weights of {name} differ")


def write_tokenizer(ticket: RoundTicket, path: Path, zero_words: Sequence[str] = ()) -> None:
    """Write the tokenizer for `Tokenizer.from_file`; with `data.tokenizer=spacy`, it expects spaCy's words.

    `zero_words` are read as `<pad>`. The library reads several words of one id, but would save one of them alone.
    """
    words = renumbered(ticket.tokenizer, ticket.vocabulary, zero_words) if zero_words else ticket.tokenizer
    with writing_to(path.parent):
        write_whole(path, words)


_MARK = "<!-- lt-lightning's model card of {name} -->"


@dataclass(frozen=True)
class Places:
    """The files of an export."""

    ticket: Path  # the packed ticket
    card: Path  # its model card: `README.md`, unless another file has that name
    picture: Path  # the card's figure
    onnx: Path  # the ONNX graph
    dense: Path  # the dense weights
    tokenizer: Path  # the tokenizer

    @property
    def all(self) -> tuple[Path, ...]:
        """Return all paths, those of optional files too."""
        return self.ticket, self.card, self.picture, self.onnx, self.dense, self.tokenizer

    @classmethod
    def beside(cls, ticket: Path) -> Places:
        """Return the files that belong to a ticket."""
        stem = ticket.name.removesuffix(ENDING)
        card = ticket.with_name("README.md")
        if card.exists() and not is_card_of(card, ticket):
            card = ticket.with_name(f"{stem}.README.md")
        names = (f"{stem}_accuracy.png", f"{stem}.onnx", f"{stem}_dense{ENDING}", f"{stem}_tokenizer.json")
        return cls(ticket, card, *map(ticket.with_name, names))


def mark_of(ticket: Path) -> str:
    """Return the line that marks a card as that of a ticket."""
    return _MARK.format(name=ticket.name)


def is_card_of(card: Path, ticket: Path) -> bool:
    """Return whether a file is the card of a ticket."""
    try:
        return mark_of(ticket) in read_regular(card, 2**24).decode()
    except (OSError, ValueError):
        return False
