"""Whether a ticket fits the run that is to start from it; needs neither torch nor Lightning, so it is said at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def read_ticket(config: Config) -> Packed | None:
    """The ticket that a run is to start from, or None.

    Raises:
        SettingError: if there is no such file, it is no ticket, its network is not the run's, or it lacks the weights
            to rewind to.
    """
    if config.pruning.ticket is None:
        return None
    from lt_lightning.tickets.file import Packed  # waits for NumPy

    path = typed_path(config.pruning.ticket)
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
    check_fit(path, packed.about, config)
    if Rewind.parse(config.pruning.rewind).at_start and packed.first is None:
        _check_first(path, packed)
    return packed


def check_fit(path: Path, about: Mapping[str, Any], config: Config) -> None:
    """See that the network of a ticket is that of a run, but for vocabulary and classes.

    Args:
        path: the ticket's file, for the message.
        about: what it says of itself.
        config: the run's settings.

    Raises:
        SettingError: naming the first setting that differs, and both values.
    """
    for key, here, there in _compared(about, config):
        if here != there:
            here, there = show_setting(here), show_setting(there)
            remedy = f"give {key}={there.replace(' ', '')}, or another pruning.ticket"
            raise SettingError(f"{key}: {here}, but the network of the ticket {path} has {there}; {remedy}")


def _check_first(path: Path, packed: Packed) -> None:
    """See that the first weights of a ticket, which its file does not hold, can be drawn again."""
    if packed.about.get("first") is None:
        said = f"pruning.ticket: {path} does not tell the weights that its run began with"
        raise SettingError(f"{said}; {_remedy(packed.about)}")
    try:
        check_recipe(packed.about, packed.parameters)
    except ValueError as error:
        said = f"pruning.ticket: {path} does not tell how to draw the weights that its run began with: {error}"
        raise SettingError(f"{said}; export it again, or {_OTHERS}") from None


_OTHERS = "use pruning.rewind=random or none"


def _remedy(about: Mapping[str, Any]) -> str:
    """What to do about first weights that a ticket lacks: a run keeps its own where it rewinds to them."""
    rewind, embedding = parse(RecordedPruning, about.get("pruning")).rewind, about.get("embedding")
    if about.get("full_test_acc", ...) is None:
        of = "began with a ticket itself"
    elif embedding not in (None, "random"):
        of = f"began with the vectors of embedding={show_setting(embedding)}"
    else:
        of = None
    if of is None or rewind is None or rewind in ("init", "epoch:0", "step:0"):
        return f"export it with --first-weights, or {_OTHERS}"
    return (
        f"that run {of}, and with rewind {show_setting(rewind)} it kept no copy; {_OTHERS}, or give a ticket of a run "
        "with pruning.rewind=init"
    )


def _compared(about: Mapping[str, Any], config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Settings that must agree: the key, the run's value, the ticket's."""
    theirs: Mapping[str, Any] = about["model"]
    # How many classes a network is for concerns its last layer alone.
    yield "model", config.model.packs, packed_kind(theirs["name"])
    for key in config.model.shaping:
        ours = getattr(config.model, key)
        yield f"model.{key}", ours, theirs.get(key)
    yield "embedding.dim", config.embedding.dim, about["embedding_dim"]
    yield "data.tokenizer", config.data.tokenizer.value, about["splitter"]
