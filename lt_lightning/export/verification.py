"""Exported files, read back before they take their place: what is written is what the round trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from lt_lightning.errors import SettingError
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.saying import exact
from lt_lightning.storage.atomic import WriteError
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.network import build_network

_TEXTS = 16
"""So many texts are asked of a ticket that is to be exported, each a word longer than the one before."""


@contextmanager
def written_and_checked(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to and check; what is there afterwards is moved to `path`.

    Args:
        path: the file. Where writing or checking fails, what was there before stays.

    Raises:
        SettingError: the check raised a ValueError: the file is not what was to be written.
        OSError: it cannot be written.
    """
    unchecked = path.with_name(f".{path.name}.unchecked")
    try:
        yield unchecked
        unchecked.replace(path)
    except WriteError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # the file that people know
    except ValueError as error:
        raise SettingError(
            f"{path}: read back, the file is not what was written: {error}; look at the disk, and export it again"
        ) from error
    finally:
        unchecked.unlink(missing_ok=True)


def check_finite(ticket: RoundTicket, path: Path) -> None:
    """Check that a round's ticket can answer.

    Args:
        ticket: the ticket.
        path: its file, for the message.

    Raises:
        SettingError: naming a parameter with NaN or infinite values.
    """
    for name, weight in ticket.weights.items():
        if count := int((~torch.isfinite(weight)).sum()):
            raise SettingError(
                f"{path}: {name!a} has {count:,} of {weight.numel():,} weights that are NaN or infinite; training "
                "diverged, export an earlier round by --round"
            )


def check_packed(path: Path, ticket: RoundTicket, packed: Packed) -> None:
    """Read a packed ticket back, and compare it with the round's ticket that it was made of.

    Args:
        path: the packed ticket's file.
        ticket: the round's ticket.
        packed: what was to be written.

    Raises:
        ValueError: a weight, a word, or a value in its header differs.
    """
    found = Packed.load(path)
    half = packed.about["values"] == "float16"
    if found.parameters.keys() != ticket.weights.keys():
        raise ValueError("it has other parameters")
    for name, weight in ticket.weights.items():
        expected = weight.half().float() if half else weight.float()
        if not np.array_equal(found.parameters[name].dense(), expected.cpu().numpy()):
            raise ValueError(f"the weights of {name} differ")
    if exact(found.about) != exact(packed.about):
        raise ValueError("its header differs")
    _check_words(found, ticket.vocabulary)
    for name, values in (packed.first or {}).items():
        if found.first is None or not np.array_equal(found.first[name], values):
            raise ValueError(f"the first weights of {name} differ")


def check_answers(packed: Packed) -> None:
    """Check that a ticket gives finite logits for some texts of random words.

    Raises:
        SettingError: it does not.
    """
    rng, words = np.random.default_rng(0), packed.parameters["embedding.weight"].shape[0]
    texts = [rng.integers(words, size=length).astype(np.int32) for length in range(_TEXTS)]
    with np.errstate(over="ignore", invalid="ignore"):
        logits = build_network(packed).logits(texts)
    if not np.isfinite(logits).all():
        raise SettingError("the ticket's weights are so large that an answer is no number; export an earlier round")


def check_dense(path: Path, ticket: RoundTicket) -> None:
    """Read dense weights back, and compare them with a ticket's.

    Raises:
        ValueError: they differ.
    """
    from safetensors.torch import load_file

    found = load_file(path)
    if found.keys() != ticket.weights.keys():
        raise ValueError("it has other parameters")
    for name, weight in ticket.weights.items():
        if not torch.equal(found[name], weight.cpu()):
            raise ValueError(f"the weights of {name} differ")


def _check_words(packed: Packed, vocabulary: Sequence[str]) -> None:
    """Check that each word of a vocabulary has the vector of its id, be it listed or not."""
    ids = packed.word_ids.tolist()
    if [vocabulary[number] for number in ids] != list(packed.words):
        raise ValueError("its words differ")
    embedding = packed.parameters["embedding.weight"].dense()
    unlisted = np.setdiff1d(np.arange(2, len(vocabulary)), packed.word_ids)
    if not (embedding[unlisted] == embedding[0]).all():
        raise ValueError("a word is missing")
