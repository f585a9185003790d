"""Check whether a ticket fits the run that is to start from it; imports no torch, so refusals come at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.hub_address import is_address
from lt_lightning.config.models import packed_kind
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import Rewind
from lt_lightning.runs.formatting import show_setting
from lt_lightning.runs.recorded import RecordedPruning, parse
from lt_lightning.tickets.header import check_recipe

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.tickets.file import Packed

_OTHERS = "use pruning.rewind=random or none"


def read_ticket(config: Config) -> Packed | None:
    """Read the ticket that a run is to start from; return None without `pruning.ticket`.

    Raises:
        SettingError: the file is missing or no ticket, its network is not the run's, or it lacks the weights to rewind
            to.
    """
    if config.pruning.ticket is None:
        return None
    from lt_lightning.tickets.file import Packed  # imports NumPy

    path = path_of_ticket(config.pruning.ticket)
    if config.resume is not None and not path.exists():
        raise SettingError(
            f"pruning.ticket: {path}: no such file; bring it back, or give pruning.ticket=WHERE IT LIES NOW"
        )
    if path.is_dir() and (path / "run.json").exists():
        raise SettingError(
            f"pruning.ticket: {path} is a run, not a ticket; pack one of its rounds: python -m lt_lightning.export "
            f"{shlex.quote(str(path))} --round N"
        )
    try:
        packed = Packed.load(path)
    except SettingError as error:
        raise SettingError(f"pruning.ticket: {error}") from error
    if packed.about.get("shrunk"):
        raise SettingError(
            f"pruning.ticket: the network of {path} was cut smaller, so its weights have other places; export the "
            "round again without --shrink and --bits"
        )
    _check_network(path, packed.about, config)
    if Rewind.parse(config.pruning.rewind).at_start and packed.first is None:
        _check_first(path, packed)
    return packed


@lru_cache(maxsize=1)
def path_of_ticket(setting: str) -> Path:
    """Return the path of the ticket that `pruning.ticket` names, the same all through a run.

    Raises:
        SettingError: it is on the Hugging Face Hub and cannot be had.
    """
    if not is_address(setting):
        return typed_path(setting)
    from lt_lightning.tickets.hub import find_ticket

    try:
        return find_ticket(setting)
    except SettingError as error:
        raise SettingError(f"pruning.ticket: {error}") from error


def _check_network(path: Path, about: Mapping[str, Any], config: Config) -> None:
    """Raise for the first setting of the network that differs; words and classes may differ."""
    for key, ours, other in _settings(about, config):
        if ours != other:
            here, there = show_setting(ours), show_setting(other)
            remedy = f"give {key}={there.replace(' ', '')}, or another pruning.ticket"
            raise SettingError(f"{key}: {here}, but the network of the ticket {path} has {there}; {remedy}")


def _settings(about: Mapping[str, Any], config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Yield the settings that must agree: the key, the run's value, the ticket's."""
    model, theirs = config.model, about["model"]
    yield "model", model.packs, packed_kind(theirs["name"])
    yield from ((f"model.{key}", getattr(model, key), theirs.get(key)) for key in model.shaping)
    yield "embedding.dim", config.embedding.dim, about["embedding_dim"]
    yield "data.tokenizer", config.data.tokenizer.value, about["splitter"]


def _check_first(path: Path, packed: Packed) -> None:
    """Raise unless the first weights of a ticket, which its file lacks, can be drawn again."""
    if packed.about.get("first") is None:
        raise SettingError(
            f"pruning.ticket: {path} does not tell the weights that its run began with; {_remedy(packed.about)}"
        )
    try:
        check_recipe(packed.about, packed.parameters)
    except ValueError as error:
        said = f"pruning.ticket: {path} does not tell how to draw the weights that its run began with: {error}"
        raise SettingError(f"{said}; export it again, or {_OTHERS}") from None


def _remedy(about: Mapping[str, Any]) -> str:
    """Return the remedy for missing first weights: only a run that rewinds to them keeps them."""
    rewind, embedding = parse(RecordedPruning, about.get("pruning")).rewind, about.get("embedding")
    if about.get("full_test_acc", ...) is None:
        reason = "began with a ticket itself"
    elif embedding not in (None, "random"):
        reason = f"began with the vectors of embedding={show_setting(embedding)}"
    else:
        reason = None
    if reason is None or rewind is None or rewind in ("init", "epoch:0", "step:0"):
        return f"export it with --first-weights, or {_OTHERS}"
    return (
        f"that run {reason}, and with rewind {show_setting(rewind)} it kept no copy; {_OTHERS}, or give a ticket of a "
        "run with pruning.rewind=init"
    )
