"""`run.json` in words: what ran, on what, where and when. Whatever is missing there is a dash here."""

import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from lt_lightning.runs.metrics import baseline_of, metric_of
from lt_lightning.runs.origins import origin_of, ticket_title, transfer_line
from lt_lightning.runs.partial import measured_rows, partial_note
from lt_lightning.runs.saying import DASH, count, look_up, say, visible
from lt_lightning.runs.terminal import with_unit
from lt_lightning.runs.wording import wording_of


class Fact(NamedTuple):
    """A fact about a run.

    Attributes:
        name: what it is called on a page.
        said: its value in words, rounded or shortened to fit a page.
        value: the value itself: two facts are the same where their values are, whatever the words leave out.
    """

    name: str
    said: str
    value: Any


def many(counts: Iterable[int]) -> str:
    """A number, or the least and the greatest of several.

    >>> many([3, 3]), many([3, 2, 3]), many([])
    ('3', '2 to 3', '0')
    """
    found = sorted(set(counts)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def share(value: Any) -> str:
    """A fraction in per cent; anything else as `say` has it."""
    return f"{100 * value:.4g} %" if isinstance(value, float) and 0 <= value <= 1 else say(value)


def moment(value: Any) -> str:
    """A point in time to the minute; what is not in ISO form as it is.

    >>> moment("2026-11-21T21:00:12+00:00"), moment("yesterday"), moment(None)
    ('2026-11-21 21:00 UTC', 'yesterday', '–')
    """
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return say(value)
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def duration(seconds: float) -> str:
    """So many seconds in the two units that matter.

    >>> duration(42.4), duration(2537), duration(3 * 3600 + 61)
    ('42 s', '42 min 17 s', '3 h 1 min')
    >>> duration(float("-inf"))
    '–'
    """
    if not math.isfinite(seconds):
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def title(description: Mapping[str, Any]) -> str:
    """What to call a run: its experiment, or its model and corpus."""
    named = look_up(description, "experiment")
    return say(named) if named else f"{say(_model(description))} on {say(_corpus(description))}"


def subtitle(description: Mapping[str, Any]) -> str:
    """A run in a line under a figure's title: corpus, model, rewind and seed."""
    rewind = say(look_up(description, "config.pruning.rewind"))
    tested = measured_rows(description, "test")
    return (
        f"{say(_corpus(description))} · {say(_model(description))} · rewind {rewind} · seed {seed(description)}"
        f"{tested and ' · tested on '}{tested}"
    )


def summary(description: Mapping[str, Any]) -> str:
    """A run in two sentences."""
    pruning = {key: look_up(description, f"config.pruning.{key}") for key in ("criterion", "scope", "rewind")}
    origin = origin_of(description)
    rounds = (
        f"Every round prunes {share(look_up(description, 'config.pruning.amount'))} of the weights still alive "
        f"({say(pruning['criterion'])}, {say(pruning['scope'])}), rewinds the others ({say(pruning['rewind'])}) "
        "and trains again."
    )
    if prunes_nothing(description):
        rounds = "It trains once, and prunes nothing."
    if note := partial_note(description):
        rounds = f"{rounds} {note}"
    return (
        f"{say(_model(description))} on {say(_corpus(description))}, "
        f"{count(look_up(description, 'corpus.rows.train'))} {wording_of(description).texts} to train on"
        f"{'' if origin is None else f', from a {ticket_title(origin)}'}. {rounds}"
    )


def prunes_nothing(description: Mapping[str, Any]) -> bool:
    """Whether a run was asked for round 0 alone."""
    return look_up(description, "config.pruning.rounds") == 0


def command(description: Mapping[str, Any]) -> str:
    """The command that runs it again, as one would type it in a shell."""
    words = look_up(description, "command")
    if not isinstance(words, list):
        return DASH
    return say(shlex.join(["python", "-m", "lt_lightning.train", *map(str, words)]))


def groups(description: Mapping[str, Any]) -> dict[str, list[Fact]]:
    """Return everything about a run that a reader may ask for, below headings."""

    def at(path: str) -> Any:
        return look_up(description, path)

    words = wording_of(description)
    return {
        "Data": [
            _fact("Corpus", _corpus(description)),
            _fact("Source", at("corpus.source")),
            _fact(words.texts.capitalize(), at("corpus.rows"), _sizes),
            *([_fact("Measured on", note)] if (note := partial_note(description)) else []),
            _fact("Dropped", at("corpus.dropped"), _sizes),
            _fact(words.many.capitalize(), at("corpus.class_names"), _names),
            _fact("Vocabulary", f"{count(at('vocabulary.words'))} {words.words}"),
            _fact("Fingerprint", at("corpus.fingerprint")),
            *_baseline(description),
        ],
        "Network": [
            _fact("Model", _model(description)),
            _fact("Parameters", at("parameters"), count),
            _fact("Embedding", at("config.embedding")),
            _fact(
                f"{words.words.capitalize()} found in it",
                _part(at("vocabulary.embedding_found"), at("vocabulary.words")),
            ),
            _fact("Optimizer", at("config.optimizer")),
            *([_fact("Schedule", at("config.scheduler"))] if at("config.scheduler.name") not in (None, "none") else []),
            _fact("Batch size", at("config.data.batch_size"), count),
            _fact("Epochs a round", at("config.trainer.max_epochs"), count),
            _fact("Tested on", f"{say(at('config.test_on'))} epoch"),
        ],
        "Pruning": [
            _fact("Rounds", at("config.pruning.rounds"), count),
            _fact("Amount a round", at("config.pruning.amount"), share),
            _fact("Criterion", at("config.pruning.criterion")),
            _fact("Scope", at("config.pruning.scope")),
            _fact("Threshold", at("config.pruning.threshold")),
            _fact("Rewind", at("config.pruning.rewind")),
            *_ticket(description),
            _fact("Parameters in", at("config.pruning.include")),
            _fact("Parameters out", at("config.pruning.exclude")),
            _fact("Redrawn by random", at("config.pruning.redraw")),
        ],
        "Run": [
            _fact("Seed", seed(description)),
            _fact("Device", at("device")),
            *([_fact("Processor", at("cpu.model"))] if at("cpu.model") else []),
            _fact("Processes", at("processes"), count),
            _fact("Started", moment(at("started"))),
            _fact("Finished", moment(at("finished"))),
            *_resumed(at("resumed")),
            _fact("Versions", at("versions")),
        ],
    }


def _fact(name: str, value: Any, words: Callable[[Any], str] = say) -> Fact:
    return Fact(name, words(value), value)


def _ticket(description: Mapping[str, Any]) -> list[Fact]:
    file = look_up(description, "config.pruning.ticket")
    return [_fact("Began with", transfer_line(description) or file)] if file else []


def _resumed(times: Any) -> list[Fact]:
    if not isinstance(times, list):
        return []
    return [_fact("Resumed", [moment(look_up(time, "at") if isinstance(time, Mapping) else time) for time in times])]


def _names(names: Any) -> str:
    return say([visible(say(name)) for name in names] if isinstance(names, list) else names)


def _baseline(description: Mapping[str, Any]) -> list[Fact]:
    baseline = baseline_of(description)
    if baseline is None:
        return []
    # Seeds may draw other rows, and then differ in digits that are not shown.
    return [_fact("Baseline", f"{say(baseline.name)}: {with_unit(baseline.value, metric_of(description))}")]


def _part(some: Any, all_: Any) -> str:
    if isinstance(some, int) and isinstance(all_, int) and 0 <= some <= all_ > 0:
        return f"{some:,} of {all_:,} ({100 * some / all_:.1f} %)"
    return count(some)


def _sizes(parts: Any) -> str:
    return say([f"{count(size)} {part}" for part, size in parts.items()] if isinstance(parts, Mapping) else parts)


def _model(description: Mapping[str, Any]) -> Any:
    return look_up(description, "network") or look_up(description, "config.model.name")


def _corpus(description: Mapping[str, Any]) -> Any:
    return look_up(description, "corpus.name")


def seed(description: Mapping[str, Any]) -> str:
    """The seed of a run."""
    given = look_up(description, "seed")
    return say(look_up(description, "config.seed") if given is None else given)
