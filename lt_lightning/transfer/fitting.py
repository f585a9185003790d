"""Whether a ticket fits the run that is to start from it; needs neither torch nor Lightning, so it is said at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import Rewind
from lt_lightning.results.facts import look_up
from lt_lightning.results.grouping import show_setting
from lt_lightning.tickets.shapes import CONVOLUTIONAL, RECURRENT

if TYPE_CHECKING:
    from lt_lightning.config import Config
    from lt_lightning.tickets.format import Packed

_SHAPING = {"cnn": ("filters", "widths"), RECURRENT: ("cell", "hidden", "layers", "bidirectional")}
"""The settings of each kind of network that say which parameters it has, of which shapes and for which equations."""


def read_ticket(config: Config) -> Packed | None:
    """The ticket that a run is to start from, or None.

    Raises:
        SettingError: if there is no such file, it is no ticket, its network is not the run's, or it lacks the weights
            to rewind to.
    """
    if config.pruning.ticket is None:
        return None
    from lt_lightning.tickets.format import Packed  # waits for NumPy

    path = Path(config.pruning.ticket)
    try:
        packed = Packed.load(path)
    except SettingError as error:
        raise SettingError(f"pruning.ticket: {error}") from error
    check_fit(path, packed.about, config)
    to_start = Rewind.parse(config.pruning.rewind).at_start
    if to_start and packed.first is None and not _can_draw(packed.about.get("first")):
        raise SettingError(f"pruning.ticket: {path} does not tell the weights that its run began with; {_remedy(packed)}")
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


def _remedy(packed: Packed) -> str:
    """What to do about first weights that a ticket lacks: a run keeps its own where it rewinds to them."""
    others = "use pruning.rewind=random or none"
    rewind, embedding = look_up(packed.about, "pruning.rewind"), packed.about.get("embedding")
    if packed.about.get("full_test_acc", ...) is None:
        of = "began with a ticket itself"
    elif embedding not in (None, "random"):
        of = f"began with the vectors of embedding={show_setting(embedding)}"
    else:
        return f"export it with --first-weights, or {others}"
    if not isinstance(rewind, str) or rewind in ("init", "epoch:0", "step:0"):
        return f"export it with --first-weights, or {others}"
    return (
        f"that run {of}, and with rewind {show_setting(rewind)} it kept no copy; {others}, or give a ticket of a run "
        "with pruning.rewind=init"
    )


def _can_draw(first: Any) -> bool:
    """Whether a ticket says how to draw its first weights again."""
    needed = {"seed": int, "words": int, "embedding_std": (int, float), "witness": Mapping}
    return isinstance(first, Mapping) and all(isinstance(first.get(key), kind) for key, kind in needed.items())


def _compared(about: Mapping[str, Any], config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Settings that must agree: the key, the run's value, the ticket's."""
    theirs: Mapping[str, Any] = about["model"]
    here, there = (_kind(name) for name in (config.model.name, theirs["name"]))
    yield "model", here, there
    for key in _SHAPING[here]:
        ours = getattr(config.model, key)
        yield f"model.{key}", ours, theirs.get(key)
    yield "embedding.dim", config.embedding.dim, about["embedding_dim"]
    yield "data.tokenizer", config.data.tokenizer.value, about["splitter"]


def _kind(name: str) -> str:
    # Which of these a network is, is a matter of its classes, and so of its last layer alone.
    return "cnn" if name in CONVOLUTIONAL else name
